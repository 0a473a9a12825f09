"""Many small objects are read at once, and nobody notices but by the time it takes."""

import os
import signal
import threading
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from jobs.signals import told_to_stop
from jobs.store import WholeStore
from jobs.store.ahead import PARALLEL, read_objects
from jobs.store.folder import FolderStore
from schemas.errors import DeadlineReached, StoreError
from tests.store.places import Place

KEYS = [f"commits/{number:03}.json" for number in range(5 * PARALLEL)]


class Watched(FolderStore):
    """A folder that tells of every read."""

    def __init__(self, root: Path, on_read: Callable[[str], None]) -> None:
        super().__init__(root)
        self.on_read = on_read
        self.asked: list[str] = []
        for key in KEYS:
            (root / key).parent.mkdir(exist_ok=True)
            (root / key).write_bytes(key.encode())

    def get(self, key: str) -> bytes | None:
        self.asked.append(key)
        self.on_read(key)
        return super().get(key)


def test_objects_come_in_the_order_of_their_keys(place: Place) -> None:
    """A release is the same bytes each time, whichever answer is the first; what is gone is told, not passed over."""
    store: WholeStore = place.open()
    for key in KEYS:
        store.put(key, key.encode())
    keys = [*reversed(KEYS), "commits/none.json", KEYS[0]]

    found = list(read_objects(store, keys))

    assert found == [(key, None if "none" in key else key.encode()) for key in keys]
    assert list(read_objects(store, [])) == []


def test_as_many_as_said_are_read_at_once_and_no_more(tmp_path: Path) -> None:
    """Each read waits here until all of its group have begun: one after another would never end."""
    together = threading.Barrier(PARALLEL)
    store = Watched(tmp_path, lambda _: (together.wait(20), None)[1])

    assert [key for key, _ in read_objects(store, KEYS)] == KEYS
    assert sorted(store.asked) == KEYS


def test_who_takes_slowly_holds_few_in_memory(tmp_path: Path) -> None:
    """A year has 200,000 commits, and each is some 50 kB."""
    store = Watched(tmp_path, lambda _: None)
    reading = read_objects(store, KEYS)

    for taken, _ in enumerate(islice(reading, len(KEYS)), 1):
        assert len(store.asked) <= taken + 2 * PARALLEL


def test_the_first_error_in_order_is_told_and_nothing_is_asked_after_it(tmp_path: Path) -> None:
    """Else a run would tell of another damaged commit each time."""
    second = threading.Event()

    def fail(key: str) -> None:
        if key == KEYS[2]:
            second.wait(20)
        if key == KEYS[3]:
            second.set()
        if key in (KEYS[2], KEYS[3]):
            raise StoreError(f"cannot read {key}")

    store = Watched(tmp_path, fail)
    reading = read_objects(store, KEYS)

    assert [key for key, _ in islice(reading, 2)] == KEYS[:2]
    with pytest.raises(StoreError, match=f"^cannot read {KEYS[2]}$"):
        next(reading)
    assert len(store.asked) <= 2 + 2 * PARALLEL
    assert not list(reading)


def test_a_run_that_is_told_to_stop_does_not_wait_for_a_store_that_hangs(tmp_path: Path) -> None:
    """Its reads may hang for minutes yet; a pod has half a minute."""
    everything, released = threading.Barrier(PARALLEL + 1), threading.Event()

    def hang(_: str) -> None:
        if not released.is_set():
            everything.wait(20)
            released.wait(60)

    def stop() -> None:
        everything.wait(20)
        os.kill(os.getpid(), signal.SIGTERM)

    store = Watched(tmp_path, hang)
    threading.Thread(target=stop).start()
    with pytest.raises(DeadlineReached), told_to_stop(patience_seconds=0):
        list(read_objects(store, KEYS))

    hanging = [thread for thread in threading.enumerate() if thread.name == "read-objects" and thread.is_alive()]
    assert len(hanging) >= PARALLEL
    assert all(thread.daemon for thread in hanging)  # the interpreter does not wait for them either
    released.set()
    for thread in hanging:
        thread.join(2)
    assert not any(thread.is_alive() for thread in hanging)
    assert len(store.asked) == PARALLEL  # what had not begun never does
