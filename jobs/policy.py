"""Compare what policies publish, and with what a release was published under. Reads policies, releases and the stores.

A release names its policy by digest only. The policy itself is kept in the staging store, which is private; without it
the schemas of the release tell metrics and labels, but no words and no domains.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from jobs.config import Settings
from jobs.kept import find_policy
from jobs.layout import MANIFEST, VERSION, release_prefix, schema_path, version_order
from jobs.published import read_manifests
from jobs.registry import registry_of
from jobs.store import Store, open_store
from schemas.errors import StoreError, UsageError
from schemas.manifest import Manifest
from schemas.policy_diff import PolicyChange, compare_policies
from schemas.policy_view import PolicyView, view_policy, view_table
from schemas.registry import read_policy, shipped_registry
from schemas.table import TableSchema

_Model = TypeVar("_Model", bound=BaseModel)
_Read = Callable[[str], bytes | None]


@dataclass(frozen=True)
class PolicyDiff:
    """What differs between two policies. ``note`` says what could not be compared."""

    older: str
    newer: str
    changes: tuple[PolicyChange, ...]
    note: str | None = None


def diff_policies(settings: Callable[[], Settings], older: str | None, newer: str | None) -> PolicyDiff:
    """Compare ``older`` with ``newer``: each the name or path of a policy, a release's folder or its version.

    Without ``newer`` that is the configured policy, without ``older`` the last published release. ``settings`` is
    called only where the configuration is needed.
    """
    after = _view_side(settings, newer or settings().privacy.policy)
    before = _view_side(settings, older or _last_release(settings()))
    note = None
    if before.vocabularies is None or after.vocabularies is None:
        if before.digest == after.digest:
            after = _without_tables_not_in(before, after)
        else:
            note = "words and domains were not compared: the release's policy is not in the staging store"
    return PolicyDiff(before.name, after.name, compare_policies(before, after), note)


def _view_side(settings: Callable[[], Settings], what: str) -> PolicyView:
    if VERSION.fullmatch(what):
        found = settings()
        public = open_store(found.public, endpoint_url=found.s3_endpoint_url)
        prefix = release_prefix(what)
        tables = registry_of(found).latest
        return _view_release(lambda path: public.get(prefix + path), f"{public.url}/{prefix}", _staging(found), tables)
    folder = Path(what)
    if folder.is_dir():
        try:
            staging = _staging(settings())
        except UsageError:  # a release can be looked at where nothing is configured
            staging = None
        return _view_release(lambda path: _read_file(folder / path), str(folder), staging, _tables(settings))
    return view_policy(read_policy(what), _tables(settings).values())


def _tables(settings: Callable[[], Settings]) -> dict[str, TableSchema]:
    try:
        found = settings()
    except UsageError:  # policies can be compared where nothing is configured
        return shipped_registry().latest
    return registry_of(found).latest


def _last_release(settings: Settings) -> str:
    public = open_store(settings.public, endpoint_url=settings.s3_endpoint_url)
    published = read_manifests(public)
    if not published:
        raise UsageError(f"no release is published in {public.url}; name two policies, or a release's folder")
    return max(published, key=version_order)


def _view_release(read: _Read, place: str, staging: Store | None, known: dict[str, TableSchema]) -> PolicyView:
    manifest = _parse(read(MANIFEST), Manifest, f"{place}/{MANIFEST}")
    schemas = [
        _parse(read(schema_path(table.table)), TableSchema, f"{place}/{schema_path(table.table)}")
        for table in manifest.tables
    ]
    name = f"release {manifest.release.version} (policy {manifest.policy})"
    policy = find_policy(staging, manifest.policy_digest) if staging else None
    if policy:
        tables = known | {schema.table: schema for schema in schemas}
        return replace(view_policy(policy, tables.values()), name=name)
    metrics = [metric for schema in schemas for metric in view_table(schema, [each.name for each in schema.metrics])]
    return PolicyView(name, manifest.policy_digest, tuple(metrics), domains=None, vocabularies=None)


def _without_tables_not_in(release: PolicyView, policy: PolicyView) -> PolicyView:
    """Leave out tables that a release under the same policy does not have: it had no data of them."""
    tables = {metric.table for metric in release.metrics}
    return replace(policy, metrics=tuple(metric for metric in policy.metrics if metric.table in tables))


def _staging(settings: Settings) -> Store:
    return open_store(settings.staging, endpoint_url=settings.s3_endpoint_url)


def _read_file(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _parse(content: bytes | None, model: type[_Model], place: str) -> _Model:
    if content is None:
        raise UsageError(f"found no {place}; wanted a whole release, or a policy")
    try:
        return model.model_validate_json(content)
    except ValidationError:
        raise StoreError(f"{place} is not what its name says") from None
