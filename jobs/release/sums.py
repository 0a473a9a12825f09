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
        self._groups = grouping.groups
        self._kin = grouping.kin
        self._by_kin = _By(grouping.kin)
        pairs, of = np.unique(np.stack([grouping.groups, grouping.entities]), axis=1, return_inverse=True)
        self._pairs = of.reshape(-1)
        self._group_of, self._entity_of = pairs
        self._by_group = _By(self._group_of)
        owners, of = np.unique(np.stack([self._kin[self._group_of], self._entity_of]), axis=1, return_inverse=True)
        self._by_owner, self._owners_by_kin = _By(of.reshape(-1)), _By(owners[0])
        self._values = np.zeros((len(grouping.kin), points))
        self._there = np.zeros((pairs.shape[1], points), dtype=np.bool_)

    def add(self, series: Ints, points: Ints, values: Floats) -> None:
        """Add samples; NaN adds nothing, and does not count as being there."""
        told = ~np.isnan(values)
        series, points = series[told], points[told]
        with np.errstate(invalid="ignore"):  # infinities may cancel out
            np.add.at(self._values, (self._groups[series], points), values[told])
        self._there[self._pairs[series], points] = True

    def fold(self, *, k: int) -> Sums:
        """Return the sums, every published one of at least ``k`` entities.

        Cells of fewer are folded into the rest of their labels. Where that is one cell alone, or where all of them
        together are too few, the smallest of the others goes with them: else the rest of a total that somebody knows
        would be that cell. A rest that is still too small is dropped.
        """
        counts = self._by_group.sum(self._there & (self._entity_of >= 0)[:, None])
        filled = self._by_group.sum(self._there) > 0
        small = filled & (counts < k)
        large = filled & ~small
        alone = self._by_kin.sum(small)
        wanted = (alone > 0) & ((alone == 1) | (self._count_folded(small) < k))
        order = np.where(large, counts * len(counts) + np.arange(len(counts))[:, None], np.iinfo(np.int64).max)
        folded = small | (large & wanted[self._kin] & (order == self._by_kin.least(order)[self._kin]))
        rest = self._count_folded(folded)
        values = np.concatenate([self._values, self._by_kin.sum(np.where(folded, self._values, 0.0))])
        return Sums(
            np.where(np.isnan(values), np.nan, values),
            np.concatenate([counts, rest]),
            np.concatenate([large & ~folded, rest >= k]),
        )

    def _count_folded(self, folded: Bools) -> Ints:
        """Return how many distinct entities the folded cells of equal labels have: int64 [kins, points]."""
        named = self._there & folded[self._group_of] & (self._entity_of >= 0)[:, None]
        counts: Ints = self._owners_by_kin.sum(self._by_owner.sum(named) > 0)
        return counts


class _By:
    """Joins rows that have equal numbers; the numbers are 0, 1, ... and each occurs."""

    def __init__(self, numbers: Ints) -> None:
        self._order = np.argsort(numbers, kind="stable")
        self._starts = np.flatnonzero(np.diff(numbers[self._order], prepend=-1))

    def sum(self, rows: npt.NDArray[Any]) -> Any:  # noqa: ANN401 - integers or floats, as the rows are
        """Return the sum of the rows of each number; of truths, how many are true."""
        kind = np.int32 if rows.dtype == np.bool_ else rows.dtype
        with np.errstate(invalid="ignore"):
            total = np.add.reduceat(rows[self._order], self._starts, axis=0, dtype=kind)
        return total.astype(np.int64) if rows.dtype == np.bool_ else total

    def least(self, rows: Ints) -> Ints:
        """Return the least of the rows of each number."""
        least: Ints = np.minimum.reduceat(rows[self._order], self._starts, axis=0)
        return least
