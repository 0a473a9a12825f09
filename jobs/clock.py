"""The one door to the clock. Everything else is told what time it is."""

import time
from datetime import UTC, datetime


def read_clock() -> datetime:
    """Return the present instant, aware, in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - this is the door


def read_stopwatch() -> float:
    """Return seconds that only grow, to tell how long something took."""
    return time.perf_counter()
