"""Build a release from committed snapshots. The same commits and configuration give the same bytes."""

import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from jobs.card.facts import ReleaseFacts
from jobs.config import Settings
from jobs.kept import read_expired, read_suppressions
from jobs.layout import VERSION
from jobs.registry import registry_of
from jobs.release.content import Content, write_content
from jobs.release.groups import choose_suppression
from jobs.release.heads import CommitHead, read_heads
from jobs.release.timeline import choose_timeline
from jobs.snapshot.commits import check_description, wanted_description
from jobs.store import Store, open_store
from schemas.digest import digest
from schemas.errors import PrivacyError, UsageError
from schemas.manifest import Manifest, ReleaseInfo
from schemas.policy import Policy
from schemas.registry import Registry, read_policy
from schemas.suppression import SuppressionRecord
from schemas.table import TableSchema
from schemas.windows import Window, windows_between

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class BuiltRelease:
    """A release that lies finished in the work folder, not yet public."""

    folder: Path
    manifest: Manifest
    commits: tuple[CommitHead, ...]
    """What it was made from."""
    span: Window
    """When its data really are; the manifest may tell another time."""
    facts: ReleaseFacts
    hidden: SuppressionRecord


def release_folder(settings: Settings, version: str) -> Path:
    """Return where a release is built."""
    return settings.work_dir / "releases" / version


def check_version(version: str) -> None:
    """Raise ``UsageError`` unless the version is calendar-based."""
    if not VERSION.fullmatch(version):
        raise UsageError(f"found the version {version!r}; wanted year.month.number, such as 2026.11.0")


def whole_days(commits: Sequence[CommitHead], since: datetime | None) -> Window:
    """Return the span to release when none is given: all at first, then whole committed days since the last one."""
    if not commits:
        raise UsageError("there are no committed snapshots of this source; run 'opspub snapshot' first")
    newest = max(record.window.end for record in commits)
    if since is None:
        return Window(min(record.window.start for record in commits), newest)
    last_midnight = newest.replace(hour=0, minute=0, second=0, microsecond=0)
    if last_midnight <= since:
        raise UsageError(
            f"no whole day was committed since the last release, which ends at {since:%FT%TZ}; "
            "wait, or name the span with --start and --end"
        )
    return Window(since, last_midnight)


def count_missing(commits: Sequence[CommitHead], span: Window, width: timedelta) -> int:
    """Return how many windows of a span at least one of the committed tables lacks."""
    tables = {record.table for record in commits}
    done = {(record.table, record.window.start) for record in commits}
    return sum(
        any((table, window.start) not in done for table in tables)
        for window in windows_between(span.start, span.end, width)
    )


def build_release(
    settings: Settings,
    version: str,
    *,
    choose_span: Callable[[Sequence[CommitHead]], Window],
    progress: Progress = lambda done, total, what: None,
) -> BuiltRelease:
    """Build ``version`` in the work folder; nothing shows there before all of it is finished."""
    check_version(version)
    store = open_store(settings.staging, endpoint_url=settings.s3_endpoint_url)
    everything = list(read_heads(store, settings.source.name))
    if everything:
        check_description(store, wanted_description(settings.collection))
    span = choose_span(everything)
    commits = [r for r in everything if span.start <= r.window.start and r.window.end <= span.end]
    _refuse_expired(store, settings.source.name, commits)
    policy = read_policy(settings.privacy.policy)
    schemas = _check_commits(commits, span, policy, registry_of(settings))
    timeline = choose_timeline(settings.privacy.time, span, key_id=commits[0].key_id, store=store)
    told = [timeline.move_head(head) for head in commits]
    folder = release_folder(settings, version)
    unfinished = folder.with_name(f".{version}.{secrets.token_hex(4)}")
    cache = unfinished.with_name(f"{unfinished.name}.staged")
    try:
        for path in (unfinished, cache):
            path.mkdir(parents=True)
        suppression = choose_suppression(
            schemas,
            told,
            policy,
            k=settings.privacy.k_anonymity,
            earlier=read_suppressions(store, settings.source.name, commits[0].key_id, but=version),
            store=store,
            cache=cache,
        )
        info = ReleaseInfo(version=version, **settings.release.model_dump(exclude={"hold_back"}))
        content = Content(settings, info, timeline, span, told, schemas, policy, suppression, store, cache, unfinished)
        manifest, facts = write_content(content, progress)
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)
    except OSError as error:
        raise UsageError(f"the release cannot be built in {folder.parent}: {error.strerror}") from error
    finally:
        shutil.rmtree(cache, ignore_errors=True)
        shutil.rmtree(unfinished, ignore_errors=True)
    hidden = suppression.record(manifest, settings.source.name)
    return BuiltRelease(folder, manifest, tuple(commits), span, facts, hidden)


def _refuse_expired(store: Store, source: str, commits: Sequence[CommitHead]) -> None:
    """Raise ``UsageError`` for snapshots without their files: they would stand there as if nothing had been."""
    expired = read_expired(store, source)
    gone = [record for record in commits if record.key in expired]
    if gone:
        newest = max(gone, key=lambda record: record.window.end).window
        span = Window(min(record.window.start for record in gone), newest.end)
        raise UsageError(
            f"{len(gone)} snapshots in {span} were removed by retention, the last in {newest}; wanted --start "
            f"{newest.end:%FT%TZ} or later"
        )


def _check_commits(
    commits: Sequence[CommitHead], span: Window, policy: Policy, registry: Registry
) -> dict[str, TableSchema]:
    """Return the schema of every table; raise when the commits can't stand in one release."""
    if not commits:
        raise UsageError(f"no snapshot is committed in {span}; run 'opspub snapshot', or name another span")
    keys = {record.key_id for record in commits}
    if len(keys) > 1:
        raise PrivacyError(f"the span {span} was collected under {len(keys)} keys; a release spans one: split it")
    if {record.policy_digest for record in commits} != {digest(policy)}:
        raise PrivacyError(
            f"snapshots in {span} were made under another policy than the configured one; split the span"
        )
    if len({record.provenance for record in commits}) > 1:
        raise UsageError(f"the span {span} holds real and simulated snapshots; a release is one or the other")
    schemas: dict[str, TableSchema] = {}
    for record in commits:
        schema = registry.find(record.table, record.schema_version)
        if digest(schema) != record.schema_digest:
            raise UsageError(f"table {schema.table} {schema.version} was changed after snapshots were made with it")
        known = schemas.setdefault(schema.table, schema)
        if known.major != schema.major:
            raise UsageError(f"the span {span} holds two major versions of table {schema.table}; split it")
        schemas[schema.table] = max(known, schema, key=lambda each: each.minor)
    return schemas
