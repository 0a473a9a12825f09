"""Clean-up: what no commit and no published release names, once it is too old to belong to a run that is going on.

Only what is known to be ours is looked at, and no object below a release that is published. What is young by any clock
stays: a run writes its files before the commit that names them, so those of a run that is going on are young.
"""

import re
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Final, Literal

from pydantic import ValidationError

from jobs.config import Settings
from jobs.layout import MANIFEST, SUMS, VERSION, release_prefix
from jobs.publish.attest import attestations
from jobs.publish.catalog import CATALOG, INDEX
from jobs.published import retraction_key
from jobs.release.build import Progress
from jobs.store import INCOMING, Remains, WholeStore, open_store
from jobs.store.ahead import read_objects
from schemas.commit import CommitRecord
from schemas.errors import StoreError, UsageError
from schemas.windows import format_duration

_STAGING: Final = (
    "commits/",
    "data/",
    "keys/",
    "policies/",
    "probe/",
    "releases/",
    "suppressed/",
    "time/",
    f"{INCOMING}/",
)
_PUBLIC: Final = ("attestations/", "releases/", "retractions/", "probe/", f"{INCOMING}/", CATALOG, INDEX)
_WORK: Final = ("snapshot-*", "releases/.*", "retractions/.*")
"""What a killed run leaves in the work folder: windows in work, releases in work, files that never got their name."""
_DATA: Final = re.compile(r"data/(?P<place>[^/]+/[^/]+/v\d+/\d{8}T\d{6}Z)/[0-9a-f]{16}\.parquet")
_PROBE: Final = re.compile(r"probe/[0-9a-f]{16}")
_RELEASE: Final = re.compile(r"releases/(?P<version>[^/]+)/.*")
_ATTESTED: Final = re.compile(r"attestations/(?P<version>[^/]+)/[^/]+")

Where = Literal["staging", "public", "work_dir"]


@dataclass(frozen=True, slots=True)
class Orphan:
    """Something that nothing names."""

    where: Where
    key: str
    what: str
    bytes: int
    age: timedelta
    removed: bool = False
    """Whether it is gone now; one that was written or named meanwhile is not."""


@dataclass
class GcResult:
    """What was found, and what became of it."""

    orphans: list[Orphan] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        """What the orphans take, or took."""
        return sum(orphan.bytes for orphan in self.orphans)

    @property
    def removed(self) -> int:
        """How many of them are gone."""
        return sum(orphan.removed for orphan in self.orphans)


@dataclass(frozen=True)
class _Found:
    """What a store has under one key, why that is an orphan, and how to see whether it still is."""

    items: tuple[Remains, ...]
    what: str
    still: Callable[[], bool] = lambda: True

    @property
    def key(self) -> str:
        return self.items[0].key


def run_gc(
    settings: Settings,
    *,
    grace: timedelta,
    apply: bool,
    now: datetime,
    progress: Progress = lambda done, total, what: None,
) -> GcResult:
    """List what nothing names and is older than ``grace``; with ``apply``, remove it.

    Raise ``UsageError`` for a removal whose grace is shorter than a run may take, and ``StoreError`` for a commit that
    cannot be read: what it names is not known then, and nothing is removed.
    """
    deadline = settings.limits.deadline
    if apply and grace < deadline:
        raise UsageError(
            f"found --grace {format_duration(grace)}; wanted at least limits.deadline {format_duration(deadline)}, "
            "since a run that is going on has files that no commit names yet"
        )
    result = GcResult()
    stores: tuple[tuple[Where, str, Callable[[_Sweep], Iterator[_Found]]], ...] = (
        ("staging", settings.staging, _staging_orphans),
        ("public", settings.public, _public_orphans),
    )
    for where, url, find in stores:
        sweep = _Sweep(open_store(url, endpoint_url=settings.s3_endpoint_url), grace, now)
        found = list(find(sweep))  # all of it first: nothing is removed when something cannot be judged
        for done, each in enumerate(found):
            progress(done, len(found), f"{where}: {each.key}")
            size, age = sum(item.bytes for item in each.items), min(item.age for item in each.items)
            result.orphans.append(Orphan(where, each.key, each.what, size, age, apply and sweep.remove(each)))
    result.orphans += _sweep_folder(settings.work_dir, grace=grace, now=now, apply=apply)
    return result


