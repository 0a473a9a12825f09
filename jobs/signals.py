"""How a process is told to end: what SIGTERM and SIGINT mean while work is under way."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def told_to_stop(stopped: threading.Event | None = None) -> Iterator[threading.Event]:
    """Yield an event that the first SIGTERM or SIGINT sets; a second one ends the process as it always would."""
    event = stopped or threading.Event()
    before = {number: signal.getsignal(number) for number in _ENDING}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def stop(_number: int, _frame: FrameType | None) -> None:
        event.set()
        restore()

    for number in _ENDING:
        signal.signal(number, stop)
    try:
        yield event
    finally:
        restore()
