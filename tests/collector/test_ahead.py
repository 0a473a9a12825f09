"""Reading ahead changes when things are fetched, never what comes out."""

import itertools
import threading
import time
from collections.abc import Iterator

import pytest

from collector.ahead import read_ahead, read_in_order
from schemas.errors import SourceError


def test_everything_comes_in_order() -> None:
    assert list(read_ahead(iter(range(100)), depth=3)) == list(range(100))


def test_an_error_is_raised_in_its_place() -> None:
    """What came before a failure was good and is handed out first."""

    def failing() -> Iterator[int]:
        yield 1
        raise SourceError("the body ended")

    ahead = read_ahead(failing())

    assert next(ahead) == 1
    with pytest.raises(SourceError, match="the body ended"):
        next(ahead)


def test_a_slow_caller_holds_the_reader_back() -> None:
    """Memory stays flat: no more than the queue and the piece in each hand."""
    fetched: list[int] = []

    def counting() -> Iterator[int]:
        for number in range(50):
            fetched.append(number)
            yield number

    ahead = read_ahead(counting(), depth=2)
    next(ahead)
    time.sleep(0.05)

    assert len(fetched) <= 4
    ahead.close()


def test_a_caller_that_stops_ends_the_thread() -> None:
    """A failing run leaves no thread that goes on reading from the server."""
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            closed.set()

    ahead = read_ahead(endless())
    next(ahead)
    ahead.close()

    assert closed.wait(2)
    assert "read-ahead" not in {thread.name for thread in threading.enumerate()}


def test_reads_side_by_side_come_out_one_behind_another() -> None:
    """Two metrics may be under way at once; their series must not mix."""
    reads = [lambda first=first: iter(range(first, first + 5)) for first in range(0, 50, 5)]

    assert list(read_in_order(reads, at_once=3)) == list(range(50))


def test_no_more_reads_are_under_way_than_allowed() -> None:
    """The limit protects the server: a read begins only when an earlier one has been taken whole."""
    now, most = 0, 0
    lock = threading.Lock()

    def read() -> Iterator[int]:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        yield from range(3)
        with lock:
            now -= 1

    assert list(read_in_order([read] * 12, at_once=2)) == [0, 1, 2] * 12
    assert most == 2


def test_an_error_comes_in_its_place_and_ends_the_reads_behind_it() -> None:
    closed = threading.Event()

    def failing() -> Iterator[int]:
        yield 3
        raise SourceError("cut")

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 4
        finally:
            closed.set()

    found: list[int] = []
    with pytest.raises(SourceError, match="cut"):
        found += read_in_order([lambda: iter([1, 2]), failing, endless], at_once=3)
    assert closed.is_set()
    assert not [thread for thread in threading.enumerate() if thread.name == "read-ahead"]


def test_a_caller_that_stops_ends_every_read() -> None:
    reads = read_in_order([lambda: itertools.repeat(1)] * 3, at_once=2)
    assert next(reads) == 1

    reads.close()

    assert not [thread for thread in threading.enumerate() if thread.name == "read-ahead"]
