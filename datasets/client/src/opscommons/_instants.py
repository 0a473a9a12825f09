"""Instants and half-open spans, in whole milliseconds of UTC. Pure."""

from datetime import UTC, date, datetime, timedelta

from opscommons._errors import BadRequest

Instant = str | date | datetime
"""What a caller may write for a moment: ISO 8601 text, a date (its first moment) or a datetime; naive is UTC."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_instant(value: Instant) -> datetime:
    """Return an aware UTC datetime.

    >>> parse_instant("2026-11-22").isoformat()
    '2026-11-22T00:00:00+00:00'
    >>> parse_instant("2026-11-22T01:00:00+01:00").isoformat()
    '2026-11-22T00:00:00+00:00'
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError as error:
            raise BadRequest(
                f"{value!r} is no instant; wanted ISO 8601 such as 2026-11-22 or 2026-11-22T06:30:00Z"
            ) from error
    elif not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def milliseconds(instant: datetime) -> int:
    """Return whole milliseconds since 1970, rounded up: no sample lies between the two, so no bound moves."""
    return -((EPOCH - instant) // timedelta(milliseconds=1))


def parse_span(start: Instant | None, end: Instant | None) -> tuple[int | None, int | None]:
    """Return the half-open span ``[start, end)`` in milliseconds; ``None`` is without bound."""
    first = None if start is None else milliseconds(parse_instant(start))
    last = None if end is None else milliseconds(parse_instant(end))
    if first is not None and last is not None and first >= last:
        raise BadRequest(f"start {start} is not before end {end}; the span is half-open: [start, end)")
    return first, last
