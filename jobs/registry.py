"""The tables that a configuration knows: the shipped ones, and its own."""

import re
from collections.abc import Sequence
from pathlib import Path

from jobs.config import Settings, read_settings
from schemas.authoring import render_next_minor, render_template
from schemas.compat import check_registry
from schemas.errors import UsageError
from schemas.label_classes import LabelCatalogue
from schemas.lock import check_lock, extend_lock
from schemas.own_tables import read_own_classes, read_own_lock, read_registry
from schemas.registry import LOCK, TABLES, Registry, read_model, shipped_registry, shipped_tables
from schemas.table import TableSchema


def registry_of(settings: Settings) -> Registry:
    """Return the tables of a configuration; raise ``UsageError`` or ``PrivacyError`` for own ones that may not be."""
    return read_registry(settings.collection.schemas)


def choose_tables(settings: Settings, only: Sequence[str] = ()) -> tuple[TableSchema, ...]:
    """Return the configured tables, or those of ``only``; raise ``UsageError`` for one that does not exist."""
    configured = settings.collection.tables
    registry = registry_of(settings)
    names = only or (tuple(registry.latest) if configured == "all" else configured)
    return tuple(registry.find(name) for name in dict.fromkeys(names))


def label_classes_of(settings: Settings) -> LabelCatalogue:
    """Return the catalogue of labels with what a configuration adds."""
    return read_own_classes(settings.collection.schemas)


def settings_at_hand(config: Path | None) -> Settings | None:
    """Return the configuration; ``None`` where none is named and none can be read: not every command needs one."""
    try:
        return read_settings(config)
    except UsageError:
        if config is not None:
            raise
        return None


def registry_at_hand(config: Path | None) -> Registry:
    """Return the tables of the configuration, or the shipped ones where there is none."""
    _, registry = _at_hand(config)
    return registry


def check_tables(config: Path | None) -> list[str]:
    """Return what is wrong with the tables of the configuration, their locks included."""
    settings, registry = _at_hand(config)
    problems = [*check_registry(registry.tables), *check_lock(shipped_tables(), LOCK.read_text("utf-8"))]
    own = settings.collection.schemas if settings else None
    if own and (lock := read_own_lock(own)):
        problems += check_lock(_own_tables(registry), lock, command="'opspub schema lock'")
    return problems


def lock_own_tables(settings: Settings) -> list[TableSchema]:
    """Hold the versions of an operator's own tables fast from now on; return those that were not before."""
    folder = settings.collection.schemas
    if folder is None:
        raise UsageError("found no collection.schemas in the configuration; wanted the folder of your own tables")
    return extend_lock(folder / LOCK.name, _own_tables(registry_of(settings)))


def _at_hand(config: Path | None) -> tuple[Settings | None, Registry]:
    settings = settings_at_hand(config)
    return settings, registry_of(settings) if settings else shipped_registry()


def _own_tables(registry: Registry) -> list[TableSchema]:
    return [schema for schema in registry.tables if schema.table in registry.own]


def find_version(what: str, config: Path | None) -> TableSchema:
    """Return a table by ``name@version``, by its name (the newest), or from a file: YAML, or JSON of a release."""
    if Path(what).suffix in (".yaml", ".yml", ".json"):
        if not Path(what).is_file():
            raise UsageError(f"found no file {what}; wanted one, or a version such as node@1.0")
        return read_model(Path(what), TableSchema)
    name, _, version = what.partition("@")
    return registry_at_hand(config).find(name, version or None)


def begin_table(name: str, config: Path | None) -> tuple[str, str]:
    """Return the name and text of a new file: a template, or the next minor version of a table that exists."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise UsageError(f"found the table name {name!r}; wanted small letters, digits and _, such as acme_orders")
    settings, registry = _at_hand(config)
    newest = registry.latest.get(name)
    if newest is None:
        return f"{name}_v1.0.yaml", render_template(name)
    own = settings.collection.schemas if settings and name in registry.own else None
    text = ((own or TABLES) / f"{name}_v{newest.version}.yaml").read_text("utf-8")
    return f"{name}_v{newest.major}.{newest.minor + 1}.yaml", render_next_minor(newest, text)
