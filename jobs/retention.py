"""Retention of the staging store: the files of old snapshots go, once a release holds them; their commits stay.

A commit that stays keeps its window from becoming due again. Before the first file of a window goes, a record says that
it goes: whoever is killed in between leaves a window that counts as expired, and whose files the next call removes.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from jobs.config import Settings
from jobs.kept import keep_expiry
from jobs.published import read_published
from jobs.release.build import Progress
from jobs.release.spans import RealSpan, read_spans
from jobs.snapshot.commits import commit_key, read_commits
from jobs.store import WholeStore, open_store
from schemas.commit import CommitRecord
from schemas.errors import StoreError, UsageError
from schemas.windows import Window, format_duration

LEAST: Final = timedelta(days=7)
"""Whoever finds an error in a fresh release must still be able to make it anew."""


@dataclass(frozen=True, slots=True)
class OldSnapshot:
    """A snapshot whose files may go."""

    table: str
    window: Window
    commit: str
    """Its record's key in the staging store."""
    release: str | None
    """A published release that holds it; ``None`` for one that no release ever had."""
    files: int
    bytes: int
    removed: bool = False


@dataclass
class RetentionResult:
    """What was found, and what became of it."""

    snapshots: list[OldSnapshot] = field(default_factory=list)
    unreleased: int = 0
    """Old snapshots that stay since no published release holds them."""

    @property
    def bytes(self) -> int:
        """What the files take, or took."""
        return sum(each.bytes for each in self.snapshots)


@dataclass(frozen=True, slots=True)
class _Held:
    """A published release: what it covers, of which tables, and since when it is public."""

    span: RealSpan
    tables: frozenset[str]
    since: datetime | None
    """``None`` when nobody knows: what it holds stays."""


def run_retention(
    settings: Settings,
    *,
    older_than: timedelta,
    unreleased: bool,
    apply: bool,
    now: datetime,
    progress: Progress = lambda done, total, what: None,
) -> RetentionResult:
    """List the snapshots whose files are not needed any more; with ``apply``, remove those files.

    These are snapshots of windows that ended, and that a release has held in public, for longer than ``older_than``;
    with ``unreleased``, those that no release holds, too. Until then an erratum can be made from them. Raise
    ``UsageError`` for a shorter time than that may take.
    """
    least = max(LEAST, settings.collection.max_catch_up)
    if apply and older_than < least:
        raise UsageError(
            f"found --older-than {format_duration(older_than)}; wanted at least {format_duration(least)}, since an "
            "error in a release can be mended as long as its snapshots are there"
        )
    staging = open_store(settings.staging, endpoint_url=settings.s3_endpoint_url)
    public = open_store(settings.public, endpoint_url=settings.s3_endpoint_url)
    held = list(_read_held(public, staging))
    result = RetentionResult()
    found: list[tuple[OldSnapshot, tuple[str, ...]]] = []
    for record in read_commits(staging, settings.source.name):
        if record.files and now - record.window.end > older_than:
            holders = [each for each in held if _holds(each, record)]
            if holders and not any(each.since and now - each.since > older_than for each in holders):
                continue
            if not holders and not unreleased:
                result.unreleased += 1
                continue
            version = holders[0].span.version if holders else None
            present = [file for file in record.files if _is_there(staging, file.path)]
            if present:
                size = sum(file.bytes for file in present)
                old = OldSnapshot(record.table, record.window.window, commit_key(record), version, len(present), size)
                found.append((old, tuple(file.path for file in record.files)))
    for done, (old, paths) in enumerate(found):
        progress(done, len(found), f"{old.table} {old.window}")
        if apply:
            keep_expiry(staging, old.commit, now=now)  # first: a window without all of its files must not look whole
            for path in paths:
                _erase(staging, path, now)
        result.snapshots.append(
            OldSnapshot(old.table, old.window, old.commit, old.release, old.files, old.bytes, removed=apply)
        )
    return result


def retention_facts(result: RetentionResult, *, apply: bool) -> dict[str, object]:
    """Return a result for machines."""
    snapshots = [
        {name: getattr(each, name) for name in ("table", "commit", "release", "files", "bytes", "removed")}
        for each in result.snapshots
    ]
    return {"applied": apply, "bytes": result.bytes, "kept_unreleased": result.unreleased, "snapshots": snapshots}


def render_retention(result: RetentionResult, *, apply: bool) -> Iterator[str]:
    """Yield a result for people."""
    for each in result.snapshots:
        where = f"in release {each.release}" if each.release else "in no release"
        yield f"{each.table:14} {each.window}: {each.files} files, {each.bytes:,} bytes, {where}"
    if result.unreleased:
        yield f"{result.unreleased} old snapshots are in no published release and stay; --unreleased takes them, too"
    what = "were removed" if apply else "may go; --apply removes them"
    yield f"the files of {len(result.snapshots)} snapshots, {result.bytes:,} bytes, {what}"


def _read_held(public: WholeStore, staging: WholeStore) -> Iterator[_Held]:
    spans = read_spans(public, staging)
    for version, (manifest, _) in read_published(public).items():
        tables = frozenset(table.table for table in manifest.tables)
        yield _Held(spans[version], tables, _read_published(public, version))


def _read_published(public: WholeStore, version: str) -> datetime | None:
    key = f"attestations/{version}/published.json"
    content = public.get(key)
    if content is None:
        return None
    try:
        return datetime.fromisoformat(json.loads(content)["published"])
    except (ValueError, KeyError, TypeError):
        raise StoreError(f"{key} in {public.url} does not say when the release was published") from None


def _holds(held: _Held, record: CommitRecord) -> bool:
    window = held.span.window
    return (
        record.table in held.tables
        and record.source_token in held.span.sources
        and window.start <= record.window.start
        and record.window.end <= window.end
    )


def _is_there(store: WholeStore, key: str) -> bool:
    return store.get_range(key, 0, 1) is not None


def _erase(store: WholeStore, key: str, now: datetime) -> None:
    """Remove an object with all its versions, its marker last."""
    there = [each for each in store.survey(key, now=now) if each.key == key and each.kind != "unfinished upload"]
    for remains in sorted(there, key=lambda each: each.kind == "delete marker"):
        store.erase(remains)
