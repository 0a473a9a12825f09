"""Read ahead: let a thread fetch and decode the next pieces while the caller works on this one.

Decoding and socket reads release the interpreter's lock, so two cores are busy. The queue is short: a caller that
is slow holds the reader back, and with it the server.
"""

import queue
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

_Item = TypeVar("_Item")
_POLL_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class _End:
    error: BaseException | None


def read_ahead(items: Iterator[_Item], *, depth: int = 2) -> Generator[_Item, None, None]:
    """Yield what ``items`` yields, up to ``depth`` of it fetched beforehand; its error is raised in its place.

    A caller that stops early ends the thread; the iterator is closed there, where it ran.
    """
    fetched: queue.Queue[_Item | _End] = queue.Queue(depth)
    stopped = threading.Event()

    def put(item: _Item | _End) -> bool:
        while not stopped.is_set():
            try:
                fetched.put(item, timeout=_POLL_SECONDS)
            except queue.Full:
                continue
            return True
        return False

    def fetch() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                if not put(item):
                    break
        except BaseException as raised:
            error = raised
        finally:
            close = getattr(items, "close", None)
            if close:
                close()
            put(_End(error))

    thread = threading.Thread(target=fetch, name="read-ahead", daemon=True)
    thread.start()
    try:
        while True:
            item = fetched.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        stopped.set()
        thread.join()
