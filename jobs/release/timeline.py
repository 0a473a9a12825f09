"""In which time a release is told. Everything in it moves by the same whole days, so the grid and the days stay.

Snapshots keep calendar time: they are private. Their records are moved before a release is described, their samples
as they are read. A shift is noise, not protection: whoever knows when something happened can find it by its shape.
"""

import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from jobs.kept import find_shift, keep_shift
from jobs.release.heads import CommitHead
from jobs.store import Store
from schemas.commit import CommitRecord, Span
from schemas.errors import UsageError
from schemas.timeline import EpochShift, TimeMode
from schemas.windows import Window, span_ms

FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LAST: Final = datetime(2200, 1, 1, tzinfo=UTC)
"""Later instants meet limits of readers, such as nanoseconds in 64 bits."""
LEAST_WEEKS: Final = 13
"""A season: less would leave the time of the year to see."""
MOST_WEEKS: Final = 1040
"""Twenty years each way; a wider range would hide no more, since releases are published soon after their data."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """A way to tell time: ``by`` is added to every instant, and is made of whole days."""

    mode: TimeMode = "calendar"
    by: timedelta = timedelta()

    @property
    def by_ms(self) -> int:
        """The same in milliseconds."""
        return span_ms(self.by)

    def move(self, window: Window) -> Window:
        """Return a span as the release tells it."""
        return Window(window.start + self.by, window.end + self.by)

    def move_all(self, windows: Mapping[str, Collection[Window]]) -> dict[str, frozenset[Window]]:
        """Return the spans of each table as the release tells them."""
        return {table: frozenset(map(self.move, found)) for table, found in windows.items()}

    def move_head(self, head: CommitHead) -> CommitHead:
        """Return what is held of a commit as the release tells it."""
        if not self.by:
            return head
        return replace(head, window=self.move(head.window), created=head.created + self.by)

    def move_record(self, record: CommitRecord) -> CommitRecord:
        """Return a commit with every instant in it as the release tells it; its files keep theirs."""
        if not self.by:
            return record
        window = self.move(record.window.window)
        coverage = tuple(
            replace(metric, hours=tuple(replace(hour, start=hour.start + self.by) for hour in metric.hours))
            for metric in record.coverage
        )
        moved = {"window": Span(start=window.start, end=window.end), "coverage": coverage}
        return record.model_copy(update=moved | {"created": record.created + self.by})


def choose_timeline(mode: TimeMode, span: Window, *, key_id: str, store: Store) -> Timeline:
    """Return how a release of ``span`` tells time; the first shifted release of a key draws its shift and keeps it."""
    if mode == "relative":
        midnight = span.start.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return Timeline(mode, FIRST - midnight)
    if mode == "calendar":
        return Timeline()
    found = find_shift(store, key_id) or keep_shift(store, EpochShift(key_id=key_id, weeks=draw_weeks(span)))
    timeline = Timeline(mode, timedelta(weeks=found.weeks))
    if not _fits(timeline.move(span)):
        raise UsageError(
            f"the shift of {key_id} moves {span} out of the years {FIRST:%Y} to {LAST:%Y}; release it under another "
            "privacy.time"
        )
    return timeline


def draw_weeks(span: Window) -> int:
    """Return a random number of weeks, forwards or back, that keeps ``span`` within what readers know."""
    weeks = (sign * count for count in range(LEAST_WEEKS, MOST_WEEKS + 1) for sign in (-1, 1))
    fitting = [each for each in weeks if _fits(Timeline("shifted", timedelta(weeks=each)).move(span))]
    if not fitting:
        raise UsageError(f"{span} is too long to be shifted; set privacy.time to relative")
    return secrets.choice(fitting)


def _fits(window: Window) -> bool:
    return window.start >= FIRST and window.end <= LAST
