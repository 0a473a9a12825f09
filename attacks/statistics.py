"""The little statistics that several attacks share. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def rank(values: Sequence[str] | Sequence[float]) -> Floats:
    """Return the rank of each value, equal ones sharing their mean: float64 [values].

    >>> rank(["b", "a", "b"])
    array([1.5, 0. , 1.5])
    """
    _, codes, counts = np.unique(np.array(values), return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - counts + ends - 1) / 2, dtype=np.float64)[codes]


def correlate(first: Floats, second: Floats) -> float:
    """Return the correlation of two lists of ranks; 0 where one does not vary.

    >>> correlate(rank([1.0, 2.0, 3.0]), rank([3.0, 2.0, 1.0]))
    -1.0
    """
    a, b = first - first.mean(), second - second.mean()
    spread = math.sqrt(float(a @ a) * float(b @ b))
    return round(float(a @ b) / spread, 12) if spread else 0.0


def chance_correlation(values: int) -> float:
    """Return what the correlation of so many unrelated ranks hardly exceeds: four standard deviations, 1 in 16,000."""
    return min(1.0, 4 / math.sqrt(max(1, values - 1)))


def count_unique(values: Iterable[Hashable]) -> int:
    """Return how many values nobody shares.

    >>> count_unique([1, 2, 2, 3])
    2
    """
    return sum(count == 1 for count in Counter(values).values())
