"""Draw the coverage of a release as text: a picture that every reader of the card can show. Pure."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC
from typing import Final

from jobs.card.facts import HourFacts

MOST_DAYS: Final = 62
"""Longer releases get a character for each day instead of each hour."""
SHADES: Final = ((0.995, "█"), (0.95, "▓"), (0.5, "▒"), (0.0, "░"))
"""A share of at least so much is drawn so."""
NOTHING: Final = "x"
UNKNOWN: Final = "·"


def draw_coverage(hours: Sequence[HourFacts]) -> str:
    """Return a line for each day, with a character for each hour; or for each month, with one for each day.

    >>> from datetime import datetime
    >>> midnight = datetime(2026, 11, 1, tzinfo=UTC)
    >>> print(draw_coverage([HourFacts(midnight.replace(hour=6 + n), 100, 25 * n) for n in range(5)]))
    UTC        0     6     12    18
    2026-11-01       █▒▒░x
    """
    days = {hour.start.astimezone(UTC).date() for hour in hours}
    by_day = len(days) > MOST_DAYS
    cells: dict[str, dict[int, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for hour in hours:
        start = hour.start.astimezone(UTC)
        line, place = (f"{start:%Y-%m}", start.day - 1) if by_day else (f"{start:%Y-%m-%d}", start.hour)
        cells[line][place][0] += hour.expected
        cells[line][place][1] += hour.missing
    ruler = "1    6    11   16   21   26" if by_day else "0     6     12    18"
    lines = [f"{'UTC':10} {ruler}"]
    for line, places in sorted(cells.items()):
        drawn = "".join(_shade(*places[place]) if place in places else " " for place in range(max(places) + 1))
        lines.append(f"{line:10} {drawn}")
    return "\n".join(lines)


def _shade(expected: int, missing: int) -> str:
    if not expected:
        return UNKNOWN
    share = (expected - missing) / expected
    return next(drawn for least, drawn in SHADES if share >= least) if share > 0 else NOTHING
