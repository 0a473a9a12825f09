"""What a container does at each moment of its life: CPU, memory, writes and GPU, by the kind of its pod."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from demo.cluster.noise import derive_key, rhythm, smooth, white
from demo.cluster.pods import MIB, Kind, Pod, Run
from demo.cluster.span import HOUR, MINUTE, STEP, Floats, Ints

GROWN_AFTER = 20 * MINUTE
WARM_UP = 3 * MINUTE
CHECKPOINT_EVERY = 30 * MINUTE
_MIN_BYTES = 4 * MIB


@dataclass(frozen=True, slots=True)
class Load:
    """Rates and levels, one value per step."""

    cpu: Floats  # cores
    memory: Floats  # bytes of working set
    writes: Floats  # bytes per second
    gpu: Floats  # share of the GPU's time


def compute_load(pod: Pod, run: Run, times: Ints) -> Load:
    """Return the container's load at ``times``, all within ``run``."""
    load = _LOADS[pod.kind](pod, run, times)
    limit = pod.resources.memory_limit
    memory = np.maximum(load.memory, _MIN_BYTES)
    memory = np.minimum(memory, 0.99 * limit) if limit else memory
    cpu = np.minimum(load.cpu, pod.resources.cpu_limit) if pod.resources.cpu_limit else load.cpu
    return Load(cpu, np.floor(memory / 4096) * 4096, load.writes, load.gpu)


def compute_working(pod: Pod, times: Ints) -> Floats:
    """Return how busily a notebook's user works, in [0, 1]; late in its life the notebook only idles."""
    bursts = smooth(pod.key, times, 25 * MINUTE)
    leaves = pod.started + 0.7 * (pod.finished - pod.started)
    return np.where((bursts > 0.45) & (times < leaves), bursts, 0.0)


def compute_demand(pod: Pod, times: Ints) -> Floats:
    """Return the requests per second that reach a model server."""
    by_day = rhythm(times, peak_hour=13.5)
    return 0.3 + (4.0 * by_day * by_day + 0.8) * (0.5 + smooth(derive_key(pod.key, "demand"), times, 10 * MINUTE))


def _platform(pod: Pod, run: Run, times: Ints) -> Load:
    key = pod.key
    cpu = pod.resources.cpu_request * (0.15 + 0.25 * rhythm(times, peak_hour=12) + 0.1 * white(key, times // STEP))
    memory = pod.resources.memory_request * (0.45 + 0.2 * smooth(key, times, 6 * HOUR))
    return Load(cpu, memory, 2_000.0 + 60_000.0 * cpu, np.zeros(len(times)))


def _exporter(pod: Pod, run: Run, times: Ints) -> Load:
    cpu = 0.01 + 0.004 * white(pod.key, times // STEP)
    memory = 180.0 * MIB + 40 * MIB * smooth(pod.key, times, 12 * HOUR)
    return Load(cpu, memory, np.zeros(len(times)), np.zeros(len(times)))


def _notebook(pod: Pod, run: Run, times: Ints) -> Load:
    working = compute_working(pod, times)
    burst = white(derive_key(pod.key, "burst"), times // (2 * MINUTE))
    grown = np.minimum((times - run.start) / (2.0 * HOUR), 1.0)
    memory = 240 * MIB + (pod.resources.memory_limit * 0.75) * grown * smooth(pod.key, times, HOUR)
    cpu = 0.008 + working * burst * burst * 1.4
    gpu = np.where(working > 0.6, 0.55 * burst, 0.0) if pod.resources.gpus else np.zeros(len(times))
    return Load(cpu, memory, 300.0 + 400_000.0 * working * burst, gpu)


def _training(pod: Pod, run: Run, times: Ints) -> Load:
    age = times - run.start
    warm = age >= WARM_UP
    saving = warm & (age % CHECKPOINT_EVERY < MINUTE)
    flicker = white(pod.key, times // STEP)
    gpu = np.where(saving, 0.12 + 0.1 * flicker, np.where(warm, 0.93 + 0.07 * flicker, 0.0))
    cpu = pod.resources.cpu_request * np.where(warm, 0.75 + 0.3 * flicker, 1.4)
    grown = np.minimum(age / GROWN_AFTER, 1.0)
    share = age / (run.end - run.start) if run.reason == "OOMKilled" else 0.25 + 0.4 * grown
    writes = np.where(saving, 180e6, 4_000.0 + 20_000.0 * flicker)
    return Load(cpu, pod.resources.memory_limit * share, writes, gpu)


def _serving(pod: Pod, run: Run, times: Ints) -> Load:
    demand = compute_demand(pod, times)
    busy = demand / (demand + 1.6)
    memory = pod.resources.memory_limit * (0.55 + 0.05 * smooth(pod.key, times, HOUR))
    return Load(0.25 + 1.2 * busy, memory, 1_000.0 + 900.0 * demand, np.minimum(busy * 1.1, 0.99))


def _batch(pod: Pod, run: Run, times: Ints) -> Load:
    flicker = white(pod.key, times // STEP)
    grown = np.minimum((times - run.start) / (run.end - run.start), 1.0)
    memory = pod.resources.memory_limit * (0.1 + 0.5 * grown + 0.1 * flicker)
    return Load(pod.resources.cpu_limit * (0.6 + 0.6 * flicker), memory, 2e6 * flicker, np.zeros(len(times)))


def _service(pod: Pod, run: Run, times: Ints) -> Load:
    wander = smooth(pod.key, times, 20 * MINUTE)
    cpu = 0.03 + 0.45 * rhythm(times, peak_hour=14) * (0.4 + wander)
    leak = np.minimum((times - run.start) / (24.0 * HOUR), 1.0)
    memory = pod.resources.memory_limit * (0.3 + 0.2 * leak + 0.1 * wander)
    return Load(cpu, memory, 800.0 + 40_000.0 * cpu, np.zeros(len(times)))


def _crashing(pod: Pod, run: Run, times: Ints) -> Load:
    flicker = white(pod.key, times // STEP)
    return Load(0.4 + 0.3 * flicker, 60 * MIB + 30 * MIB * flicker, 9_000.0 * flicker, np.zeros(len(times)))


_LOADS: dict[Kind, Callable[[Pod, Run, Ints], Load]] = {
    "platform": _platform,
    "exporter": _exporter,
    "notebook": _notebook,
    "training": _training,
    "serving": _serving,
    "batch": _batch,
    "service": _service,
    "crashing": _crashing,
}
GPU_MEMORY_SHARE = {"training": 0.86, "serving": 0.9, "notebook": 0.12}
