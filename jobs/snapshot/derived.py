"""Series that we made ourselves, in the form of series that were read: from here on nothing tells them apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from collector.grid import Grid, Samples, Schedule, SeriesBlock
from collector.labels import LabelSets

Points = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Origin:
    """What became of the samples that a metric is made from: ``hours`` is that of ``collector.grid.Samples``."""

    hours: npt.NDArray[np.int64]
    interval_ms: int


@dataclass(frozen=True, slots=True)
class DerivedBlock(SeriesBlock):
    """Series by their values on the grid, float64 [series, points], where ``present``, bool [series, points]."""

    grid: Grid
    present: Points = field(repr=False)
    values: Values = field(repr=False)
    origin: Origin

    @property
    def most(self) -> npt.NDArray[np.int64]:
        """How many points each series has."""
        return _count(self.present)

    def decode(self, rows: npt.NDArray[np.int64], schedule: Schedule | None = None) -> Samples:
        """Return the points of the series with these row numbers; the samples behind all come with the first row."""
        present = self.present[rows]
        series, points = np.nonzero(present)
        hours = self.origin.hours if len(rows) and (rows == 0).any() else np.zeros_like(self.origin.hours)
        return Samples(
            _count(present),
            self.grid.start_ms + points * self.grid.step_ms,
            self.values[rows[series], points],
            hours,
            np.full(len(rows), self.origin.interval_ms, dtype=np.int64),
        )


def make_block(
    labels: Sequence[Mapping[str, str | None]], present: Points, values: Values, grid: Grid, origin: Origin
) -> DerivedBlock | None:
    """Return the series that have a point; ``None`` when none has. A label that is ``None`` or empty is absent."""
    alive = np.flatnonzero(present.any(axis=1))
    if not len(alive):
        return None
    sets = LabelSets({name: value for name, value in labels[row].items() if value} for row in alive.tolist())
    return DerivedBlock(sets, grid, present[alive], values[alive], origin)


def _count(present: Points) -> npt.NDArray[np.int64]:
    counts: npt.NDArray[np.int64] = present.sum(axis=1, dtype=np.int64)
    return counts
