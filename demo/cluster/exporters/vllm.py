"""vLLM: two model servers under a load that follows the day."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from demo.cluster.load import compute_demand
from demo.cluster.names import CLUSTER
from demo.cluster.noise import derive_key, white
from demo.cluster.observed import Described, spread_histogram
from demo.cluster.pods import Pod
from demo.cluster.span import STEP, Floats, Ints, Series, accumulate, slice_between
from demo.cluster.world import World

JOB = "vllm-model-servers"
TTFT_BOUNDS = (
    "0.001", "0.005", "0.01", "0.02", "0.04", "0.06", "0.08", "0.1", "0.25", "0.5", "0.75", "1.0", "2.5", "5.0",
    "7.5", "10.0", "20.0", "40.0", "80.0", "160.0", "640.0", "2560.0",
)  # fmt: skip
FINISHED = (("stop", 0.86), ("length", 0.125), ("abort", 0.015), ("error", 0.0))
SLOTS = 24.0  # requests that run at once
SECONDS_PER_REQUEST = 6.0


def build_model_series(world: World) -> Iterator[Series]:
    """Yield the series of each model server; its counters begin when its pod does."""
    for pod in world.pods:
        if pod.kind != "serving":
            continue
        end = min(pod.finished, world.span.end)
        times = np.arange(pod.started, end, STEP, dtype=np.int64)
        shown = slice_between(times, world.span.start, world.span.end)
        if shown.start == shown.stop:
            continue
        target = label_model_target(world, pod)
        for metric, labels, values in _describe_server(pod, times):
            yield Series(metric, target | labels, times[shown], values[shown])


def label_model_target(world: World, pod: Pod) -> dict[str, str]:
    """Return the labels that all of a server's series share."""
    model = world.names.models[world.names.serving.index(pod.namespace)]
    return label_serving_target(pod) | {"model_name": model, "engine": "0"}


def label_serving_target(pod: Pod) -> dict[str, str]:
    """Return the labels of the scrape target."""
    return {
        "cluster": CLUSTER,
        "job": JOB,
        "instance": f"{pod.ip}:8080",
        "namespace": pod.namespace,
        "pod": pod.name,
    }


def _describe_server(pod: Pod, times: Ints) -> Iterator[Described]:
    demand = compute_demand(pod, times)
    flicker = white(derive_key(pod.key, "requests"), times // STEP)
    wanted = demand * SECONDS_PER_REQUEST * (0.7 + 0.6 * flicker)
    running = np.floor(np.minimum(wanted, SLOTS))
    yield "vllm:num_requests_running", {}, running
    waiting = np.floor(np.maximum(1.5 * (wanted - SLOTS), 0.0))
    yield "vllm:num_requests_waiting", {}, waiting
    cached: Floats = np.minimum(0.04 * running + 0.03 * flicker, 0.995)
    yield "vllm:kv_cache_usage_perc", {}, np.round(cached, 6)

    arrivals = np.floor(np.minimum(demand, SLOTS / SECONDS_PER_REQUEST) * STEP + flicker)
    prompts = np.floor(arrivals * (380 + 240 * flicker))
    yield "vllm:prompt_tokens_total", {}, accumulate(prompts)
    yield "vllm:prefix_cache_queries_total", {}, accumulate(prompts)
    yield "vllm:prefix_cache_hits_total", {}, accumulate(np.floor(prompts * (0.35 + 0.2 * flicker)))
    yield "vllm:num_preemptions_total", {}, accumulate(np.floor(np.maximum(cached - 0.97, 0.0) * 60.0))
    yield "vllm:generation_tokens_total", {}, accumulate(np.floor(arrivals * (150 + 130 * flicker)))
    for reason, part in FINISHED:
        finished = accumulate(arrivals * part)
        yield "vllm:request_success_total", {"finished_reason": reason}, finished

    crowded = np.maximum(wanted / SLOTS - 0.55, 0.0)
    typical = 0.045 + 0.5 * crowded * crowded + 0.03 * flicker
    yield from spread_histogram("vllm:time_to_first_token_seconds", {}, arrivals, typical, TTFT_BOUNDS)
