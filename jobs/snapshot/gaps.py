"""What is left out of a window that no later run could collect whole, and how its coverage says so. Pure."""

from typing import Final

from schemas.commit import HourCoverage, MetricCoverage
from schemas.errors import PartialResult, SourceError
from schemas.hours import cut_at_hours
from schemas.windows import Window, from_ms

# Reasons are published: they come from this list, never from an error, whose text names the source's address.
NO_ANSWER: Final = "the source gave no usable answer"
WARNED: Final = "the source said that data are missing"
NO_IDENTITIES: Final = "the source did not tell who is who in this window"


class MetricFailed(Exception):
    """A metric of a table could not be read; ``error`` says why. The other metrics may be well."""

    def __init__(self, metric: str, error: SourceError) -> None:
        self.metric = metric
        self.error = error
        super().__init__(metric)


def leave_out(metric: str, window: Window, reason: str) -> MetricCoverage:
    """Return the coverage of a metric of which a window has nothing, for one of the reasons above."""
    hours = tuple(
        HourCoverage(start=from_ms(start), expected=0, received=0, held=0, points=0)
        for start in cut_at_hours(window.start_ms, window.end_ms)[:-1]
    )
    return MetricCoverage(metric=metric, status="partial" if reason == WARNED else "failed", reason=reason, hours=hours)


def reason_of(error: SourceError) -> str:
    """Return the reason that may be published for an error that may not."""
    return WARNED if isinstance(error, PartialResult) else NO_ANSWER
