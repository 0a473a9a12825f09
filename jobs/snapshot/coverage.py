"""Count what a metric's series had in one window against what they should have had."""

from collections import Counter
from collections.abc import Collection, Mapping

import numpy as np

from collector.grid import Grid, Samples
from collector.kernels.stats import EXPECTED, HELD, INTERVAL, RECEIVED
from schemas.commit import HourCoverage, MetricCoverage
from schemas.windows import from_ms


class CoverageCounter:
    """Sums over the blocks of one metric."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._series = 0
        self._points = 0
        self._sums = np.zeros(3, dtype=np.int64)
        self._intervals: Counter[int] = Counter()

    def add(self, samples: Samples) -> None:
        """Count some series."""
        self._series += int(np.count_nonzero(samples.lengths))
        self._points += len(samples.timestamps)
        self._sums += samples.stats[:, [EXPECTED, RECEIVED, HELD]].sum(axis=0)
        # scrapes jitter by milliseconds, intervals are whole seconds
        intervals, counts = np.unique((samples.stats[:, INTERVAL] + 500) // 1000 * 1000, return_counts=True)
        self._intervals.update(dict(zip(intervals.tolist(), counts.tolist(), strict=True)))

    def result(
        self, metric: str, *, dropped_labels: Collection[str], outside_vocabulary: Mapping[str, int]
    ) -> MetricCoverage:
        """Return how the metric ended. A metric without series is empty, with its reason."""
        expected, received, held = map(int, self._sums)
        del self._intervals[0]
        common = self._intervals.most_common(1)
        return MetricCoverage(
            metric=metric,
            status="complete" if self._series else "empty",
            reason=None if self._series else "no series in this window",
            series=self._series,
            rows=self._points,
            interval_ms=common[0][0] if common else None,
            hours=(
                HourCoverage(
                    start=from_ms(self._grid.start_ms),
                    expected=expected,
                    received=received,
                    held=held,
                    points=self._points,
                ),
            ),
            dropped_labels=tuple(sorted(dropped_labels)),
            outside_vocabulary=dict(outside_vocabulary),
        )
