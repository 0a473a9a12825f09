"""The made-up series: what their values look like, what labels they have, and how pods come and go.

A *slot* is a place for a series, such as the second container of the fifth pod of a team. Most slots hold one series
for ever. In some the pod lives a few hours, ends with a stale marker, and is followed by another with a new name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

STEP: Final = timedelta(seconds=30)
STEP_MS: Final = STEP // timedelta(milliseconds=1)
STALE: Final = np.uint64(0x7FF0000000000002)
CHURN: Final = 0.1
"""The share of slots whose pods live for hours only."""
LIVES_HOURS: Final = (1, 7)
"""The shortest and the longest life of such a pod."""
BUCKETS: Final = ("0.005", "0.025", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "10.0", "+Inf")
_GROUP: Final = 20
"""Slots that share their fate: the buckets of a histogram, the containers of a pod."""
_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Shape:
    """One metric and how its values look. ``numbers`` are labels beside those that every series has."""

    metric: str
    type: str
    says: str
    numbers: tuple[str, ...] = ()


SHAPES: Final = (
    Shape("bench_cpu_seconds_total", "counter", "counter with random mantissas"),
    Shape("bench_memory_bytes", "gauge", "page-aligned gauge"),
    Shape("bench_ready", "gauge", "0/1 flag"),
    Shape("bench_temperature_celsius", "gauge", "gauge rounded to 0.1"),
    Shape("DCGM_FI_DEV_GPU_UTIL", "gauge", "GPU utilisation, whole percent"),
    Shape("DCGM_FI_DEV_POWER_USAGE", "gauge", "GPU power, watts to 0.001"),
    Shape("DCGM_FI_DEV_GPU_TEMP", "gauge", "GPU temperature, whole degrees"),
    Shape("bench_request_seconds_bucket", "histogram", "histogram buckets, cumulative", ("le",)),
)
PEER_SHAPE: Final = SHAPES[1]
"""The metric on which ours and the peer are compared."""


@dataclass(frozen=True)
class Series:
    """The samples of one series: ascending milliseconds, and the bits of the values."""

    labels: dict[str, str]
    times: npt.NDArray[np.int64]
    bits: npt.NDArray[np.uint64]


def make_series(
    shape: Shape, *, slots: range, scrape_job: str, start_ms: int, end_ms: int, churn: float = CHURN
) -> Iterator[Series]:
    """Yield the series of some slots in ``[start_ms, end_ms)``.

    The same slots, job and span give the same series. ``slots`` begins and ends at a multiple of ten, since the
    buckets of a histogram take ten.
    """
    rng = np.random.default_rng([_number(shape.metric), slots.start, start_ms // STEP_MS])
    points = len(range(start_ms, end_ms, STEP_MS))
    values = _make_values(shape, rng, (len(slots), points))
    for row, slot in enumerate(slots):
        times = _make_times(node_of(shape, slot), scrape_job, start_ms, end_ms)
        for life, (first, last) in enumerate(_make_lives(slot // _GROUP, start_ms, points, churn)):
            own = values[row, first:last]
            if life and shape.type in ("counter", "histogram"):
                own = own - own[0]  # a new pod counts from zero
            bits, stamps = own.view(np.uint64), times[first:last]
            if last < points:
                bits, stamps = np.append(bits, STALE), times[first : last + 1]
            yield Series({**make_labels(shape, slot, life), "job": scrape_job}, stamps, bits)


def make_up(*, slots: range, scrape_job: str, start_ms: int, end_ms: int) -> Iterator[Series]:
    """Yield ``up`` of every target that the slots need: one of each node, always up."""
    for node in sorted({node_of(SHAPES[0], slot) for slot in slots}):
        times = _make_times(node, scrape_job, start_ms, end_ms)
        labels = {"__name__": "up", "job": scrape_job, "instance": _name_instance(node)}
        yield Series(labels, times, np.ones(times.size).view(np.uint64))


def node_of(shape: Shape, slot: int) -> int:
    """Return the node of a slot: pods of one namespace lie on ten nodes, and a node has fifty pods."""
    pod = slot // (2 * len(BUCKETS) if "le" in shape.numbers else 2)
    return pod // 500 * 10 + pod % 10


def make_labels(shape: Shape, slot: int, life: int = 0) -> dict[str, str]:
    """Return the labels of one series, ``job`` apart: two containers a pod, ten pods a namespace."""
    node = node_of(shape, slot)
    extra = {}
    if "le" in shape.numbers:
        slot, bucket = divmod(slot, len(BUCKETS))
        extra = {"le": BUCKETS[bucket]}
    pod = slot // 2
    return {
        "__name__": shape.metric,
        "namespace": f"team-{pod // 10}",
        "pod": f"service-{pod // 10}-6d4cf56db6-{pod:05x}" + (f"-{life}" if life else ""),
        "container": ("main", "sidecar")[slot % 2],
        "node": f"worker-{node}.cluster.example",
        "instance": _name_instance(node),
        "workload": f"service-{pod // 10}",
        "device": f"nvme{slot % 4}n1",
        "uid": f"{slot:08x}-aaaa-4bbb-8ccc-{slot * 7919:08x}{life:04x}",  # nobody declares it, so it is dropped
        **extra,
    }


@cache
def _make_lives(group: int, start_ms: int, points: int, churn: float) -> tuple[tuple[int, int], ...]:
    """Return the [first, last) sample of every pod that holds a slot of a group, one after another."""
    rng = np.random.default_rng([7, group, start_ms // STEP_MS])
    if rng.random() >= churn:
        return ((0, points),)
    shortest, longest = (hours * 3_600_000 // STEP_MS for hours in LIVES_HOURS)
    ends = np.cumsum(rng.integers(shortest, longest, 2 + points // shortest)) - rng.integers(shortest)
    inside = [0, *(int(end) for end in ends if 0 < end < points - 1), points]
    return tuple(pairwise(inside))


@cache
def _make_times(node: int, scrape_job: str, start_ms: int, end_ms: int) -> npt.NDArray[np.int64]:
    """Return when a target is scraped, in milliseconds: a phase of its own, and now and then a little late."""
    rng = np.random.default_rng([node, _number(scrape_job), start_ms // STEP_MS])
    grid = np.arange(start_ms, end_ms, STEP_MS, dtype=np.int64)
    late = np.where(rng.random(grid.size) < 0.05, rng.integers(0, 12, grid.size), 0)
    return np.asarray(grid + rng.integers(0, STEP_MS - 20) + late, dtype=np.int64)


def _name_instance(node: int) -> str:
    return f"10.0.{node // 250}.{node % 250}:10250"


def _make_values(shape: Shape, rng: np.random.Generator, size: tuple[int, int]) -> _Floats:
    rows, points = size
    match shape.metric:
        case "bench_cpu_seconds_total":
            return np.cumsum(rng.gamma(0.5, 6.0, size), axis=1) + rng.uniform(0, 1e6, (rows, 1))
        case "bench_memory_bytes":
            moved = rng.random(size, dtype=np.float32) < 0.6
            pages = np.cumsum(np.where(moved, rng.integers(-400, 400, size, dtype=np.int16), 0), axis=1)
            return np.asarray(4096.0 * (np.abs(pages) + rng.integers(10_000, 500_000, (rows, 1))))
        case "bench_ready":
            flips = np.cumsum(rng.random(size, dtype=np.float32) < 0.001, axis=1)
            return np.asarray((flips + 1) % 2, dtype=np.float64)
        case "bench_temperature_celsius":
            return np.asarray(np.round(45 + 0.2 * np.cumsum(rng.normal(0, 1, size), axis=1) % 40, 1))
        case "bench_request_seconds_bucket":
            return _make_buckets(rng, size)
    load = _make_load(rng, size)
    match shape.metric:
        case "DCGM_FI_DEV_GPU_UTIL":
            return np.asarray(np.round(100 * load))
        case "DCGM_FI_DEV_POWER_USAGE":
            return np.asarray(np.round(62 + 230 * load + rng.normal(0, 1.5, size), 3))
        case "DCGM_FI_DEV_GPU_TEMP":
            slow = np.apply_along_axis(lambda row: np.convolve(row, np.full(8, 1 / 8))[:points], 1, load)
            return np.asarray(np.round(34 + 41 * slow))
    raise KeyError(shape.metric)


def _make_load(rng: np.random.Generator, size: tuple[int, int]) -> _Floats:
    """Return the load of GPUs in [0, 1]: jobs of about an hour, busy and unsteady, with idle time between them."""
    changes = np.cumsum(rng.random(size) < 1 / 120, axis=1) + rng.integers(0, 2, (size[0], 1))
    levels = rng.choice([0.98, 0.9, 0.6, 0.35], (size[0], int(changes.max()) + 1))
    busy = np.take_along_axis(levels, changes, axis=1) * (changes % 2)
    return np.asarray(np.clip(busy + (busy > 0) * rng.normal(0, 0.04, size), 0, 1))


def _make_buckets(rng: np.random.Generator, size: tuple[int, int]) -> _Floats:
    """Return ten cumulative buckets of each histogram: counts that only grow, and are not below a lower bucket's."""
    rows, points = size
    shares = np.array([0.02, 0.1, 0.3, 0.25, 0.15, 0.1, 0.05, 0.02, 0.009, 0.001])
    rates = rng.gamma(0.6, 20.0, (rows // len(BUCKETS), 1, 1)) * shares[:, None]
    counts = np.cumsum(rng.poisson(rates, (rows // len(BUCKETS), len(BUCKETS), points)), axis=2)
    return np.asarray(np.cumsum(counts, axis=1).reshape(rows, points), dtype=np.float64)


def _number(name: str) -> int:
    """Return a number for a name that is the same in every process."""
    return int.from_bytes(name.encode()[-16:], "big")
