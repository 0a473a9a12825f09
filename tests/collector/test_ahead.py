"""Reading ahead changes when things are fetched, never what comes out."""

import threading
import time
from collections.abc import Iterator

import pytest

from collector.ahead import read_ahead
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
