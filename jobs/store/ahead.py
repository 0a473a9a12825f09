"""Read many small objects: several are asked for at once, since a server that is far away takes long for each.

The threads are daemons and nobody waits for them: a read that hangs does not hold a run that was told to stop.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, wait
from itertools import islice
from queue import SimpleQueue
from threading import Thread
from typing import Final

from jobs.store import Store

PARALLEL: Final = 8
"""Reads at once; as many answers more may wait to be taken."""
_POLL_SECONDS: Final = 0.2  # a signal may reach another thread, and is heard in this one when it wakes up

_Read = tuple[str, "Future[bytes | None]"]


def read_objects(store: Store, keys: Iterable[str]) -> Iterator[tuple[str, bytes | None]]:
    """Yield each key with its object's bytes, ``None`` for one that is not there, in the order of the keys.

    The first error in that order is raised in its place, and what lies behind it is not asked for any more. In memory
    are never more than ``2 * PARALLEL`` objects.
    """
    left = iter(keys)
    asked: deque[_Read] = deque()
    work: SimpleQueue[_Read | None] = SimpleQueue()

    def ask(count: int) -> None:
        for key in islice(left, count):
            read: _Read = (key, Future())
            asked.append(read)
            work.put(read)

    def serve() -> None:
        while read := work.get():
            key, answer = read
            if answer.set_running_or_notify_cancel():
                try:
                    answer.set_result(store.get(key))
                except BaseException as error:
                    answer.set_exception(error)
            del read, key, answer  # else the last object that was read stays while this waits for the next

    try:  # from here on a signal may end it anywhere, while a thread is started, too
        ask(2 * PARALLEL)
        for _ in range(min(PARALLEL, len(asked))):
            Thread(target=serve, name="read-objects", daemon=True).start()
        while asked:
            key, answer = asked[0]
            while not answer.done():
                wait([answer], _POLL_SECONDS)
            content = answer.result()
            asked.popleft()
            ask(1)
            yield key, content
    finally:
        for _, answer in asked:
            answer.cancel()
        for _ in range(PARALLEL):
            work.put(None)
