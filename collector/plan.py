"""Decide which windows are due. Pure: the clock and the commits are arguments."""

from collections.abc import Collection
from datetime import datetime, timedelta

from schemas.windows import Window, windows_between


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
