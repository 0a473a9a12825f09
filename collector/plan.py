"""Decide which windows are due. Pure: the clock and the commits are arguments."""

from collections.abc import Collection
from datetime import datetime, timedelta

from schemas.windows import Window, windows_between

_LAST_PART = 4  # when a quarter of the retention is left, the next runs may come too late


def is_last_chance(window: Window, *, now: datetime, kept: timedelta | None) -> bool:
    """Return whether at most a quarter of the time is left in which the source still has the window whole.

    ``kept`` is how long samples are kept, or how far back windows are due; ``None`` when nobody knows.

    >>> from datetime import UTC
    >>> window = Window(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 1, 1, tzinfo=UTC))
    >>> [is_last_chance(window, now=datetime(2026, 11, day, tzinfo=UTC), kept=timedelta(days=8)) for day in (6, 7)]
    [False, True]
    """
    return kept is not None and window.start + kept - now <= kept / _LAST_PART


def time_to_heal(*, retention: timedelta | None, max_catch_up: timedelta, span: Window | None) -> timedelta | None:
    """Return how long a window that failed can be collected again; ``None`` when nobody knows.

    Windows that are due by themselves are so for ``max_catch_up`` only. Those of a span given by hand are asked for
    as long as somebody does.
    """
    if span is not None:
        return retention
    return min(retention, max_catch_up) if retention else max_catch_up


def plan_windows(
    *,
    committed: Collection[Window],
    oldest: datetime | None,
    now: datetime,
    width: timedelta,
    settle: timedelta,
    max_catch_up: timedelta,
) -> tuple[Window, ...]:
    """Return every settled window without a commit: the newest first, then the backlog, oldest first.

    Windows that begin before ``oldest``, the source's oldest sample, or before ``now - max_catch_up`` are not due.
    """
    begin = max(now - max_catch_up, oldest) if oldest else now - max_catch_up
    done = frozenset(committed)
    missing = [window for window in windows_between(begin, now - settle, width) if window not in done]
    return (*missing[-1:], *missing[:-1])  # a window that keeps failing must not starve the newest
