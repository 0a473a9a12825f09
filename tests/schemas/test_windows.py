"""Windows are aligned, half-open and named; durations read as Prometheus writes them."""

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.windows import (
    Window,
    format_duration,
    from_ms,
    parse_duration,
    parse_instant,
    snap_outward,
    to_ms,
    windows_between,
)

HOUR = timedelta(hours=1)
instants = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds it
widths = st.sampled_from([timedelta(seconds=30), timedelta(minutes=5), HOUR, timedelta(days=1), timedelta(days=7)])


def at(text: str) -> datetime:
    return parse_instant(text)


@given(st.integers(0, 10**13))
def test_a_duration_survives_being_written_and_read(milliseconds: int) -> None:
    span = timedelta(milliseconds=milliseconds)

    assert parse_duration(format_duration(span)) == span


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("30s", timedelta(seconds=30)),
        ("1h30m", timedelta(minutes=90)),
        ("7d", timedelta(days=7)),
        ("1w", timedelta(weeks=1)),
        ("1y", timedelta(days=365)),
        ("1m1ms", timedelta(minutes=1, milliseconds=1)),
        ("0s", timedelta()),
    ],
)
def test_durations_are_those_of_prometheus(text: str, span: timedelta) -> None:
    """A year has 365 days, and ``m`` is minutes, ``ms`` milliseconds."""
    assert parse_duration(text) == span


@pytest.mark.parametrize("text", ["", "5", "m", "1.5h", "-5m", "5m1h", "5 m", "1h\n", "PT5M", "1h1h", "5M"])
def test_what_prometheus_would_not_write_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration; wanted one such as 30s, 5m, 1h30m or 7d"):
        parse_duration(text)


def test_durations_are_written_in_one_way() -> None:
    assert format_duration(timedelta(minutes=90)) == "1h30m"
    assert format_duration(timedelta(days=7)) == "7d"
    assert format_duration(timedelta()) == "0s"


@given(st.integers(-(10**12), 10**13))
def test_milliseconds_survive_exactly(milliseconds: int) -> None:
    """Floats would lose some: a grid point that is off by one belongs to another window."""
    assert to_ms(from_ms(milliseconds)) == milliseconds


def test_an_instant_without_a_zone_is_in_utc() -> None:
    assert parse_instant("2026-01-01T06:00") == datetime(2026, 1, 1, 6, tzinfo=UTC)
    assert parse_instant("2026-01-01T06:00+02:00") == datetime(2026, 1, 1, 4, tzinfo=UTC)
    assert parse_instant("2026-01-01").tzinfo is UTC


def test_the_zone_of_an_instant_does_not_move_its_window() -> None:
    start = datetime(2026, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))

    window = snap_outward(start, start + HOUR, HOUR)

    assert window.name == "20251231T190000Z"
    assert window.start.tzinfo is UTC


@given(instants, st.timedeltas(timedelta(), timedelta(days=30)), widths)
def test_snapping_holds_the_span_in_the_fewest_windows(start: datetime, length: timedelta, width: timedelta) -> None:
    window = snap_outward(start, start + length, width)

    assert window.start <= start
    assert start + length <= window.end + timedelta(milliseconds=1)  # a window's edge has whole milliseconds
    assert start - window.start < width
    assert window.end - (start + length) < width
    assert to_ms(window.start) % (width // timedelta(milliseconds=1)) == 0
    assert (window.end - window.start) % width == timedelta()


def test_whole_windows_stay_as_they_are() -> None:
    assert snap_outward(at("2026-01-01T01:00"), at("2026-01-01T03:00"), HOUR) == Window(
        at("2026-01-01T01:00"), at("2026-01-01T03:00")
    )


@given(instants, st.timedeltas(timedelta(), timedelta(days=2)), st.sampled_from([timedelta(minutes=30), HOUR]))
def test_windows_between_are_aligned_adjacent_and_inside(start: datetime, length: timedelta, width: timedelta) -> None:
    windows = list(windows_between(start, start + length, width))

    assert all(to_ms(window.start) % (width // timedelta(milliseconds=1)) == 0 for window in windows)
    assert all(window.end - window.start == width for window in windows)
    assert all(left.end == right.start for left, right in pairwise(windows))
    assert all(to_ms(start) <= window.start_ms and window.end <= start + length for window in windows)
    assert len(windows) >= length // width - 1


def test_a_window_that_is_not_whole_yet_is_left_for_later() -> None:
    windows = windows_between(at("2026-01-01T00:30"), at("2026-01-01T03:59"), HOUR)

    assert [window.name for window in windows] == ["20260101T010000Z", "20260101T020000Z"]


def test_windows_sort_by_time_and_say_who_they_are() -> None:
    first, second = windows_between(at("2026-01-01T00:00"), at("2026-01-01T02:00"), HOUR)

    assert sorted([second, first]) == [first, second]
    assert str(first) == "2026-01-01T00:00:00Z/2026-01-01T01:00:00Z"
    assert first.end_ms == second.start_ms
