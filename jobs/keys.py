"""The life of keys beside the ring: which snapshots and releases use them, when one may begin, and what its end needs.

A key is destroyed once its windows are committed, or given up by name. The ring comes first and the records after it:
whoever dies in between calls again, and gets the records of what is gone already.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from pydantic import ValidationError

from anonymize.keys import KeyRing, add_key, destroy_key, read_ring
from jobs.config import Settings
from jobs.kept import record_destruction
from jobs.publish.attest import attest_destruction
from jobs.publish.outgoing import guard_public
from jobs.published import read_manifests
from jobs.registry import registry_of
from jobs.release.spans import read_spans
from jobs.store import Store, open_store
from schemas.commit import CommitRecord
from schemas.destruction import KeyDestruction, LostSpan
from schemas.errors import PrivacyError, StoreError, UsageError
from schemas.windows import Window, format_duration, parse_instant, snap_outward, windows_between


@dataclass(frozen=True, slots=True, order=True)
class Snapshot:
    """A committed window of a table, as the name of its record tells."""

    source: str
    table: str
    window: Window
    record: str
    """The record's key in the staging store."""


@dataclass(frozen=True, slots=True)
class KeyUse:
    """What was made under a key: committed snapshots of its time, and the published releases that name it."""

    snapshots: int
    first: datetime | None
    last: datetime | None
    releases: tuple[str, ...]
    others: tuple[str, ...]
    """Keys that the newest snapshots of this time really have: the ring was replaced once."""


@dataclass(frozen=True)
class Destruction:
    """What destroying a key means, or has meant."""

    record: KeyDestruction
    done: bool
    """Whether it is done; else this is only what it would be."""
    releases: tuple[str, ...]
    """Published releases beside which a record lies, or will."""


def list_snapshots(store: Store, width: timedelta) -> list[Snapshot]:
    """Return every committed snapshot of every source of a store, from names alone."""
    found = []
    for key in store.list("commits/"):
        try:
            _, source, table, _, name = key.split("/")
            start = parse_instant(name.removesuffix(".json"))
        except ValueError:
            raise StoreError(f"{key} in {store.url} is not the name of a commit") from None
        found.append(Snapshot(source, table, Window(start, start + width), key))
    return found


def read_uses(settings: Settings, ring: KeyRing) -> dict[str, KeyUse]:
    """Return for each key of the ring what was made under it; raise ``StoreError`` when a store cannot be read."""
    staging = open_store(settings.staging, endpoint_url=settings.s3_endpoint_url)
    releases = _releases_by_key(settings)
    snapshots = list_snapshots(staging, settings.collection.window)
    uses = {}
    for entry in ring.keys:
        own = [snapshot for snapshot in snapshots if entry.holds(snapshot.window)]
        newest = {(each.source, each.table): each for each in sorted(own)}
        found = {_read_key_id(staging, each.record) for each in newest.values()}
        uses[entry.key_id] = KeyUse(
            snapshots=len(own),
            first=min((each.window.start for each in own), default=None),
            last=max((each.window.end for each in own), default=None),
            releases=releases.get(entry.key_id, ()),
            others=tuple(sorted(found - {entry.key_id})),
        )
    return uses


def make_key(settings: Settings, *, now: datetime, valid_from: datetime | None) -> str:
    """Begin the ring, or the epoch of its next key at ``valid_from``; return the new key's id.

    Raise ``UsageError`` for an instant inside a window, and ``PrivacyError`` for one that takes over windows which
    older keys have named already: a release spans one key, so keys change where a release ends.
    """
    path, collection = settings.privacy.key_file, settings.collection
    if valid_from and snap_outward(valid_from, valid_from, collection.window).start != valid_from:
        raise UsageError(
            f"found --valid-from {valid_from:%FT%TZ} inside a window, which then had no key; wanted the start of a "
            f"window of {format_duration(collection.window)}"
        )
    if valid_from and path.exists():
        staging = open_store(settings.staging, endpoint_url=settings.s3_endpoint_url)
        newest = max((each.window.end for each in list_snapshots(staging, collection.window)), default=valid_from)
        if newest > valid_from:
            raise PrivacyError(
                f"snapshots up to {newest:%FT%TZ} are committed under older keys; wanted --valid-from "
                f"{newest:%FT%TZ} or later"
            )
        public = open_store(settings.public, endpoint_url=settings.s3_endpoint_url)
        for release in read_spans(public, staging).values():
            if release.window.start < valid_from < release.window.end:
                raise PrivacyError(
                    f"release {release.version} spans {valid_from:%FT%TZ}, and a release spans one key; wanted "
                    f"--valid-from {release.window.end:%FT%TZ} or later"
                )
    return add_key(path, now=now, valid_from=valid_from)


