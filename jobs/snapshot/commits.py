"""The staging store: what its keys are called, and the one write that makes a window exist."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from jobs.config import Collection
from jobs.store import Store, refuse_unguarded
from jobs.store.ahead import read_objects
from schemas.commit import CommitOutline, CommitRecord, StoreDescription
from schemas.digest import readable_json
from schemas.errors import CommitConflict, StoreError, UsageError
from schemas.table import TableSchema
from schemas.windows import Window, format_duration, from_ms, parse_instant, span_ms, to_ms

_Record = TypeVar("_Record", CommitRecord, CommitOutline)
_DESCRIPTION = "store.json"


def commit_prefix(source: str, table: str, major: int) -> str:
    """Return what the keys of all commits of one table begin with."""
    return f"commits/{source}/{table}/v{major}/"


def data_key(source: str, table: TableSchema, window: Window, sha256: str) -> str:
    """Return the content name of a staged file."""
    return f"data/{source}/{table.table}/v{table.major}/{window.name}/{sha256[:16]}.parquet"


def wanted_description(collection: Collection) -> StoreDescription:
    """Return what a store says that is collected so."""
    return StoreDescription(
        window_ms=span_ms(collection.window),
        step_ms=span_ms(collection.step),
        lookback_ms=span_ms(collection.lookback),
        timestamps=collection.timestamps,
    )


def ensure_description(store: Store, wanted: StoreDescription) -> None:
    """Describe a new store, or raise ``UsageError`` when it was made with another window, step or lookback.

    A store in which the second writer would win, too, is refused: there every run believes that the store is new.
    """
    if store.put_new(_DESCRIPTION, readable_json(wanted)):
        refuse_unguarded(store)
    else:
        check_description(store, wanted)


def check_description(store: Store, wanted: StoreDescription) -> None:
    """Raise ``UsageError`` when the snapshots of a store have another window, step or lookback than wanted."""
    try:
        found = StoreDescription.model_validate_json(_there(store, _DESCRIPTION, store.get(_DESCRIPTION)))
    except ValidationError:
        raise StoreError(f"{_DESCRIPTION} in {store.url} is not the description of a store") from None
    if found == wanted:
        return
    if found.timestamps != wanted.timestamps:
        raise UsageError(
            f"{store.url} holds snapshots with {found.timestamps} timestamps, collection.timestamps says "
            f"{wanted.timestamps}; set it back, or name another staging store"
        )
    for name in ("window_ms", "step_ms", "lookback_ms"):
        old, new = getattr(found, name), getattr(wanted, name)
        if old != new:
            raise UsageError(
                f"{store.url} holds snapshots with {name.removesuffix('_ms')} {_span(old)}, collection says "
                f"{_span(new)}; set it back, or name another staging store"
            )
    raise UsageError(f"{store.url} has format {found.format_version}; this program writes {wanted.format_version}")


def committed_windows(store: Store, source: str, table: TableSchema, width_ms: int) -> frozenset[Window]:
    """Return the windows of a table that have a commit, from the names of the records alone."""
    prefix = commit_prefix(source, table.table, table.major)
    return frozenset(_window(store, key, width_ms) for key in store.list(prefix))


def read_commits(store: Store, source: str, span: Window | None = None) -> Iterator[CommitRecord]:
    """Yield the commits of a source whose windows lie in ``span``, by table and time."""
    for record in read_records(store, store.list(f"commits/{source}/")):
        if span is None or (span.start <= record.window.start and record.window.end <= span.end):
            yield record


def read_commit(store: Store, source: str, table: TableSchema, window: Window) -> CommitRecord | None:
    """Return the commit of a table and window; ``None`` when there is none."""
    key = f"{commit_prefix(source, table.table, table.major)}{window.name}.json"
    content = store.get(key)
    return _parse(store, key, content, CommitRecord) if content is not None else None


def put_files(store: Store, files: dict[str, Path]) -> None:
    """Write staged files under their content names; one that is there already is the same.

    It is written again, so that it is young: clean-up may be about to remove what a run left that died long ago.
    """
    for key, path in files.items():
        if not store.put_new(key, path):
            store.put(key, path)


def commit_key(record: CommitRecord) -> str:
    """Return the key of a commit's record."""
    major = int(record.schema_version.split(".")[0])
    return f"{commit_prefix(record.source, record.table, major)}{record.window.window.name}.json"


def commit(store: Store, record: CommitRecord) -> None:
    """Make a window exist; raise ``CommitConflict`` when another run did first.

    The answer to a write may be lost and the library may try again: a refused write is read back, and our own
    ``run`` in it means that the first try had succeeded.
    """
    window = record.window.window
    key = commit_key(record)
    if store.put_new(key, readable_json(record)):
        return
    if _parse(store, key, store.get(key), CommitRecord).run != record.run:
        raise CommitConflict(f"table {record.table}, window {window}: another run committed it first; nothing is lost")


def _window(store: Store, key: str, width_ms: int) -> Window:
    try:
        start = parse_instant(key.rpartition("/")[2].removesuffix(".json"))
    except ValueError:
        raise StoreError(f"{key} in {store.url} is not the name of a commit") from None
    return Window(start, from_ms(to_ms(start) + width_ms))


def read_records(store: Store, keys: Iterable[str]) -> Iterator[CommitRecord]:
    """Yield the commits with these keys, in their order; raise ``StoreError`` for one that is not there, or none."""
    for key, content in read_objects(store, keys):
        yield _parse(store, key, content, CommitRecord)


def read_outlines(store: Store, keys: Iterable[str]) -> Iterator[tuple[str, CommitOutline]]:
    """Yield the same with their keys, without their coverage, in a fraction of the time."""
    for key, content in read_objects(store, keys):
        yield key, _parse(store, key, content, CommitOutline)


def _parse(store: Store, key: str, content: bytes | None, kind: type[_Record]) -> _Record:
    try:
        return kind.model_validate_json(_there(store, key, content))
    except ValidationError as error:
        raise StoreError(f"{key} in {store.url} is not a commit record: {error.error_count()} problems") from None


def _there(store: Store, key: str, content: bytes | None) -> bytes:
    if content is None:
        raise StoreError(f"{key} was just in {store.url} and is gone")
    return content


def _span(milliseconds: int) -> str:
    return format_duration(from_ms(milliseconds) - from_ms(0))
