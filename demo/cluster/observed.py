"""Counts and histograms of what was observed, as exporters keep them: from their own start on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from demo.cluster.span import Floats, Ints, accumulate

Described = tuple[str, dict[str, str], Floats]
"""A metric, its own labels, and a value per time."""


def count_before(moments: Iterable[int], times: Ints) -> Floats:
    """Return how many of ``moments`` have come at each of ``times``."""
    ordered = np.sort(np.fromiter(moments, dtype=np.int64))
    return np.searchsorted(ordered, times, side="right").astype(np.float64)


def count_between(spans: Iterable[tuple[int, int]], times: Ints) -> Floats:
    """Return how many of ``spans`` hold each of ``times``."""
    ends = list(spans)
    return count_before((start for start, _ in ends), times) - count_before((end for _, end in ends), times)


def describe_histogram(
    name: str, labels: dict[str, str], observed: Iterable[tuple[int, float]], times: Ints, bounds: Sequence[str]
) -> Iterator[Described]:
    """Yield the buckets, count and sum of single observations since the exporter's start, which is ``times[0]``."""
    since = sorted((when, seconds) for when, seconds in observed if when >= times[0])
    for bound in bounds:
        within = (when for when, seconds in since if seconds <= float(bound))
        yield f"{name}_bucket", labels | {"le": bound}, count_before(within, times)
    moments = np.array([when for when, _ in since], dtype=np.int64)
    yield f"{name}_count", labels, count_before(moments, times)
    sums = np.concatenate(([0.0], np.cumsum([seconds for _, seconds in since])))
    yield f"{name}_sum", labels, sums[np.searchsorted(moments, times, side="right")]


def spread_histogram(
    name: str, labels: dict[str, str], arrivals: Floats, typical: Floats, bounds: Sequence[str]
) -> Iterator[Described]:
    """Yield the buckets, count and sum of many observations, spread around a typical value.

    The spread is log-logistic: with the fourth power, a few take ten times as long.
    """
    for bound in bounds:
        ratio = (float(bound) / typical) * (float(bound) / typical)
        share = ratio * ratio / (1.0 + ratio * ratio)
        yield f"{name}_bucket", labels | {"le": bound}, accumulate(arrivals * share)
    yield f"{name}_bucket", labels | {"le": "+Inf"}, accumulate(arrivals)
    yield f"{name}_count", labels, accumulate(arrivals)
    yield f"{name}_sum", labels, accumulate(arrivals * typical * 1.11, decimals=6)
