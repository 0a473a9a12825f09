"""Kill a job at one of its store calls, as a node that goes down does: no ``finally`` runs, nothing is flushed."""

import os
import signal
from collections.abc import Callable
from threading import Lock
from typing import Any, Literal

from jobs.store import WholeStore

Moment = Literal["before", "after"]


class KillingStore:
    """Passes every call on to a real store, but for the one at which the process dies."""

    def __init__(self, store: WholeStore, *, at: int, moment: Moment) -> None:
        self.url = store.url
        self._store = store
        self._left = at
        self._moment = moment
        self._lock = Lock()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the store has
        method = getattr(self._store, name)

        def call(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401
            with self._lock:
                self._left -= 1
                last = self._left == 0
            if last and self._moment == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            answer = method(*arguments, **options)
            if name in ("list", "survey"):
                answer = iter(list(answer))
            if last:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        return call


def run_in_child(job: Callable[[], object]) -> bool:
    """Run a job in a process of its own; return whether it was killed. An exception in it fails the test."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            job()
            status = 0
        finally:
            os._exit(status)
    _, ended = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(ended) and os.WTERMSIG(ended) == signal.SIGKILL
    assert killed or os.WEXITSTATUS(ended) == 0, "the job failed by itself"
    return killed
