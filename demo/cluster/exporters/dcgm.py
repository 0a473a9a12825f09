"""dcgm-exporter: the GPUs, with the pod that holds each. A new holder means new series.

The chart leaves honorLabels off: the holder arrives as exported_*, while namespace, pod and container name the
exporter itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from demo.cluster.load import GPU_MEMORY_SHARE, compute_load
from demo.cluster.names import CLUSTER
from demo.cluster.nodes import COMMON_GPU, Gpu, Node
from demo.cluster.noise import derive_key, seed_random, smooth, white
from demo.cluster.pods import Pod
from demo.cluster.span import MINUTE, STEP, Floats, Ints, Series, slice_between
from demo.cluster.world import World

JOB = "dcgm-exporter"
DRIVER = "570.172.08"
BLANK = 9223372036854775794.0  # what DCGM says for "this board doesn't offer it"
BLANK_NODE = 5  # whose boards don't tell the memory's temperature
XID_SHARE = 0.4  # of the training jobs that fail
XID_SHOWN_FOR = 40 * MINUTE
_NOBODY = -1


def build_gpu_series(world: World) -> Iterator[Series]:
    """Yield the series of every GPU while its node's exporter answers."""
    for exporter in world.pods:
        if exporter.kind != "exporter":
            continue
        node = exporter.node
        times = world.span.times()
        times = times[slice_between(times, exporter.started, exporter.finished)]
        times = times[world.is_scraped(JOB, node, times)]
        if len(times):
            for gpu in node.gpus:
                holders = [pod for pod in world.history if pod.node == node and gpu.index in pod.resources.gpus]
                yield from _build_gpu(world, exporter, gpu, times, holders)


def label_gpu(node: Node, gpu: Gpu, exporter: Pod) -> dict[str, str]:
    """Return the labels of a GPU that nobody holds."""
    return {
        "cluster": CLUSTER,
        "job": JOB,
        "instance": f"{exporter.ip}:9400",
        "namespace": exporter.namespace,
        "pod": exporter.name,
        "container": exporter.container,
        "Hostname": node.short_name,
        "UUID": gpu.uuid,
        "device": f"nvidia{gpu.index}",
        "gpu": str(gpu.index),
        "modelName": gpu.model,
        "DCGM_FI_DRIVER_VERSION": DRIVER,
    }


def label_holder(pod: Pod) -> dict[str, str]:
    """Return the labels that name a GPU's holder."""
    return {
        "exported_namespace": pod.namespace,
        "exported_pod": pod.name,
        "exported_container": pod.container,
    }


def _build_gpu(world: World, exporter: Pod, gpu: Gpu, times: Ints, holders: Sequence[Pod]) -> Iterator[Series]:
    held_by = np.full(len(times), _NOBODY)
    busy, memory = np.zeros(len(times)), np.full(len(times), 3.0)
    xid = np.zeros(len(times))
    for number, pod in enumerate(holders):
        held_by[slice_between(times, pod.started, pod.finished)] = number
        for run in pod.runs:
            where = slice_between(times, run.start, run.end)
            load = compute_load(pod, run, times[where])
            busy[where] = load.gpu
            grown = np.minimum((times[where] - run.start) / (4.0 * MINUTE), 1.0)
            memory[where] += np.floor(gpu.memory_mib * GPU_MEMORY_SHARE[pod.kind] * grown)
        xid[slice_between(times, pod.finished - MINUTE, pod.finished + XID_SHOWN_FOR)] = _draw_xid(pod)
    labels = label_gpu(exporter.node, gpu, exporter)
    fields = _derive_fields(world, exporter.node, gpu, times, busy, memory, xid)
    for number in sorted(set(held_by.tolist())):
        where_held = held_by == number
        holder = {} if number == _NOBODY else label_holder(holders[number])
        for metric, values in fields.items():
            yield Series(metric, labels | holder, times[where_held], values[where_held])


def _derive_fields(
    world: World, node: Node, gpu: Gpu, times: Ints, busy: Floats, memory: Floats, xid: Floats
) -> dict[str, Floats]:
    key = derive_key(world.seed, gpu.uuid)
    flicker = white(key, times // STEP)
    wander = smooth(key, times, 20 * MINUTE)
    common = gpu.model == COMMON_GPU
    idle_watts, top_watts, top_clock = (62.0, 400.0, 1410.0) if common else (78.0, 700.0, 1980.0)
    celsius = np.round(29.0 + 4.0 * wander + (34.0 if common else 40.0) * busy)
    idle_clock = 210.0 if common else 345.0
    memory_celsius = np.full(len(times), BLANK) if node.number == BLANK_NODE else np.round(celsius + 6 + 9 * busy)
    return {
        "DCGM_FI_DEV_GPU_UTIL": np.round(100.0 * busy),
        "DCGM_FI_DEV_MEM_COPY_UTIL": np.round(100.0 * busy * (0.35 + 0.3 * wander)),
        "DCGM_FI_DEV_FB_USED": memory,
        "DCGM_FI_DEV_FB_FREE": gpu.memory_mib - 611.0 - memory,
        "DCGM_FI_DEV_SM_CLOCK": np.where(busy > 0.01, top_clock - 15.0 * np.floor(6.0 * flicker), idle_clock),
        "DCGM_FI_DEV_GPU_TEMP": celsius,
        "DCGM_FI_DEV_MEMORY_TEMP": memory_celsius,
        "DCGM_FI_DEV_POWER_USAGE": np.round(idle_watts + (top_watts - idle_watts) * busy * 0.96 + 3 * flicker, 3),
        "DCGM_FI_DEV_XID_ERRORS": xid,
        "DCGM_FI_PROF_GR_ENGINE_ACTIVE": np.round(busy * (0.97 + 0.03 * flicker), 6),
        "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE": np.round(busy * busy * (0.45 + 0.2 * wander), 6),
    }


def _draw_xid(pod: Pod) -> float:
    """Return the driver's error that ended the job, or 0."""
    source = seed_random("xid", pod.uid)
    hit = pod.kind == "training" and pod.outcome == "Failed" and source.random() < XID_SHARE
    return float(source.choice((31, 43, 79, 94))) if hit else 0.0
