"""The curves of containers: read from a release, or made by the simulation as they would be published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from attacks.published import Published
from demo.cluster.exporters.cadvisor import build_container_series
from demo.cluster.span import Span
from demo.cluster.world import World

Entity = tuple[str, ...]
METRICS: Final = (
    "container_cpu_usage_seconds_total",
    "container_memory_working_set_bytes",
    "container_fs_writes_bytes_total",
    "container_start_time_seconds",
)
CPU, MEMORY, WRITES, AGE = METRICS
KEY: Final = ("namespace", "pod", "container")


@dataclass(frozen=True, slots=True)
class Curve:
    """Values (float64) at ascending times (int64, ms)."""

    times: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]


Curves = Mapping[Entity, Mapping[str, Curve]]


def read_curves(release: Published) -> dict[Entity, dict[str, Curve]]:
    """Return the curves of every container of a release, by tokens."""
    found: dict[Entity, dict[str, Curve]] = {}
    for metric in METRICS:
        rows = release.rows("container", metric, ["series_id", "timestamp", *KEY, "value"])
        times = rows.column("timestamp").cast(pa.int64()).to_numpy()
        values = rows.column("value").to_numpy()
        series: Any = rows.column("series_id").combine_chunks()
        encoded = series.dictionary_encode()
        codes = encoded.indices.to_numpy()
        order = np.lexsort((times, codes))
        starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
        at: Any = pa.array(order[starts])
        names = [rows.column(name).take(at).to_pylist() for name in KEY]
        for entity, each in zip(zip(*names, strict=True), np.split(order, starts[1:]), strict=True):
            _join(found.setdefault(entity, {}), metric, times[each], values[each])
    return found


def simulate_curves(seed: int, start: int, end: int) -> dict[Entity, dict[str, Curve]]:
    """Return the curves of every container of another simulated cluster in ``[start, end)`` (seconds), by raw names."""
    found: dict[Entity, dict[str, Curve]] = {}
    for series in build_container_series(World(seed, Span(start, end))):
        if series.metric in (CPU, MEMORY) and len(series.times):
            entity = tuple(series.labels.get(name, "") for name in KEY)
            if not entity[-1]:  # sums of pods and nodes are not published
                continue
            _join(found.setdefault(entity, {}), series.metric, series.times * 1000, series.values)
    return found


def _join(curves: dict[str, Curve], metric: str, times: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> None:
    """Add a life of the container to its curve."""
    if known := curves.get(metric):
        times, values = np.concatenate([known.times, times]), np.concatenate([known.values, values])
    times, at = np.unique(times, return_index=True)  # two lives may share a point of the grid
    curves[metric] = Curve(times, values[at])
