"""Read ahead: let threads fetch the next pieces while the caller works on this one.

Decoding and socket reads release the interpreter's lock, so two cores are busy. The queues are short: a caller that
is slow holds the readers back, and with them the server.
"""

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final, Generic, TypeVar

_Item = TypeVar("_Item")
_POLL_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class _End:
    error: BaseException | None


class _Ahead(Generic[_Item]):
    """A thread that fetches items from its beginning on, up to ``depth`` of them before they are wanted."""

    def __init__(self, items: Iterator[_Item], depth: int) -> None:
        self._items = items
        self._fetched: queue.Queue[_Item | _End] = queue.Queue(depth)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._fetch, name="read-ahead", daemon=True)
        self._thread.start()

    def take(self) -> Generator[_Item, None, None]:
        """Yield what was fetched; its error is raised in its place."""
        while True:
            item = self._fetched.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item

    def close(self) -> None:
        """End the thread; the iterator is closed there, where it ran."""
        self._stopped.set()
        self._thread.join()

    def _put(self, item: _Item | _End) -> bool:
        while not self._stopped.is_set():
            try:
                self._fetched.put(item, timeout=_POLL_SECONDS)
            except queue.Full:
                continue
            return True
        return False

    def _fetch(self) -> None:
        error: BaseException | None = None
        try:
            for item in self._items:
                if not self._put(item):
                    break
        except BaseException as raised:
            error = raised
        finally:
            close = getattr(self._items, "close", None)
            if close:
                close()
            self._put(_End(error))


def read_ahead(items: Iterator[_Item], *, depth: int = 2) -> Generator[_Item, None, None]:
    """Yield what ``items`` yields, up to ``depth`` of it fetched beforehand; its error is raised in its place.

    A caller that stops early ends the thread; the iterator is closed there, where it ran.
    """
    return read_in_order([lambda: items], at_once=1, depth=depth)


def read_in_order(
    reads: Iterable[Callable[[], Iterator[_Item]]], *, at_once: int, depth: int = 1
) -> Generator[_Item, None, None]:
    """Yield what the reads yield, one read behind another, with up to ``at_once`` of them under way.

    Each has a thread of its own and fetches up to ``depth`` items beforehand. An error is raised in its place; the
    reads behind it end, as they do when the caller stops early.
    """
    begun = iter(reads)
    under_way = deque(_Ahead(read(), depth) for read in islice(begun, at_once))
    try:
        while under_way:
            yield from under_way[0].take()
            under_way.popleft().close()
            under_way.extend(_Ahead(read(), depth) for read in islice(begun, 1))
    finally:
        for each in under_way:
            each.close()
