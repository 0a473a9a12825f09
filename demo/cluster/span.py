"""Time and values of the simulation: what a span is, what a series is. All times are whole seconds since 1970."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

STEP = 30
MINUTE = 60
HOUR = 3600
DAY = 24 * HOUR


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """The samples with ``start <= timestamp < end``."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if self.start % STEP or self.end % STEP or self.start >= self.end:
            raise ValueError(
                f"found a span from {self.start} to {self.end}, wanted start < end, both multiples of {STEP} s"
            )

    def times(self, interval: int = STEP) -> Ints:
        """Return the multiples of ``interval`` within the span."""
        return grid(self.start, self.end, interval)


@dataclass(frozen=True, slots=True)
class Series:
    """One label set over time; ``times`` ascend."""

    metric: str
    labels: Mapping[str, str]
    times: Ints
    values: Floats


def grid(start: int, end: int, interval: int = STEP) -> Ints:
    """Return the multiples of ``interval`` with ``start <= t < end``."""
    return np.arange(-(-start // interval) * interval, end, interval, dtype=np.int64)


def slice_between(times: Ints, start: int, end: int) -> slice:
    """Return where ``start <= times < end``, for ascending ``times``."""
    low, high = np.searchsorted(times, (start, end))
    return slice(int(low), int(high))


def floor_step(time: float) -> int:
    """Return the last whole step at or before ``time``."""
    return int(time // STEP) * STEP


def accumulate(increments: Floats, *, decimals: int | None = None) -> Floats:
    """Return a counter's values from its increments, from its life's first step on.

    A running sum always begins at the life's first step, never at the span's, so that every span that
    holds a moment agrees on its value. Rounding down to ``decimals`` keeps it monotone.
    """
    totals: Floats = np.cumsum(increments)
    if decimals is None:
        return np.floor(totals)
    scale = 10.0**decimals
    return np.floor(totals * scale) / scale
