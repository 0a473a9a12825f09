"""How hard a server may be asked: pauses before a retry, a slower pace while it is slow, and the end of the time.

The decisions are pure. ``Timing``, ``Attempts`` and ``Pace`` carry them out, with a clock and a sleep of the caller's.
"""

import logging
import math
import random
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final

from schemas.errors import DeadlineReached

logger = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 30.0
LONGEST_RETRY_AFTER_SECONDS: Final = 60.0
"""A server that asks for more is asked again after this: the run has a deadline of its own."""

FLOOR_SECONDS: Final = 0.05
"""Latencies below are as good as none: their ratios are noise."""
TOLERATED: Final = 3.0
"""Up to so many times the best recent latency, a server is not slow."""
LONGEST_WAIT_SECONDS: Final = 10.0
RECENT: Final = 256
SMOOTHED: Final = 5
"""The median of so many: one or two heavy queries among them say nothing about the server."""
SMALL_ANSWER_BYTES: Final = 256 << 10
"""An answer is allowed its share of time for each of these."""

LONGEST_DEAF_SECONDS: Final = 0.5


def pause_before_retry(attempt: int, *, retry_after: float | None, draw: float) -> float:
    """Return for how many seconds to leave the server alone after failure number ``attempt``, counted from 1.

    The longest pause doubles with every failure, and ``draw`` in [0, 1) says how much of it is taken ("full
    jitter": many clients that failed at once come back one by one). What the server asked for is added, capped.

    >>> [pause_before_retry(attempt, retry_after=None, draw=0.5) for attempt in (1, 2, 3, 9)]
    [0.5, 1.0, 2.0, 15.0]
    >>> pause_before_retry(1, retry_after=7.0, draw=0.5)
    7.5
    """
    longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** (attempt - 1))
    return min(retry_after or 0.0, LONGEST_RETRY_AFTER_SECONDS) + draw * longest


def parse_retry_after(value: str | None, *, date: str | None) -> float | None:
    """Return the seconds of a ``Retry-After`` header; ``None`` when there is none or it cannot be read.

    An HTTP date is compared with the answer's own ``Date`` header: so it is right although clocks differ.

    >>> parse_retry_after("120", date=None)
    120.0
    >>> parse_retry_after("Sun, 01 Nov 2026 00:00:30 GMT", date="Sun, 01 Nov 2026 00:00:00 GMT")
    30.0
    """
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    until, now = _parse_http_date(value), _parse_http_date(date)
    return max(0.0, (until - now).total_seconds()) if until and now else None


def wait_for_slow_server(latencies: Sequence[float]) -> float:
    """Return how many seconds to wait before the next request, given recent latencies in seconds, oldest first.

    Nothing while the smoothed latency is at most ``TOLERATED`` times the best. Beyond, so long that the share of the
    time in which a request of ours is being answered falls to ``TOLERATED`` times the best over the smoothed latency.

    >>> wait_for_slow_server([0.1] * 9)
    0.0
    >>> round(wait_for_slow_server([0.1] * 4 + [0.6] * 5), 6)
    0.6
    """
    if len(latencies) < SMOOTHED:
        return 0.0
    tolerated = TOLERATED * max(FLOOR_SECONDS, min(latencies))
    smoothed = statistics.median(latencies[-SMOOTHED:])
    return min(LONGEST_WAIT_SECONDS, smoothed * max(0.0, smoothed / tolerated - 1.0))


@dataclass(frozen=True)
class Timing:
    """The time that a run has left, and how time is told and passed."""

    remaining_seconds: Callable[[], float] = lambda: math.inf
    stopwatch: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    draw: Callable[[], float] = random.random

    def check(self) -> None:
        """Raise ``DeadlineReached`` when no time is left."""
        if self.remaining_seconds() <= 0:
            raise DeadlineReached("the time of this run is up") from None  # the cause may quote a query

    def pause(self, seconds: float) -> None:
        """Let time pass; raise ``DeadlineReached`` at once when less than that is left, or as soon as none is."""
        if seconds >= self.remaining_seconds():
            raise DeadlineReached("the time of this run would be up before the server may be asked again")
        while seconds > 0:
            step = min(seconds, LONGEST_DEAF_SECONDS)  # a run that is told to stop should not sleep on
            self.sleep(step)
            self.check()
            seconds -= step


class Attempts:
    """Counts the failures of one read, and pauses before the next attempt while there is one.

    ``what`` is read is logged, so it holds no label value.
    """

    def __init__(self, what: str, timing: Timing, *, retries: int) -> None:
        self._what = what
        self._failures = 0
        self._timing = timing
        self._retries = retries

    def wait_for_next(self, retry_after: float | None) -> bool:
        """Count a failure; return false when it was the last attempt, else true after the pause."""
        self._failures += 1
        if self._failures > self._retries:
            return False
        seconds = pause_before_retry(self._failures, retry_after=retry_after, draw=self._timing.draw())
        logger.info("read fails, tried again", extra={"what": self._what, "after_seconds": round(seconds, 1)})
        self._timing.pause(seconds)
        return True


class Pace:
    """Remembers how fast one server answered, and waits while it is slow. Threads may share it."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._lock = threading.Lock()

    def note(self, seconds: float, *, answer_bytes: int = 0) -> None:
        """Take in the time to the first byte of an answer of so many bytes (0 where they are still arriving)."""
        with self._lock:
            self._recent.append(seconds / (1 + answer_bytes / SMALL_ANSWER_BYTES))

    def wait(self) -> None:
        """Wait as long as the server's latency asks for; raise ``DeadlineReached`` when there is no time for it."""
        with self._lock:
            latencies = tuple(self._recent)
        seconds = wait_for_slow_server(latencies)
        if seconds:
            logger.info("server is slow", extra={"wait_seconds": round(seconds, 1)})
            self._timing.pause(seconds)


def _parse_http_date(value: str | None) -> datetime | None:
    try:
        parsed = parsedate_to_datetime(value or "")
    except ValueError:
        return None
    return parsed if parsed.tzinfo else None