def orphan_facts(result: GcResult, *, apply: bool) -> dict[str, object]:
    """Return a result for machines; ages in whole seconds."""
    orphans = [
        {name: getattr(each, name) for name in ("where", "key", "what", "bytes", "removed")}
        | {"age_seconds": int(each.age.total_seconds())}
        for each in result.orphans
    ]
    return {"applied": apply, "removed": result.removed, "bytes": result.bytes, "orphans": orphans}


def render_orphans(result: GcResult, *, apply: bool) -> Iterator[str]:
    """Yield a result for people: what, where, how large and how old."""
    for each in result.orphans:
        age = format_duration(timedelta(minutes=each.age // timedelta(minutes=1)))
        kept = "; kept, since it is in use again" if apply and not each.removed else ""
        yield f"{each.where:8} {each.key}: {each.what}, {each.bytes:,} bytes, {age} old{kept}"
    if not result.orphans:
        yield "nothing is left over"
    elif apply:
        yield f"{result.removed} of {len(result.orphans)} were removed, {result.bytes:,} bytes in all"
    else:
        yield f"{len(result.orphans)} are left over, {result.bytes:,} bytes; --apply removes them"


@dataclass(frozen=True)
class _Sweep:
    """One store, and what counts as old in it."""

    store: WholeStore
    grace: timedelta
    now: datetime

    def survey(self, prefix: str) -> Iterator[tuple[str, tuple[Remains, ...]]]:
        """Yield what is under each key, whatever its age: versions and markers together, each upload by itself."""
        for key, items in groupby(self.store.survey(prefix, now=self.now), key=lambda item: item.key):
            objects = []
            for item in items:
                if item.kind == "unfinished upload":
                    yield key, (item,)
                else:
                    objects.append(item)
            if objects:
                yield key, tuple(objects)

    def is_old(self, items: Sequence[Remains]) -> bool:
        """Return whether no run that is going on can have written any of it."""
        return all(item.age > self.grace for item in items)

    def remove(self, found: _Found) -> bool:
        """Remove an orphan, unless somebody has written it again or named it since it was found."""
        handles = {item.handle for item in found.items}
        now_there = [items for key, items in self.survey(found.key) if key == found.key]
        same = [items for items in now_there if handles & {item.handle for item in items}]
        if not all(self.is_old(items) for items in same) or not found.still():
            return False
        for item in sorted(found.items, key=lambda item: item.kind == "delete marker"):
            self.store.erase(item)  # the marker last: without it the version below would be seen again
        return True


def _staging_orphans(sweep: _Sweep) -> Iterator[_Found]:
    staged: dict[str, list[tuple[Remains, ...]]] = defaultdict(list)
    for key, items in _ours(sweep, _STAGING):
        if items[0].kind == "unfinished upload":
            yield _Found(items, "an unfinished upload")
        elif _PROBE.fullmatch(key):
            yield _Found(items, "a probe of the doctor")
        elif match := _DATA.fullmatch(key):
            staged[match["place"]].append(items)
    commits = read_objects(sweep.store, map(_commit_key, staged))
    for (place, files), (_, content) in zip(staged.items(), commits, strict=True):
        named = _named(sweep.store, place, content)
        for items in files:
            key = items[0].key
            if key not in named:
                yield _Found(items, "a staged file that no commit names", partial(_unnamed, sweep.store, place, key))


def _public_orphans(sweep: _Sweep) -> Iterator[_Found]:
    """Find what is left of retracted releases, and of those whose publishing died and was not taken up again."""
    releases: dict[str, list[tuple[Remains, ...]]] = defaultdict(list)
    attested: dict[str, list[tuple[Remains, ...]]] = defaultdict(list)
    for key, items in _ours(sweep, _PUBLIC, young=True):
        old, match = sweep.is_old(items), _RELEASE.fullmatch(key)
        if items[0].kind == "unfinished upload":
            if old:
                yield _Found(items, "an unfinished upload")
        elif old and _PROBE.fullmatch(key):
            yield _Found(items, "a probe of the doctor")
        elif match and VERSION.fullmatch(match["version"]):
            releases[match["version"]].append(items)
        elif (match := _ATTESTED.fullmatch(key)) and VERSION.fullmatch(match["version"]):
            attested[match["version"]].append(items)
    for version, files in releases.items():
        what, still = "left of a retracted release", partial(_is_retracted, sweep.store, version)
        if not still():
            what, still = "of a release that was never finished", partial(_is_half, sweep.store, version)
            if not all(map(sweep.is_old, files)) or not still():
                continue
        yield from (_Found(items, what, still) for items in files if sweep.is_old(items))
    for version, said in attested.items():
        still = partial(_is_never_finished, sweep.store, version)
        if all(map(sweep.is_old, (*said, *releases[version]))) and still():
            yield from (_Found(items, "speaks for a release that was never finished", still) for items in said)


def _ours(sweep: _Sweep, prefixes: Sequence[str], *, young: bool = False) -> Iterator[tuple[str, tuple[Remains, ...]]]:
    """Yield what lies where we write: a bucket may hold other people's things as well."""
    for prefix in prefixes:
        for key, items in sweep.survey(prefix):
            if young or sweep.is_old(items):
                yield key, items


def _commit_key(place: str) -> str:
    return f"commits/{place}.json"


def _named(store: WholeStore, place: str, content: bytes | None) -> frozenset[str]:
    """Return the files that the commit of a place (source, table, version, window) names, none without a commit."""
    if content is None:
        return frozenset()
    try:
        return frozenset(file.path for file in CommitRecord.model_validate_json(content).files)
    except ValidationError as error:
        raise StoreError(
            f"{_commit_key(place)} in {store.url} cannot be read ({error.error_count()} problems), so what it names is "
            "not known and nothing was removed; is this program older than the commit?"
        ) from None


def _unnamed(store: WholeStore, place: str, key: str) -> bool:
    return key not in _named(store, place, store.get(_commit_key(place)))


def _is_retracted(store: WholeStore, version: str) -> bool:
    return store.get(retraction_key(version)) is not None


def _is_half(store: WholeStore, version: str) -> bool:
    return store.get(release_prefix(version) + MANIFEST) is None


def _is_never_finished(store: WholeStore, version: str) -> bool:
    """Tell whether a release was neither public nor withdrawn; sums without a manifest say that it was public."""
    has_sums = store.get(attestations(version) + SUMS) is not None
    return not has_sums and not _is_retracted(store, version) and _is_half(store, version)


def _sweep_folder(work_dir: Path, *, grace: timedelta, now: datetime, apply: bool) -> Iterator[Orphan]:
    """Find, and with ``apply`` remove, what killed runs left in the work folder."""
    for pattern in _WORK:
        for path in sorted(work_dir.glob(pattern)):
            size, changed = _measure(path)
            if changed and now - changed > grace:
                if apply:
                    _remove(path)
                key = path.relative_to(work_dir).as_posix()
                yield Orphan("work_dir", key, "left by a run that died", size, now - changed, apply)


def _measure(path: Path) -> tuple[int, datetime | None]:
    """Return what a file or folder takes, and when anything in it last changed; ``None`` when it is gone."""
    size, changed = 0, 0.0
    inside = path.rglob("*") if path.is_dir() and not path.is_symlink() else ()
    for each in (path, *inside):
        try:
            status = each.lstat()
        except FileNotFoundError:  # its run is going on
            continue
        size, changed = size + status.st_size, max(changed, status.st_mtime)
    return size, datetime.fromtimestamp(changed, UTC) if changed else None


def _remove(path: Path) -> None:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{path} cannot be removed: {error.strerror}") from None
