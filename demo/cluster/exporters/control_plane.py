"""API server, etcd and scheduler, all on one machine; asked once a minute."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from demo.cluster.names import CLUSTER
from demo.cluster.nodes import Life, Node
from demo.cluster.noise import derive_key, rhythm, smooth, white
from demo.cluster.observed import Described, count_between, spread_histogram
from demo.cluster.span import DAY, HOUR, MINUTE, Floats, Ints, Series, accumulate, grid, slice_between
from demo.cluster.world import World

INTERVAL = MINUTE
PORTS = {"apiserver": 6443, "etcd": 2379, "kube-scheduler": 10259}
_REQUESTS = (  # verb, resource, scope, code, per second at noon, seconds each
    ("GET", "leases", "resource", "200", 3.1, 0.004),
    ("GET", "pods", "resource", "200", 1.9, 0.005),
    ("LIST", "pods", "cluster", "200", 0.1, 0.21),
    ("LIST", "events", "namespace", "200", 0.05, 0.06),
    ("PATCH", "pods", "resource", "200", 0.7, 0.012),
    ("PATCH", "nodes", "resource", "200", 0.4, 0.011),
    ("POST", "pods", "resource", "201", 0.01, 0.03),
    ("PUT", "leases", "resource", "200", 3.0, 0.009),
    ("PUT", "pytorchjobs", "resource", "409", 0.02, 0.01),
    ("WATCH", "pods", "cluster", "200", 0.06, 440.0),
)
_OBJECTS = (("pods", 95.0), ("events", 2_400.0), ("configmaps", 610.0), ("secrets", 840.0), ("pytorchjobs", 60.0))
_FSYNC_BOUNDS = tuple(str(0.001 * 2**power) for power in range(14))
_PLACED_BOUNDS = tuple(str(0.01 * 2**power) for power in range(20))


def build_control_plane_series(world: World) -> Iterator[Series]:
    """Yield what the three say from the boot of their machine on."""
    node = next(node for node in world.nodes if node.role == "infra")
    for life in world.lives_of(node):
        times = grid(life.start, min(life.end, world.span.end), INTERVAL)
        shown = slice_between(times, world.span.start, world.span.end)
        key = derive_key(world.seed, "control plane", life.start)
        for job, described in (
            ("apiserver", _describe_api(key, times)),
            ("etcd", _describe_etcd(key, times)),
            ("kube-scheduler", _describe_scheduler(world, key, times)),
        ):
            for metric, labels, values in described:
                yield Series(metric, label_component(job, node) | labels, times[shown], values[shown])


def label_component(job: str, node: Node) -> dict[str, str]:
    """Return the labels of a component's target."""
    return {"cluster": CLUSTER, "job": job, "instance": f"{node.ip}:{PORTS[job]}"}


def find_components(world: World) -> Iterator[tuple[dict[str, str], Life]]:
    """Yield the targets, and when they were there."""
    node = next(node for node in world.nodes if node.role == "infra")
    for life in world.lives_of(node):
        for job in PORTS:
            yield label_component(job, node), life


def _describe_api(key: int, times: Ints) -> Iterator[Described]:
    by_day = 0.6 + 0.4 * rhythm(times, peak_hour=12)
    timed: dict[tuple[str, str, str], list[Floats]] = {}
    for verb, resource, scope, code, rate, seconds in _REQUESTS:
        flicker = white(derive_key(key, verb, resource, code), times // INTERVAL)
        requests = np.floor(rate * INTERVAL * by_day + flicker)
        labels = {"verb": verb, "resource": resource, "scope": scope, "component": "apiserver", "version": "v1"}
        yield "apiserver_request_total", labels | {"code": code, "group": "", "dry_run": ""}, accumulate(requests)
        timed[verb, resource, scope] = [requests, requests * seconds * (0.8 + 0.4 * flicker)]
    for (verb, resource, scope), (requests, seconds_spent) in timed.items():
        labels = {"verb": verb, "resource": resource, "scope": scope, "component": "apiserver", "version": "v1"}
        yield "apiserver_request_duration_seconds_count", labels, accumulate(requests)
        yield "apiserver_request_duration_seconds_sum", labels, accumulate(seconds_spent, decimals=6)
    busy = white(derive_key(key, "inflight"), times // INTERVAL)
    for kind, most in (("mutating", 6.0), ("readOnly", 19.0)):
        yield "apiserver_current_inflight_requests", {"request_kind": kind}, np.floor(most * busy * by_day)
    for resource, about in _OBJECTS:
        wander = smooth(derive_key(key, resource), times, 3 * HOUR)
        yield "apiserver_resource_objects", {"resource": resource, "group": ""}, np.floor(about * (0.8 + 0.4 * wander))


def _describe_etcd(key: int, times: Ints) -> Iterator[Described]:
    writes = np.floor(9.0 * INTERVAL * (0.8 + 0.4 * smooth(derive_key(key, "writes"), times, HOUR)))
    since = times - times[0]
    yield "etcd_server_has_leader", {}, np.ones(len(times))
    yield "etcd_server_is_leader", {}, np.ones(len(times))
    yield "etcd_server_leader_changes_seen_total", {}, np.ones(len(times))
    yield "etcd_server_proposals_committed_total", {}, accumulate(writes)
    pending = white(derive_key(key, "pending"), times // INTERVAL)
    yield "etcd_server_proposals_pending", {}, np.floor(2.0 * pending)
    size = np.floor((180e6 + 40e6 * np.minimum(since / (20.0 * DAY), 1.0)) / 4096) * 4096
    yield "etcd_mvcc_db_total_size_in_bytes", {}, size
    in_use = 0.55 + 0.3 * smooth(derive_key(key, "in use"), times, 6 * HOUR)
    yield "etcd_mvcc_db_total_size_in_use_in_bytes", {}, np.floor(size * in_use / 4096) * 4096
    slow = smooth(derive_key(key, "disk"), times, 20 * MINUTE)
    typical = 0.0016 + 0.006 * slow * slow
    yield from spread_histogram("etcd_disk_wal_fsync_duration_seconds", {}, writes, typical, _FSYNC_BOUNDS)


def _describe_scheduler(world: World, key: int, times: Ints) -> Iterator[Described]:
    waiting = count_between(((pod.created, pod.started) for pod in world.history), times)
    yield "scheduler_pending_pods", {"queue": "active"}, np.minimum(waiting, 1.0)
    yield "scheduler_pending_pods", {"queue": "unschedulable"}, np.maximum(waiting - 1.0, 0.0)
    placed = np.floor(0.25 + white(derive_key(key, "placed"), times // INTERVAL))
    tries = {
        "scheduled": placed,
        "unschedulable": np.floor(0.06 + white(derive_key(key, "unplaced"), times // INTERVAL)),
    }
    for result, count in tries.items():
        labels = {"result": result, "profile": "default-scheduler"}
        yield "scheduler_schedule_attempts_total", labels, accumulate(count)
    typical = 0.02 + 0.2 * smooth(derive_key(key, "latency"), times, HOUR)
    name = "scheduler_pod_scheduling_sli_duration_seconds"
    yield from spread_histogram(name, {"attempts": "1"}, placed, typical, _PLACED_BOUNDS)