def find_lost(
    snapshots: Iterable[Snapshot],
    epoch: tuple[datetime | None, datetime],
    *,
    configured: Mapping[str, Collection[str]],
    now: datetime,
    width: timedelta,
    max_catch_up: timedelta,
) -> tuple[LostSpan, ...]:
    """Return the windows of an epoch that no table could have any more without its key. Pure.

    Expected of a table is every window since its first snapshot, and as far back as catching up reaches. ``configured``
    names tables that are expected beside those with snapshots.
    """
    done: dict[tuple[str, str], set[datetime]] = {}
    for each in snapshots:
        done.setdefault((each.source, each.table), set()).add(each.window.start)
    for source, tables in configured.items():
        for table in tables:
            done.setdefault((source, table), set())
    reach = snap_outward(now - max_catch_up, now, width).start
    lost = []
    for (source, table), starts in sorted(done.items()):
        since = min((*starts, reach))
        first = max(since, epoch[0]) if epoch[0] else since
        missing = [w.start for w in windows_between(first, epoch[1], width) if w.start not in starts]
        lost += [LostSpan(source=source, table=table, start=a, end=b) for a, b in _join(missing, width)]
    return tuple(lost)


def destroy(settings: Settings, key_id: str, *, now: datetime, record_gaps: bool, confirmed: bool) -> Destruction:
    """Destroy a key and record it; without ``confirmed`` only return what that would mean.

    Raise ``PrivacyError`` while windows of the key are not committed, unless ``record_gaps`` gives them up. Called
    again for a key that is gone, write the records that are missing, also beside releases made since.
    """
    collection = settings.collection
    entry = read_ring(settings.privacy.key_file).find(key_id)
    if entry.valid_to is None:
        raise PrivacyError(
            f"the epoch of {key_id} has no end, so windows to come need it; begin the next one first, with "
            "'opspub key new --valid-from'"
        )
    if entry.valid_to > now - collection.settle and not entry.destroyed:
        raise PrivacyError(
            f"the last window of {key_id} settles at {entry.valid_to + collection.settle:%FT%TZ}; it is {now:%FT%TZ}"
        )
    staging = open_store(settings.staging, endpoint_url=settings.s3_endpoint_url)
    snapshots = list_snapshots(staging, collection.window)
    tables = registry_of(settings).latest if collection.tables == "all" else collection.tables
    lost = find_lost(
        snapshots,
        (entry.valid_from, entry.valid_to),
        configured={settings.source.name: tuple(tables)},
        now=entry.destroyed or now,
        width=collection.window,
        max_catch_up=collection.max_catch_up,
    )
    releases = _releases_by_key(settings).get(key_id, ())
    record = KeyDestruction(
        key_id=key_id,
        valid_from=entry.valid_from,
        valid_to=entry.valid_to,
        destroyed=entry.destroyed or now,
        snapshots=sum(entry.holds(each.window) for each in snapshots),
        gaps=lost,
    )
    public = guard_public(open_store(settings.public, endpoint_url=settings.s3_endpoint_url), settings)
    if not entry.destroyed:
        if lost and not record_gaps:
            raise PrivacyError(_tell_lost(key_id, lost, collection.window))
        if not confirmed:
            return Destruction(record, done=False, releases=releases)
        destroy_key(settings.privacy.key_file, key_id, now=now)
    try:
        record_destruction(staging, record)
        attest_destruction(public, record, releases)
    except StoreError as error:
        raise StoreError(f"{key_id} is destroyed, but not recorded everywhere; repeat this: {error}") from None
    return Destruction(record, done=True, releases=releases)


def _releases_by_key(settings: Settings) -> dict[str, tuple[str, ...]]:
    public = open_store(settings.public, endpoint_url=settings.s3_endpoint_url)
    found: dict[str, tuple[str, ...]] = {}
    for version, manifest in read_manifests(public).items():
        found[manifest.key_id] = (*found.get(manifest.key_id, ()), version)
    return found


def _read_key_id(store: Store, key: str) -> str:
    try:
        return CommitRecord.model_validate_json(store.get(key) or b"").key_id
    except ValidationError:
        raise StoreError(f"{key} in {store.url} is not a commit record") from None


def _join(starts: Sequence[datetime], width: timedelta) -> Iterator[tuple[datetime, datetime]]:
    """Yield spans of windows that follow each other."""
    for _, run in groupby(enumerate(starts), key=lambda pair: pair[1] - pair[0] * width):
        windows = [start for _, start in run]
        yield windows[0], windows[-1] + width


def _tell_lost(key_id: str, lost: Sequence[LostSpan], width: timedelta) -> str:
    windows = sum((span.end - span.start) // width for span in lost)
    first = min(lost, key=lambda span: span.start)
    return (
        f"{windows} windows of {key_id} are not committed, the first of table {first.table} in "
        f"{Window(first.start, first.end)}; run 'opspub snapshot', or give them up for ever with --record-gaps"
    )
