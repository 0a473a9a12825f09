"""Which windows are due, by table: the clock, the commits and the source's age are all that counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.plan import is_last_chance, plan_windows, time_to_heal
from schemas.windows import Window

HOUR = timedelta(hours=1)
NOW = datetime(2026, 11, 2, 12, 10, tzinfo=UTC)
SETTLE = timedelta(minutes=10)


@pytest.mark.parametrize(
    ("done", "oldest_hour", "now", "wanted"),
    [
        ((), 9, NOW, [11, 9, 10]),  # the newest first, then oldest first
        ((11,), 9, NOW, [10, 9]),
        ((9, 10, 11), 9, NOW, []),
        ((10,), 9, NOW, [11, 9]),  # a hole heals
        ((), 9, NOW - timedelta(seconds=1), [10, 9]),  # not settled by a second
        ((), 12, NOW, []),
        ((), None, NOW, [11, 8, 9, 10]),  # without an oldest sample, as far as catching up goes
        ((), 2, NOW, [11, 8, 9, 10]),
    ],
)
def test_due_windows(done: tuple[int, ...], oldest_hour: int | None, now: datetime, wanted: list[int]) -> None:
    planned = _plan([_window(hour) for hour in done], oldest_hour, now)

    assert planned == [_window(hour) for hour in wanted]


def test_a_window_that_begins_before_the_oldest_sample_is_not_due() -> None:
    """It could never be whole, and a publisher that starts now would fail on it for ever."""
    oldest = NOW.replace(hour=9, minute=0, second=1)

    planned = plan_windows(
        committed=(), oldest=oldest, now=NOW, width=HOUR, settle=SETTLE, max_catch_up=timedelta(days=7)
    )

    assert sorted(planned) == [_window(10), _window(11)]


@pytest.mark.parametrize(
    ("hours_ago", "kept_hours", "wanted"),
    [
        (1, 8, False),
        (5, 8, False),
        (6, 8, True),  # a quarter is left
        (7, 8, True),
        (8, 8, True),
        (100, 8, True),  # a clock that was set, or a server that keeps more than it says
        (6, 80, False),
        (6, None, False),  # nobody knows, so nothing is given up
    ],
)
def test_the_last_chance_comes_with_the_last_quarter_of_the_retention(
    hours_ago: int, kept_hours: int | None, wanted: bool
) -> None:
    """Given up too early, a window that would have healed has a gap; too late, it is lost with all its metrics."""
    start = NOW - hours_ago * HOUR
    kept = None if kept_hours is None else kept_hours * HOUR

    assert is_last_chance(Window(start, start + HOUR), now=NOW, kept=kept) is wanted


@pytest.mark.parametrize(
    ("retention", "by_hand", "wanted"),
    [
        (15, False, 7),  # what is older than max_catch_up is not due any more
        (2, False, 2),
        (None, False, 7),
        (15, True, 15),  # whoever asks for an old span may ask again
        (2, True, 2),
        (None, True, None),
    ],
)
def test_a_window_heals_as_long_as_it_is_kept_and_asked_for(
    retention: int | None, by_hand: bool, wanted: int | None
) -> None:
    found = time_to_heal(
        retention=None if retention is None else timedelta(days=retention),
        max_catch_up=timedelta(days=7),
        span=_window(1) if by_hand else None,
    )

    assert found == (None if wanted is None else timedelta(days=wanted))


@given(done=st.sets(st.integers(0, 11)), minutes=st.integers(0, 24 * 60))
@settings(derandomize=True, database=None, deadline=None)
def test_what_is_planned_and_what_is_done_is_everything_once(done: set[int], minutes: int) -> None:
    now = NOW.replace(hour=0, minute=0) + timedelta(minutes=minutes)
    committed = [_window(hour) for hour in done]

    planned = plan_windows(
        committed=committed,
        oldest=NOW.replace(hour=0, minute=0),
        now=now,
        width=HOUR,
        settle=SETTLE,
        max_catch_up=timedelta(days=1),
    )

    settled = {_window(hour) for hour in range(24) if _window(hour).end <= now - SETTLE}
    assert sorted(planned) == sorted(settled - set(committed))
    assert not planned or planned[0] == max(planned)


def _window(hour: int) -> Window:
    start = NOW.replace(hour=hour, minute=0)
    return Window(start, start + HOUR)


def _plan(done: list[Window], oldest_hour: int | None, now: datetime) -> list[Window]:
    return list(
        plan_windows(
            committed=done,
            oldest=None if oldest_hour is None else NOW.replace(hour=oldest_hour, minute=0),
            now=now,
            width=HOUR,
            settle=SETTLE,
            max_catch_up=timedelta(hours=4, minutes=10),
        )
    )
