"""The kubelet's cAdvisor: the containers. A restarted container has a new id, thus new series from zero."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from demo.cluster.load import compute_load
from demo.cluster.names import CLUSTER
from demo.cluster.noise import derive_key, white
from demo.cluster.pods import Pod, Run
from demo.cluster.span import MINUTE, STEP, Floats, Ints, Series, accumulate, slice_between
from demo.cluster.world import World

JOB = "kubelet"
_PERIODS_PER_STEP = STEP * 10  # the scheduler's period is 100 ms
OOM_SHOWN_BEFORE_END = 2 * MINUTE  # the kernel kills a worker process first; the container dies of it later
KERNEL_KILLS_EVERY = 9  # every ninth notebook loses a kernel to the limit without ending


def build_container_series(world: World) -> Iterator[Series]:
    """Yield the series of every container, and the aggregates of every pod, while they run."""
    for pod in world.pods:
        for run in pod.runs:
            times = np.arange(run.start, min(run.end, world.span.end), STEP, dtype=np.int64)
            shown = slice_between(times, world.span.start, world.span.end)
            if shown.start < shown.stop:
                yield from _build_run(pod, run, times, shown)


def label_container(pod: Pod, run: Run | None) -> dict[str, str]:
    """Return the labels of a container, or of the pod's aggregate without a run."""
    labels = {
        "cluster": CLUSTER,
        "job": JOB,
        "instance": f"{pod.node.ip}:10250",
        "metrics_path": "/metrics/cadvisor",
        "node": pod.node.name,
        "namespace": pod.namespace,
        "pod": pod.name,
    }
    if run is None:
        return labels | {"container": "", "id": pod.cgroup}
    return labels | {
        "container": pod.container,
        "id": pod.cgroup_of(run),
        "image": pod.image,
        "name": run.container_id,
    }


def _build_run(pod: Pod, run: Run, times: Ints, shown: slice) -> Iterator[Series]:
    load = compute_load(pod, run, times)
    own = label_container(pod, run)

    def emit(metric: str, values: Floats | float, labels: Mapping[str, str] = own, **more: str) -> Series:
        when = times[shown]
        values = np.full(len(when), values) if isinstance(values, float) else values[shown]
        return Series(metric, {**labels, **more}, when, values)

    seconds = accumulate(load.cpu * STEP, decimals=6)
    yield emit("container_cpu_usage_seconds_total", seconds, cpu="total")
    yield emit("container_memory_working_set_bytes", load.memory)
    yield emit("container_memory_rss", np.floor(load.memory * 0.87 / 4096) * 4096)
    yield emit("container_oom_events_total", _count_kills(pod, run, times))
    yield emit("container_fs_writes_bytes_total", _count_writes(load.writes), device="/dev/nvme0n1")
    yield emit("container_spec_memory_limit_bytes", float(pod.resources.memory_limit))
    yield emit("container_start_time_seconds", float(run.start - 11))
    if pod.resources.cpu_limit:
        periods, throttled = _count_periods(pod, load.cpu, times)
        yield emit("container_cpu_cfs_periods_total", periods)
        yield emit("container_cpu_cfs_throttled_periods_total", throttled)
    if len(pod.runs) == 1:  # the pod's own group outlives its containers; only the simple case is kept
        aggregate = label_container(pod, None)
        pause = 0.02
        yield emit("container_cpu_usage_seconds_total", seconds + pause, aggregate, cpu="total")
        yield emit("container_memory_working_set_bytes", load.memory + 200_704.0, aggregate)
        if pod.kind != "exporter":  # that one is on the machine's own network
            received = accumulate((400.0 + 21_000.0 * load.cpu + 900_000.0 * load.gpu) * STEP)
            sent = accumulate((300.0 + 14_000.0 * load.cpu + 70_000.0 * load.gpu) * STEP)
            yield emit("container_network_receive_bytes_total", received, aggregate, interface="eth0")
            yield emit("container_network_transmit_bytes_total", sent, aggregate, interface="eth0")


def _count_writes(writes: Floats) -> Floats:
    return accumulate(np.floor(writes * STEP / 4096) * 4096)


def _count_periods(pod: Pod, cpu: Floats, times: Ints) -> tuple[Floats, Floats]:
    """Return the scheduler's periods and those in which the container hit its limit."""
    pressure = np.minimum(cpu / pod.resources.cpu_limit, 1.0)
    active = np.floor(_PERIODS_PER_STEP * np.minimum(0.1 + pressure, 1.0))
    flicker = white(derive_key(pod.key, "throttle"), times // STEP)
    throttled = np.floor(active * np.maximum(pressure - 0.75, 0.0) * 2.0 * flicker)
    return accumulate(active), accumulate(throttled)


def _count_kills(pod: Pod, run: Run, times: Ints) -> Floats:
    kills = np.zeros(len(times))
    if run.reason == "OOMKilled":
        kills[times >= run.end - OOM_SHOWN_BEFORE_END] = 1.0
    elif pod.kind == "notebook" and pod.key % KERNEL_KILLS_EVERY == 0:
        kills[times >= run.start + (run.end - run.start) // 2] = 1.0
    return kills
