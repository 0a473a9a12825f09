"""Per-second rates of counters. Pure numpy."""

from typing import Any

import numpy as np

Ints = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]


def per_second(*, series: Ints, timestamps_ms: Ints, values: Floats) -> Floats:
    """Return, for each point, the increase since its series' previous point divided by the seconds between.

    - A series' first point has no previous one: NaN.
    - A value below the previous one is a counter reset: the counter began at 0 in between, so the increase is
      the value itself. Should that be negative (a counter published less a constant), the rate is NaN.
    - NaN makes its own point and the next one NaN.
    - Across a gap the rate is the mean over the gap; nothing is interpolated and nothing extrapolated, other
      than by PromQL's ``rate``.

    >>> per_second(series=np.array([0, 0, 0]), timestamps_ms=np.array([0, 1000, 3000]),
    ...            values=np.array([5.0, 7.0, 1.0])).tolist()
    [nan, 2.0, 0.5]
    """
    rates = np.full(len(values), np.nan)
    order = np.lexsort((timestamps_ms, series))
    points, at, of = values[order], timestamps_ms[order], series[order]
    before, after = points[:-1], points[1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        increase = np.where(after < before, after, after - before)
        found = increase / (np.diff(at) / 1000.0)
        known = (of[1:] == of[:-1]) & (increase >= 0)
    rates[order[1:]] = np.where(known, found, np.nan)
    return rates
