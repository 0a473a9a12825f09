"""Put the exporters together: all series of a span."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from demo.cluster.exporters.cadvisor import build_container_series
from demo.cluster.exporters.control_plane import build_control_plane_series
from demo.cluster.exporters.dcgm import build_gpu_series
from demo.cluster.exporters.jupyterhub import build_hub_series
from demo.cluster.exporters.kube_state import build_kube_state_series
from demo.cluster.exporters.kubelet import build_kubelet_series
from demo.cluster.exporters.monitoring import build_monitoring_series
from demo.cluster.exporters.node_exporter import build_node_series
from demo.cluster.exporters.operators import build_operator_series
from demo.cluster.exporters.vllm import build_model_series
from demo.cluster.exporters.workloads import build_workload_series
from demo.cluster.span import Series, Span
from demo.cluster.world import World

_EXPORTERS = (
    build_node_series,
    build_container_series,
    build_kubelet_series,
    build_kube_state_series,
    build_control_plane_series,
    build_gpu_series,
    build_hub_series,
    build_model_series,
    build_operator_series,
    build_workload_series,
    build_monitoring_series,
)


def build_series(seed: int, span: Span) -> list[Series]:
    """Return all series with a sample in ``span``, ordered by metric and by their first appearance."""
    world = World(seed, span)
    lives: dict[tuple[str, frozenset[tuple[str, str]]], list[Series]] = {}
    for build in _EXPORTERS:
        for series in build(world):
            if len(series.times):
                lives.setdefault((series.metric, frozenset(series.labels.items())), []).append(series)
    return sorted((_join_lives(parts) for parts in lives.values()), key=lambda series: series.metric)


def count_samples(series: Iterable[Series]) -> int:
    """Return the number of samples of all ``series``."""
    return sum(len(one.times) for one in series)


def _join_lives(parts: Sequence[Series]) -> Series:
    """Return one series from those of equal labels: a rebooted node, a server that its user started again."""
    if len(parts) == 1:
        return parts[0]
    ordered = sorted(parts, key=lambda series: int(series.times[0]))
    times = np.concatenate([series.times for series in ordered])
    if (np.diff(times) <= 0).any():
        raise ValueError(f"found two samples of {ordered[0].metric} at one time, wanted lives that follow each other")
    return Series(ordered[0].metric, ordered[0].labels, times, np.concatenate([part.values for part in ordered]))
