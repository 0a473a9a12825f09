"""How a process is told to end: what SIGTERM and SIGINT mean while work is under way."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from schemas.errors import DeadlineReached

_ENDING = (signal.SIGTERM, signal.SIGINT)


class _ToldToStop(BaseException):
    """Ends the work wherever it is. No ``Exception``: libraries catch those, and try again."""


@contextmanager
def told_to_stop(
    stopped: threading.Event | None = None, *, patience_seconds: float | None = None
) -> Iterator[threading.Event]:
    """Yield an event that the first SIGTERM or SIGINT sets; a second one ends the process as it always would.

    Work that does not look at the event in ``patience_seconds``, since it waits for a store perhaps, is ended where it
    is, with ``DeadlineReached``: whatever is written, is written so that this does no harm. ``None`` waits for ever.
    """
    event = stopped or threading.Event()
    before = {number: signal.getsignal(number) for number in (*_ENDING, signal.SIGALRM)}

    def restore() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)

    def stop(_number: int, _frame: FrameType | None) -> None:
        event.set()
        restore()
        if patience_seconds is not None:
            if not patience_seconds:
                raise _ToldToStop
            signal.signal(signal.SIGALRM, end)
            signal.setitimer(signal.ITIMER_REAL, patience_seconds)

    def end(_number: int, _frame: FrameType | None) -> None:
        raise _ToldToStop

    for number in _ENDING:
        signal.signal(number, stop)
    try:
        yield event
    except _ToldToStop:
        raise DeadlineReached("told to stop; what was finished is kept, the next run goes on") from None
    finally:
        restore()
