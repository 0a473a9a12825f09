"""The one write that makes a window exist: it happens once, whatever becomes of its answer."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jobs.snapshot.commits import (
    commit,
    commit_prefix,
    committed_windows,
    data_key,
    ensure_description,
    put_files,
    read_commits,
)
from jobs.store.folder import FolderStore
from schemas.commit import CommitRecord, StoreDescription
from schemas.errors import CommitConflict, StoreError, UsageError
from schemas.table import TableSchema
from schemas.windows import Window
from tests.jobs.builders import a_commit_record, a_gpu_schema, a_node_schema

HOUR = timedelta(hours=1)
HOUR_MS = 3_600_000
START = datetime(2026, 11, 1, tzinfo=UTC)


class MemoryStore:
    """Objects in a dictionary. The answers to the first ``lost`` conditional writes never arrive: S3 tries again."""

    url = "memory:"

    def __init__(self, *, lost: int = 0) -> None:
        self.objects: dict[str, bytes] = {}
        self.lost = lost
        self.reads: list[str] = []

    def put_new(self, key: str, content: bytes | Path) -> bool:
        if key in self.objects:
            return False
        self.put(key, content)
        self.lost -= 1
        return self.lost < 0  # the library's second try finds what the first one made

    def put(self, key: str, content: bytes | Path) -> None:
        self.objects[key] = content if isinstance(content, bytes) else content.read_bytes()

    def get(self, key: str) -> bytes | None:
        self.reads.append(key)
        return self.objects.get(key)

    def fetch(self, key: str, path: Path) -> None:
        path.write_bytes(self.objects[key])

    def list(self, prefix: str) -> Iterator[str]:
        yield from sorted(key for key in self.objects if key.startswith(prefix))

    def delete(self, key: str) -> None:
        self.objects.pop(key, None)


def a_window(hour: int = 0) -> Window:
    return Window(START + hour * HOUR, START + (hour + 1) * HOUR)


def a_record(
    *, run: str = "run-1", window: Window | None = None, table: TableSchema | None = None, source: str = "lab"
) -> CommitRecord:
    window, table = window or a_window(), table or a_node_schema()
    return a_commit_record(
        window.start,
        width=window.end - window.start,
        run=run,
        source=source,
        table=table.table,
        schema_version=table.version,
    )


def a_description(**changed: int | str) -> StoreDescription:
    return StoreDescription.model_validate({"window_ms": HOUR_MS, "step_ms": 30_000, "lookback_ms": 300_000} | changed)


def test_a_commit_lies_where_readers_look_for_it() -> None:
    """The layout of the staging store is an interface: other people's scripts read it."""
    store = MemoryStore()

    commit(store, a_record(table=a_gpu_schema()))

    assert list(store.objects) == ["commits/lab/gpu/v2/20261101T000000Z.json"]
    assert data_key("lab", a_gpu_schema(), a_window(6), "0123456789abcdef" * 4) == (
        "data/lab/gpu/v2/20261101T060000Z/0123456789abcdef.parquet"
    )


def test_a_window_is_committed_once() -> None:
    store = MemoryStore()
    commit(store, a_record(run="run-1"))

    with pytest.raises(CommitConflict, match=r"^table node, window 2026-11-01T00:00:00Z/.*: another run") as caught:
        commit(store, a_record(run="run-2"))

    assert caught.value.exit_code == 7
    assert [record.run for record in read_commits(store, "lab")] == ["run-1"]


def test_a_lost_answer_to_our_own_commit_is_a_success() -> None:
    """The first try had been stored; the retry is refused, and reading it back shows our own run."""
    store = MemoryStore(lost=1)

    commit(store, a_record(run="run-1"))

    assert store.reads == ["commits/lab/node/v1/20261101T000000Z.json"]
    assert [record.run for record in read_commits(store, "lab")] == ["run-1"]


def test_a_refused_commit_of_another_run_is_a_conflict_though_it_says_the_same() -> None:
    """Two runs may make the same files; only one of them may count the window as its own."""
    store = MemoryStore(lost=1)
    commit(store, a_record(run="run-1"))

    with pytest.raises(CommitConflict):
        commit(store, a_record(run="run-2"))


def test_a_commit_that_is_refused_and_then_gone_is_an_error_of_the_store() -> None:
    class Forgetful(MemoryStore):
        def get(self, key: str) -> bytes | None:
            return None

    store = Forgetful(lost=1)

    with pytest.raises(StoreError, match=r"was just in memory: and is gone"):
        commit(store, a_record())


def test_a_new_store_is_described_once_and_agrees_with_itself() -> None:
    """The answer may be lost here, too: what counts is what the store says."""
    store = MemoryStore(lost=1)

    for _ in range(3):
        ensure_description(store, a_description())

    assert StoreDescription.model_validate_json(store.objects["store.json"]) == a_description()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"window_ms": HOUR_MS // 4}, "with window 1h, collection says 15m"),
        ({"step_ms": 15_000}, "with step 30s, collection says 15s"),
        ({"lookback_ms": 60_000}, "with lookback 5m, collection says 1m"),
        ({"timestamps": "raw"}, "with grid timestamps, collection.timestamps says raw"),
    ],
)
def test_a_store_made_otherwise_is_refused_and_the_difference_named(
    changed: dict[str, int | str], message: str
) -> None:
    """Windows of two widths in one store would overlap: samples would be doubled."""
    store = MemoryStore()
    ensure_description(store, a_description())

    with pytest.raises(UsageError, match=f"{message}; set it back, or name another staging store") as caught:
        ensure_description(store, a_description(**changed))

    assert caught.value.exit_code == 2
    assert StoreDescription.model_validate_json(store.objects["store.json"]) == a_description()


