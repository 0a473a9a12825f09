"""Sum the series of a window by group and fold what too few share. Pure, on arrays; a window is held as a whole.

A cell is a group at a grid point. Groups with equal labels are those that a cell may be folded into.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Grouping:
    """Who is who among the series of a window: every array but ``kin`` is int64 [series].

    ``groups`` numbers the group of each series, ``entities`` its entity, -1 where it names none. ``kin`` numbers the
    labels of each group: int64 [groups]. All begin at 0.
    """

    groups: Ints
    entities: Ints
    kin: Ints

    @property
    def kins(self) -> int:
        """How many different labels groups have."""
        return int(self.kin.max()) + 1


@dataclass(frozen=True)
class Sums:
    """What may be shown of a window: the groups, then one rest for each of their labels.

    All are [groups + kins, points]. ``counts`` (int64) are distinct entities, ``shown`` says which cells may be
    published.
    """

    values: Floats
    counts: Ints
    shown: Bools


def increases(series: Ints, values: Floats, before: Floats) -> Floats:
    """Return by how much each sample of a counter is above the one before it; NaN where none is before it.

    ``series`` are the numbers of the samples' series, in order; ``before`` the last value of each series in the window
    before, or NaN: float64 [series]. A value below the one before it counts from 0, as in PromQL.

    >>> increases(np.array([0, 0, 0, 1]), np.array([5.0, 7.0, 1.0, 3.0]), np.array([4.0, np.nan])).tolist()
    [1.0, 2.0, 1.0, nan]
    """
    previous = np.empty_like(values)
    previous[1:] = values[:-1]
    begins = np.diff(series, prepend=-1) != 0
    previous[begins] = before[series[begins]]
    with np.errstate(invalid="ignore"):
        found = np.where(values < previous, values, values - previous)
    return np.where(np.isnan(previous) | (found < 0), np.nan, found)


class Adder:
    """Adds the samples of a window, some whole series after others."""

    def __init__(self, grouping: Grouping, points: int) -> None:
        self._grouping = grouping
        self._values = np.zeros((len(grouping.kin), points))
        self._any = np.zeros((len(grouping.kin), points), dtype=np.bool_)
        pairs, self._pairs = np.unique(np.stack([grouping.groups, grouping.entities]), axis=1, return_inverse=True)
        self._pairs = self._pairs.reshape(-1)
        self._group_of, self._entity_of = pairs
        self._present = np.zeros((pairs.shape[1], points), dtype=np.bool_)

    def add(self, series: Ints, points: Ints, values: Floats) -> None:
        """Add samples; NaN adds nothing, and does not count as being there."""
        told = ~np.isnan(values)
        series, points = series[told], points[told]
        groups = self._grouping.groups[series]
        with np.errstate(invalid="ignore"):  # infinities may cancel out
            np.add.at(self._values, (groups, points), values[told])
        self._any[groups, points] = True
        self._present[self._pairs[series], points] = True

    def fold(self, *, k: int) -> Sums:
        """Return the sums, every published one of at least ``k`` entities.

        Cells of fewer are folded into the rest of their labels. Where that is one cell alone, or where all of them
        together are too few, the smallest of the others goes with them: else the rest of a total that somebody knows
        would be that cell. A rest that is still too small is dropped.
        """
        kin = self._grouping.kin
        named = self._present & (self._entity_of >= 0)[:, None]
        counts = _sum_by(named, self._group_of, len(kin))
        small = self._any & (counts < k)
        large = self._any & ~small
        alone = (_sum_by(small, kin, self._grouping.kins) == 1) | (self._count_folded(named, small) < k)
        wanted = alone & (_sum_by(small, kin, self._grouping.kins) > 0)
        order = counts * len(kin) + np.arange(len(kin))[:, None]
        none = np.iinfo(np.int64).max
        least = np.full((self._grouping.kins, counts.shape[1]), none)
        np.minimum.at(least, kin, np.where(large, order, none))
        folded = small | (large & wanted[kin] & (order == least[kin]))
        rest = self._count_folded(named, folded)
        values = np.concatenate([self._values, _sum_by(np.where(folded, self._values, 0.0), kin, len(rest))])
        return Sums(
            np.where(np.isnan(values), np.nan, values),
            np.concatenate([counts, rest]),
            np.concatenate([large & ~folded, rest >= k]),
        )

    def _count_folded(self, named: Bools, folded: Bools) -> Ints:
        """Return how many distinct entities the folded cells of equal labels have: int64 [kins, points]."""
        keys = np.stack([self._grouping.kin[self._group_of], self._entity_of])
        owners, of = np.unique(keys, axis=1, return_inverse=True)
        there = np.zeros((owners.shape[1], folded.shape[1]), dtype=np.bool_)
        np.logical_or.at(there, of.reshape(-1), named & folded[self._group_of])
        found: Ints = _sum_by(there, owners[0], self._grouping.kins)
        return found


def _sum_by(rows: npt.NDArray[Any], numbers: Ints, count: int) -> Any:  # noqa: ANN401 - integers or floats, as the rows are
    """Return the sums of the rows with equal numbers: [count, points]."""
    total = np.zeros((count, rows.shape[1]), dtype=np.int64 if rows.dtype == np.bool_ else rows.dtype)
    with np.errstate(invalid="ignore"):
        np.add.at(total, numbers, rows)
    return total
