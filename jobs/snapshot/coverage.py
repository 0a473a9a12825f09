"""Count what a metric's series had in one window against what they should have had, hour by hour, and say why not."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from collector.grid import Grid, Samples
from collector.kernels.stats import EXPECTED, HELD, HOUR_COLUMNS, RECEIVED
from collector.scrapes import FAILED, SCRAPE_MADE, SUCCEEDED, UNSEEN, ScrapeTimes
from schemas.commit import HourCoverage, MetricCoverage
from schemas.coverage import TARGET_ABSENT, UNKNOWN_FORM, HourReason
from schemas.hours import cut_at_hours
from schemas.windows import from_ms

Ints = npt.NDArray[np.int64]


class CoverageCounter:
    """Sums over the series of one metric. ``scrapes`` are those of the source in the window."""

    def __init__(self, grid: Grid, scrapes: ScrapeTimes) -> None:
        self._grid = grid
        self._scrapes = scrapes
        cuts = cut_at_hours(grid.start_ms, grid.end_ms)
        self._bounds = np.array(cuts, dtype=np.int64)
        self._series = 0
        self._points = np.zeros(len(cuts) - 1, dtype=np.int64)
        self._hours = np.zeros((len(cuts) - 1, HOUR_COLUMNS), dtype=np.int64)
        self._series_of = np.zeros(scrapes.targets, dtype=np.int64)
        self._intervals: Counter[int] = Counter()
        self._estimated = False
        self._native = 0
        self._skipped: Counter[str] = Counter()

    def add(self, samples: Samples, targets: npt.NDArray[np.int32]) -> None:
        """Count some series, decoded by the schedule of the same scrapes; ``targets`` (int32 [series]) are theirs."""
        self.add_points(samples.timestamps, samples.hours)
        self.add_series(samples.lengths > 0, samples.intervals, targets)

    def add_points(self, timestamps: Ints, hours: Ints, *, native: bool = False) -> None:
        """Count what some series have, hour by hour; ``hours`` is that of ``collector.grid.Samples``."""
        self._points += count_in_hours(timestamps, self._bounds)
        self._hours += hours
        self._native += len(timestamps) if native else 0

    def add_series(self, alive: npt.NDArray[np.bool_], own_intervals: Ints, targets: npt.NDArray[np.int32]) -> None:
        """Count some series, each once; those are ``alive`` that have something. All are [series]."""
        self._series += int(np.count_nonzero(alive))
        known = targets[alive & (targets >= 0)]
        self._series_of += np.bincount(known, minlength=len(self._series_of))
        # grid points don't tell an interval, the target does; -1, unknown, is the last
        of_targets = np.append(self._scrapes.intervals, 0)[targets]
        intervals = np.where(own_intervals > 0, own_intervals, of_targets)
        # scrapes jitter by milliseconds, intervals are whole seconds
        found, counts = np.unique((intervals + 500) // 1000 * 1000, return_counts=True)
        self._intervals.update(dict(zip(found.tolist(), counts.tolist(), strict=True)))

    def skip(self, reasons: Mapping[str, int]) -> None:
        """Count series of which nothing can be kept, by reason."""
        self._skipped.update(reasons)

    def estimate(self, received: Ints) -> None:
        """Take the samples received (int64 [hours]) from elsewhere: the series added are known by grid points only."""
        self._estimated = True
        self._hours[:, RECEIVED] = received

    def result(
        self, metric: str, *, dropped_labels: Collection[str], outside_vocabulary: Mapping[str, int]
    ) -> MetricCoverage:
        """Return how the metric ended. A metric without series is empty, with its reason."""
        hours = tuple(self._hour(metric, number) for number in range(len(self._points)))
        reasons = Counter(hour.reason for hour in hours if hour.reason)
        reason = reasons.most_common(1)[0][0] if reasons else TARGET_ABSENT
        del self._intervals[0]
        common = max(self._intervals, key=lambda interval: (self._intervals[interval], -interval), default=None)
        return MetricCoverage(
            metric=metric,
            status="complete" if self._series else "empty",
            reason=None if self._series else reason,
            series=self._series,
            rows=int(self._points.sum()),
            native_rows=self._native,
            skipped=dict(sorted(self._skipped.items())),
            interval_ms=common,
            hours=hours,
            dropped_labels=tuple(sorted(dropped_labels)),
            outside_vocabulary=dict(sorted(outside_vocabulary.items())),
        )

    def _hour(self, metric: str, number: int) -> HourCoverage:
        expected, received, held = (int(self._hours[number, column]) for column in (EXPECTED, RECEIVED, HELD))
        counted = HourCoverage(
            start=from_ms(int(self._bounds[number])),
            expected=expected,
            received=received,
            held=None if self._estimated else held,
            points=int(self._points[number]),
            estimated=self._estimated,
        )
        by_target = self._scrapes.counts[:, number]
        own = by_target[self._series_of > 0].sum(axis=0)
        lost = self._series_of @ by_target
        known = bool(self._series_of.any())
        if expected or received:
            failed = 0 if metric in SCRAPE_MADE else int(lost[FAILED])  # a failed scrape is what such a metric tells
            reason = explain_loss(max(0, expected - received), unseen=int(lost[UNSEEN]), failed=failed)
        elif self._skipped:
            reason = UNKNOWN_FORM
        else:
            reason = explain_absence(own if own.any() else by_target.sum(axis=0))
        return replace(
            counted,
            reason=reason,
            scrapes=int(own.sum()) if known else None,
            scrapes_failed=int(own[FAILED]) if known else None,
            scrapes_unseen=int(own[UNSEEN]) if known else None,
        )


def count_in_hours(timestamps: Ints, bounds: Ints) -> Ints:
    """Return how many instants lie in each hour: int64 [hours]. All lie in one."""
    if len(bounds) == 2:
        return np.array([len(timestamps)], dtype=np.int64)
    return np.bincount(np.searchsorted(bounds, timestamps, "right") - 1, minlength=len(bounds) - 1)


def explain_loss(missing: int, *, unseen: int, failed: int) -> HourReason | None:
    """Return what cost most samples, of those that are missing and those that no failed scrape could give.

    ``unseen`` and ``failed`` are scrapes, counted for each series of their target.

    >>> [explain_loss(10, unseen=unseen, failed=failed) for unseen, failed in ((8, 0), (0, 90), (2, 0))]
    ['source down', 'target down', 'scrape incomplete']
    """
    by_source = min(missing, unseen)
    losses: dict[HourReason, int] = {
        "source down": by_source,
        "target down": failed,
        "scrape incomplete": missing - by_source,
    }
    most = max(losses, key=lambda reason: losses[reason])
    return most if losses[most] else None


def explain_absence(scrapes: Ints) -> HourReason:
    """Return why a metric has no sample, from how many scrapes SUCCEEDED, FAILED and were UNSEEN: its own or all.

    >>> [explain_absence(np.array(scrapes)) for scrapes in ([0, 0, 240], [0, 240, 0], [9, 0, 0])]
    ['source down', 'target down', 'target absent']
    """
    if scrapes[SUCCEEDED]:
        return "target absent"
    return "target down" if scrapes[FAILED] else "source down"
