"""Find table schemas and policies: the shipped ones. ``schemas.own_tables`` adds those of an operator."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from schemas.errors import PrivacyError, PublisherError, UsageError
from schemas.policy import Policy
from schemas.table import TableSchema

try:
    from yaml import CSafeLoader as _SafeLoader  # ten times faster: every start reads all tables
except ImportError:  # PyYAML without libyaml
    from yaml import SafeLoader as _SafeLoader  # type: ignore[assignment]

_Model = TypeVar("_Model", bound=BaseModel)

TABLES = Path(__file__).parent / "tables"
POLICIES = Path(__file__).parent / "policies"
LOCK = Path(__file__).parent / "tables.lock"


def read_table(path: Path) -> TableSchema:
    """Read one version of one table; raise ``UsageError`` that names file and field."""
    schema = read_model(path, TableSchema)
    if path.name != (wanted := f"{schema.table}_v{schema.version}.yaml"):
        raise UsageError(f"{path.name} holds table {schema.table} {schema.version}; name the file {wanted}")
    return schema


def read_policy(name_or_path: str | Path) -> Policy:
    """Read a policy: the shipped one of that name, or the file at that path.

    Raise ``PrivacyError`` for one that is missing or does not hold together: without a policy nothing may leave.
    """
    shipped = POLICIES / f"{name_or_path}.yaml"
    path = shipped if shipped.is_file() else Path(name_or_path)
    if not path.is_file():
        raise PrivacyError(
            f"found no policy {str(name_or_path)!r}; wanted the path of a policy file, or one of "
            + ", ".join(sorted(shipped.stem for shipped in POLICIES.glob("*.yaml")))
        )
    return read_model(path, Policy, refusal=PrivacyError)


@cache
def shipped_tables() -> tuple[TableSchema, ...]:
    """Return every shipped version of every table, by name and then version."""
    return sort_tables(read_table(path) for path in TABLES.glob("*.yaml"))


@dataclass(frozen=True)
class Registry:
    """Every version of every table that a run may know, by name and then version. ``own`` are an operator's."""

    tables: tuple[TableSchema, ...]
    own: frozenset[str] = field(default=frozenset())

    @cached_property
    def latest(self) -> dict[str, TableSchema]:
        """The newest version of each table."""
        return {schema.table: schema for schema in self.tables}

    @cached_property
    def by_version(self) -> dict[tuple[str, str], TableSchema]:
        """Each version of each table, by name and version."""
        return {(schema.table, schema.version): schema for schema in self.tables}

    def find(self, name: str, version: str | None = None) -> TableSchema:
        """Return one table, the newest version unless one is named; raise ``UsageError`` without one."""
        tables = [schema for schema in self.tables if schema.table == name]
        if not tables:
            raise UsageError(f"there is no table {name!r}; there are {', '.join(self.latest)}")
        if version is None:
            return tables[-1]
        if (name, version) not in self.by_version:
            raise UsageError(f"table {name} has no version {version}; it has {', '.join(s.version for s in tables)}")
        return self.by_version[name, version]


def sort_tables(tables: Iterable[TableSchema]) -> tuple[TableSchema, ...]:
    """Return tables by name, major and minor version."""
    return tuple(sorted(tables, key=lambda schema: (schema.table, schema.major, schema.minor)))


@cache
def shipped_registry() -> Registry:
    """Return the registry of the shipped tables alone."""
    return Registry(shipped_tables())


def latest_tables() -> dict[str, TableSchema]:
    """Return the newest shipped version of each table."""
    return dict(shipped_registry().latest)


def find_table(name: str, version: str | None = None) -> TableSchema:
    """Return one shipped table, the newest version unless one is named; raise ``UsageError`` without one."""
    return shipped_registry().find(name, version)


class _UniqueKeyLoader(_SafeLoader):
    """YAML lets the last of two equal keys win; in a policy that would undo the first unseen."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for place, key in enumerate(keys):
            if key in keys[:place]:
                raise yaml.MarkedYAMLError(problem=f"found the key {key!r} twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


def read_model(path: Path, model: type[_Model], *, refusal: type[PublisherError] = UsageError) -> _Model:
    """Read a YAML file of ours; raise ``refusal``, which names file and field, for one that is something else."""
    try:
        content: Any = yaml.load(path.read_text("utf-8"), _UniqueKeyLoader)  # noqa: S506 - a SafeLoader
        return model.model_validate(content)
    except yaml.YAMLError as error:
        raise refusal(f"{path.name} is not YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise refusal(f"{path.name}: {place}: {first['msg']} ({error.error_count()} problems in all)") from error
