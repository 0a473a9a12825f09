"""How numbers, sizes, instants and foreign text are written in the card and on the index page. Pure."""

import math
from datetime import UTC, datetime
from typing import Final

UNKNOWN: Final = "unknown"
"""An answer that the data do not give is said to be missing; it never just vanishes."""


def format_number(count: float) -> str:
    """Return a number with its thousands marked.

    >>> format_number(1234567)
    '1,234,567'
    """
    return f"{count:,}"


def format_bytes(size: int) -> str:
    """Return a size in binary units.

    >>> format_bytes(12_900_000), format_bytes(512)
    ('12.3 MiB', '512 bytes')
    """
    amount, unit = float(size), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if amount < 1023.95:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:,.0f} {unit}" if unit == "bytes" else f"{amount:,.1f} {unit}"


def format_value(value: float | None) -> str:
    """Return a sample's value in at most six digits, or whole.

    >>> format_value(1234567.0), format_value(0.123456789), format_value(1.5e18), format_value(None)
    ('1,234,567', '0.123457', '1.5e+18', 'none')
    """
    if value is None:
        return "none"
    return f"{value:,.0f}" if value.is_integer() and abs(value) < 1e15 else f"{value:.6g}"


def format_share(share: float | None) -> str:
    """Return a share in percent, rounded down: what is not complete never reads as 100 %.

    >>> format_share(1.0), format_share(0.999999), format_share(None)
    ('100 %', '99.99 %', 'unknown')
    """
    if share is None:
        return UNKNOWN
    return "100 %" if share >= 1 else f"{math.floor(share * 10_000) / 100:.2f} %"


def format_instant(instant: datetime) -> str:
    """Return an instant to the minute or, if it needs them, seconds.

    >>> format_instant(datetime(2026, 1, 1, 6, 0, tzinfo=UTC))
    '2026-01-01 06:00 UTC'
    """
    utc = instant.astimezone(UTC)
    return f"{utc:%Y-%m-%d %H:%M:%S} UTC" if utc.second or utc.microsecond else f"{utc:%Y-%m-%d %H:%M} UTC"


def escape_markdown(text: object) -> str:
    """Return foreign text as one line that is neither HTML nor the end of a table cell.

    >>> escape_markdown("5 < 6 | a\\nb")
    '5 &lt; 6 \\\\| a b'
    """
    line = " ".join(str(text).split())
    return line.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
