"""Half-open spans of time in UTC, their names in paths, and durations as Prometheus writes them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_UNIT_MS = {
    "ms": 1,
    "s": 1_000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 604_800_000,
    "y": 31_536_000_000,
}
_DURATION = re.compile("".join(rf"(?:(?P<{unit}>\d+){unit})?" for unit in ("y", "w", "d", "h", "m", "s", "ms")))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def to_ms(instant: datetime) -> int:
    """Return whole milliseconds since 1970, exactly.

    >>> to_ms(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    1000
    """
    return (instant - _EPOCH) // _MILLISECOND


def span_ms(span: timedelta) -> int:
    """Return how many whole milliseconds a span lasts.

    >>> span_ms(timedelta(seconds=30))
    30000
    """
    return span // _MILLISECOND


def from_ms(milliseconds: int) -> datetime:
    """Return the instant that many milliseconds after 1970."""
    return _EPOCH + milliseconds * _MILLISECOND


def parse_duration(text: str) -> timedelta:
    """Read a duration as Prometheus writes it; raise ``ValueError`` for anything else.

    >>> parse_duration("1h30m")
    datetime.timedelta(seconds=5400)
    """
    found = _DURATION.fullmatch(text)
    if not text or not found:
        raise ValueError(f"{text!r} is not a duration; wanted one such as 30s, 5m, 1h30m or 7d")
    try:
        return timedelta(milliseconds=sum(_UNIT_MS[unit] * int(n) for unit, n in found.groupdict().items() if n))
    except OverflowError:
        raise ValueError(f"{text!r} is longer than any span of time here") from None


def format_duration(span: timedelta) -> str:
    """Write a duration as Prometheus does.

    >>> format_duration(timedelta(minutes=90))
    '1h30m'
    """
    rest, parts = span_ms(span), []
    for unit in ("d", "h", "m", "s", "ms"):
        count, rest = divmod(rest, _UNIT_MS[unit])
        parts += [f"{count}{unit}"] if count else []
    return "".join(parts) or "0s"


def parse_instant(text: str) -> datetime:
    """Read an ISO 8601 instant; one without a time zone is in UTC.

    >>> parse_instant("2026-01-01T06:00Z").isoformat()
    '2026-01-01T06:00:00+00:00'
    """
    instant = datetime.fromisoformat(text)
    return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """The samples with ``start <= timestamp < end``; both are aware, in UTC."""

    start: datetime
    end: datetime

    @property
    def start_ms(self) -> int:
        """The first instant, in milliseconds since 1970."""
        return to_ms(self.start)

    @property
    def end_ms(self) -> int:
        """The first instant that is no longer inside, in milliseconds since 1970."""
        return to_ms(self.end)

    @property
    def name(self) -> str:
        """The name in paths of the store.

        >>> Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 1, tzinfo=UTC)).name
        '20260101T000000Z'
        """
        return f"{self.start:%Y%m%dT%H%M%SZ}"

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%dT%H:%M:%SZ}/{self.end:%Y-%m-%dT%H:%M:%SZ}"


def snap_outward(start: datetime, end: datetime, width: timedelta) -> Window:
    """Return the smallest span of whole windows that holds ``[start, end)``."""
    width_ms = span_ms(width)
    first, last = to_ms(start) // width_ms, -(-to_ms(end) // width_ms)
    return Window(from_ms(first * width_ms), from_ms(last * width_ms))


def windows_between(start: datetime, end: datetime, width: timedelta) -> Iterator[Window]:
    """Yield, in order, every aligned window that lies wholly inside ``[start, end)``."""
    width_ms = span_ms(width)
    for index in range(-(-to_ms(start) // width_ms), to_ms(end) // width_ms):
        yield Window(from_ms(index * width_ms), from_ms((index + 1) * width_ms))