def test_a_store_of_another_format_is_refused() -> None:
    store = MemoryStore()
    store.put("store.json", a_description().model_copy(update={"format_version": "9.0"}).model_dump_json().encode())

    with pytest.raises(UsageError, match=r"has format 9\.0; this program writes 1\.0"):
        ensure_description(store, a_description())


@pytest.mark.parametrize("content", [b"", b"<html>", b'{"window_ms": 1}', b'{"window_ms": "x"}', b"\xff"])
def test_a_store_json_that_is_none_is_an_error_of_the_store(content: bytes) -> None:
    store = MemoryStore()
    store.put("store.json", content)

    with pytest.raises(StoreError, match=r"^store\.json in memory: is not the description of a store"):
        ensure_description(store, a_description())


def test_what_is_committed_is_known_from_names_alone() -> None:
    """A year has 8,760 windows a table: reading every record to plan a run would take minutes."""
    store = MemoryStore()
    for hour in (0, 2, 25):
        commit(store, a_record(window=a_window(hour)))
    commit(store, a_record(window=a_window(1), source="lab-2"))
    commit(store, a_record(window=a_window(1), table=a_gpu_schema()))
    store.reads.clear()

    found = committed_windows(store, "lab", a_node_schema(), HOUR_MS)

    assert found == {a_window(0), a_window(2), a_window(25)}
    assert not store.reads


def test_a_new_major_version_of_a_table_has_commits_of_its_own() -> None:
    store = MemoryStore()
    commit(store, a_record())
    newer = a_node_schema().model_copy(update={"version": "2.0"})
    minor = a_node_schema().model_copy(update={"version": "1.7"})

    assert not committed_windows(store, "lab", newer, HOUR_MS)
    assert committed_windows(store, "lab", minor, HOUR_MS) == {a_window()}
    assert commit_prefix("lab", "node", 1) == "commits/lab/node/v1/"


@pytest.mark.parametrize("name", ["README.md", "20261101T000000Z.json.tmp", "20261301T000000Z.json", "x/y.json"])
def test_a_stranger_among_the_commits_is_named(name: str) -> None:
    store = MemoryStore()
    store.put(f"commits/lab/node/v1/{name}", b"")

    with pytest.raises(StoreError, match=f"^commits/lab/node/v1/{name} in memory: is not the name of a commit"):
        committed_windows(store, "lab", a_node_schema(), HOUR_MS)


def test_commits_are_read_by_span_and_a_broken_one_is_named() -> None:
    store = MemoryStore()
    for hour in range(4):
        commit(store, a_record(window=a_window(hour)))

    inside = [record.window.window for record in read_commits(store, "lab", Window(START + HOUR, START + 3 * HOUR))]

    assert inside == [a_window(1), a_window(2)]
    store.put("commits/lab/node/v1/20261101T020000Z.json", b'{"run": "half')
    with pytest.raises(StoreError, match=r"20261101T020000Z\.json in memory: is not a commit record"):
        list(read_commits(store, "lab"))


def test_files_that_are_there_already_are_left_as_they_are(tmp_path: Path) -> None:
    """A run that died between its files and its commit is repeated; equal content has an equal name."""
    store, path = MemoryStore(), tmp_path / "run-0.parquet"
    path.write_bytes(b"content")

    for _ in range(2):
        put_files(store, {"data/lab/node/v1/20261101T000000Z/0123456789abcdef.parquet": path})

    assert list(store.objects.values()) == [b"content"]


class CarelessStore(MemoryStore):
    """A server that ignores ``If-None-Match``: everybody wins."""

    def put_new(self, key: str, content: bytes | Path) -> bool:
        self.put(key, content)
        return True


def test_a_store_in_which_everybody_wins_is_refused_by_every_run() -> None:
    """Two runs would both commit a window; the second run must not take the first one's description for a good sign."""
    store = CarelessStore()

    for _ in range(2):
        with pytest.raises(StoreError, match="ignores If-None-Match"):
            ensure_description(store, a_description())


def test_a_file_that_is_there_already_becomes_young(tmp_path: Path) -> None:
    """Clean-up takes what is old and has no commit; this file is about to have one."""
    store = FolderStore(tmp_path / "staging")
    (tmp_path / "run-0.parquet").write_bytes(b"1")
    files = {"data/lab/node/v1/20261101T000000Z/0123456789abcdef.parquet": tmp_path / "run-0.parquet"}
    put_files(store, files)
    staged = tmp_path / "staging" / next(iter(files))
    os.utime(staged, (0, 0))

    put_files(store, files)

    assert staged.stat().st_mtime > 0
