"""JupyterHub: how many people work, and how long their servers take to start."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from demo.cluster.names import CLUSTER
from demo.cluster.noise import derive_key, rhythm, seed_random, white
from demo.cluster.observed import Described, count_before, describe_histogram
from demo.cluster.pods import Pod
from demo.cluster.schedule_gpu import plan_gpu_pods
from demo.cluster.schedule_work import plan_notebook_pods
from demo.cluster.span import DAY, HOUR, STEP, Ints, Series, Span, accumulate, slice_between
from demo.cluster.world import World

JOB = "hub"
SPAWN_BOUNDS = ("0.5", "1.0", "2.5", "5.0", "10.0", "15.0", "30.0", "60.0", "120.0", "180.0", "300.0", "600.0", "+Inf")
STOP_BOUNDS = (
    "0.005", "0.01", "0.025", "0.05", "0.075", "0.1", "0.25", "0.5", "0.75", "1.0", "2.5", "5.0", "7.5", "10.0", "+Inf",
)  # fmt: skip
FAILED_SPAWN = 0.06
_REQUESTS = (  # per hour at the daily peak
    ("GET", "jupyterhub.apihandlers.hub.RootAPIHandler", "200", 110.0),
    ("POST", "jupyterhub.apihandlers.users.ActivityAPIHandler", "200", 900.0),
    ("POST", "jupyterhub.apihandlers.users.UserServerAPIHandler", "201", 25.0),
    ("DELETE", "jupyterhub.apihandlers.users.UserServerAPIHandler", "204", 18.0),
    ("GET", "jupyterhub.apihandlers.users.SelfAPIHandler", "200", 260.0),
    ("GET", "jupyterhub.handlers.base.Template404", "404", 7.0),
)


def build_hub_series(world: World) -> Iterator[Series]:
    """Yield the hub's own series; its counters begin when its pod does."""
    for hub in world.find_pod("hub"):
        end = min(hub.finished, world.span.end)
        times = np.arange(hub.started, end, STEP, dtype=np.int64)
        shown = slice_between(times, world.span.start, world.span.end)
        target = {
            "cluster": CLUSTER,
            "job": JOB,
            "instance": f"{hub.ip}:8081",
            "namespace": hub.namespace,
            "pod": hub.name,
            "service": "hub",
        }
        notebooks = find_notebooks(world.seed, hub.started - DAY, end)
        for metric, labels, values in _describe_hub(world, hub, times, notebooks):
            yield Series(metric, target | labels, times[shown], values[shown])


def find_notebooks(seed: int, start: int, end: int) -> list[Pod]:
    """Return all notebook pods that touch ``[start, end)``, in order of creation."""
    span = Span(start, end)
    pods = [*plan_notebook_pods(seed, span), *(pod for pod in plan_gpu_pods(seed, span) if pod.kind == "notebook")]
    return sorted(pods, key=lambda pod: (pod.created, pod.uid))


def _describe_hub(world: World, hub: Pod, times: Ints, notebooks: Sequence[Pod]) -> Iterator[Described]:
    begun = np.array([pod.started for pod in notebooks], dtype=np.int64)
    ended = np.array([pod.finished for pod in notebooks], dtype=np.int64)
    running = count_before(begun, times) - count_before(ended, times)
    yield "jupyterhub_running_servers", {}, running
    yield "jupyterhub_total_users", {}, np.full(len(times), float(len(world.names.users)))
    hourly = times // HOUR * HOUR  # the hub refreshes these once an hour
    seen = count_before(begun, hourly) - count_before(ended, hourly - DAY)
    yield "jupyterhub_active_users", {"period": "24h"}, np.minimum(seen, 0.9 * len(world.names.users) // 1)
    for period, share in (("7d", 0.94), ("30d", 1.0)):
        users = float(int(share * len(world.names.users)))
        yield "jupyterhub_active_users", {"period": period}, np.full(len(times), users)
    yield from _count_spawns(notebooks, times)
    yield from _count_stops(notebooks, times)
    by_day = 0.05 + rhythm(times, peak_hour=12)
    for method, handler, code, per_hour in _REQUESTS:
        key = derive_key(hub.uid, method, handler, code)
        rate = per_hour * by_day * STEP / HOUR
        requests = np.floor(rate + white(key, times // STEP))
        labels = {"method": method, "handler": handler, "code": code}
        yield "jupyterhub_request_duration_seconds_count", labels, accumulate(requests)
        seconds = 0.012 + 0.03 * white(derive_key(key, "seconds"), times // STEP)
        yield "jupyterhub_request_duration_seconds_sum", labels, accumulate(requests * seconds, decimals=6)


def _count_spawns(notebooks: Sequence[Pod], times: Ints) -> Iterator[Described]:
    good, failed = [], []
    for pod in notebooks:
        source = seed_random("spawn", pod.uid)
        seconds = round((pod.started - pod.created) * (0.4 + 0.5 * source.random()), 6)
        good.append((pod.started, seconds))
        if source.random() < FAILED_SPAWN:  # a first try that timed out
            failed.append((pod.created, round(300.0 + 5.0 * source.random(), 6)))
    for status, spawns in (("success", good), ("failure", failed), ("error", [])):
        labels = {"status": status, "reason": ""}
        name = "jupyterhub_server_spawn_duration_seconds"
        yield from describe_histogram(name, labels, spawns, times, SPAWN_BOUNDS)


def _count_stops(notebooks: Sequence[Pod], times: Ints) -> Iterator[Described]:
    stops = [(pod.finished, round(0.8 + 6.0 * seed_random("stop", pod.uid).random(), 6)) for pod in notebooks]
    name = "jupyterhub_server_stop_seconds"
    yield from describe_histogram(name, {"status": "success"}, stops, times, STOP_BOUNDS)
