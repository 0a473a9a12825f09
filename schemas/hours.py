"""The hours that coverage is counted by: a window is cut at every full hour of UTC."""

from typing import Final

HOUR_MS: Final = 3_600_000


def cut_at_hours(start_ms: int, end_ms: int) -> tuple[int, ...]:
    """Return where the hours of ``[start_ms, end_ms)`` begin, and behind them the end. Milliseconds since 1970.

    >>> [minute // 60_000 for minute in cut_at_hours(0, 2 * HOUR_MS)]
    [0, 60, 120]
    >>> [minute // 60_000 for minute in cut_at_hours(HOUR_MS // 2, 2 * HOUR_MS)]
    [30, 60, 120]
    """
    return (start_ms, *range((start_ms // HOUR_MS + 1) * HOUR_MS, end_ms, HOUR_MS), end_ms)
