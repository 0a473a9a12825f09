"""kube-state-metrics: what the Kubernetes API says about pods and nodes. Scraped once a minute."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from demo.cluster.exporters.kube_objects import TimedDescribed, describe_objects
from demo.cluster.names import CLUSTER
from demo.cluster.pods import Pod
from demo.cluster.span import MINUTE, Ints, Mask, Series, slice_between
from demo.cluster.world import World

JOB = "kube-state-metrics"
INTERVAL = MINUTE
PHASES = ("Pending", "Succeeded", "Failed", "Unknown", "Running")


def build_kube_state_series(world: World) -> Iterator[Series]:
    """Yield what each generation of kube-state-metrics serves about all nodes and pods."""
    times = world.span.times(INTERVAL)
    for exporter in world.find_pod("kube-state-metrics"):
        target = {"cluster": CLUSTER, "job": JOB, "instance": f"{exporter.ip}:8443"}
        served = times[slice_between(times, exporter.started, exporter.finished)]
        for metric, labels, when, values in _describe_all(world, served):
            if len(when):
                yield Series(metric, target | labels, when, values)


def _describe_all(world: World, times: Ints) -> Iterator[TimedDescribed]:
    yield from describe_objects(world, times)
    for pod in world.pods:
        yield from _describe_pod(pod, times[slice_between(times, pod.created, pod.gone)])


def _describe_pod(pod: Pod, when: Ints) -> Iterator[TimedDescribed]:
    who, ones = pod.identity(), np.ones(len(when))
    yield "kube_pod_info", who | _describe_place(pod), when, ones
    yield "kube_pod_owner", who | _describe_owner(pod), when, ones
    yield "kube_pod_labels", who | {f"label_{name}": value for name, value in pod.labels.items()}, when, ones

    for phase, holds in _find_phases(pod, when).items():
        yield "kube_pod_status_phase", who | {"phase": phase}, when, holds.astype(np.float64)
    ready, unknown = _is_running(pod, when), when >= pod.finished if pod.outcome == "Lost" else when < 0
    for condition, holds in (("true", ready), ("false", ~ready & ~unknown), ("unknown", unknown)):
        yield "kube_pod_status_ready", who | {"condition": condition}, when, holds.astype(np.float64)

    container = pod.identity(with_container=True)
    starts = np.array([run.start for run in pod.runs[1:]], dtype=np.int64)
    restarts = np.searchsorted(starts, when, side="right").astype(np.float64)
    yield "kube_pod_container_status_restarts_total", container, when, restarts
    yield "kube_pod_container_status_ready", container, when, ready.astype(np.float64)
    yield from _describe_resources(pod, container | {"node": pod.node.name}, when)
    yield from _describe_reasons(pod, container, when)


def _describe_place(pod: Pod) -> dict[str, str]:
    return {
        "host_ip": pod.node.ip,
        "pod_ip": pod.ip,
        "node": pod.node.name,
        "created_by_kind": pod.owner.kind,
        "created_by_name": pod.owner.name,
        "priority_class": pod.priority_class,
        "host_network": "false",
    }


def _describe_owner(pod: Pod) -> dict[str, str]:
    controlled = "true" if pod.owner.kind else ""
    return {"owner_kind": pod.owner.kind, "owner_name": pod.owner.name, "owner_is_controller": controlled}


def _find_phases(pod: Pod, when: Ints) -> dict[str, Mask]:
    pending, ended = when < pod.started, (when >= pod.finished) & (pod.outcome in ("Succeeded", "Failed"))
    phases = {phase: np.zeros(len(when), dtype=bool) for phase in PHASES}
    phases["Pending"] = pending
    if pod.outcome in ("Succeeded", "Failed"):
        phases[pod.outcome] = ended
    phases["Running"] = ~pending & ~ended  # of a lost pod too, until it is evicted
    return phases


def _is_running(pod: Pod, when: Ints) -> Mask:
    running = np.zeros(len(when), dtype=bool)
    for run in pod.runs:
        running |= (when >= run.start) & (when < run.end)
    return running


def _describe_resources(pod: Pod, place: dict[str, str], when: Ints) -> Iterator[TimedDescribed]:
    wanted = pod.resources
    gpus = float(len(wanted.gpus))
    for metric, cpu, memory in (
        ("kube_pod_container_resource_requests", wanted.cpu_request, wanted.memory_request),
        ("kube_pod_container_resource_limits", wanted.cpu_limit, wanted.memory_limit),
    ):
        for resource, unit, amount in (
            ("cpu", "core", cpu),
            ("memory", "byte", float(memory)),
            ("nvidia_com_gpu", "integer", gpus),
        ):
            if amount:
                yield metric, place | {"resource": resource, "unit": unit}, when, np.full(len(when), amount)


def _describe_reasons(pod: Pod, container: dict[str, str], when: Ints) -> Iterator[TimedDescribed]:
    creating = when[when < pod.started]
    yield (
        "kube_pod_container_status_waiting_reason",
        container | {"reason": "ContainerCreating"},
        creating,
        np.ones(len(creating)),
    )
    if pod.outcome in ("Succeeded", "Failed"):
        ended = when[when >= pod.finished]
        why = container | {"reason": pod.runs[-1].reason}
        yield "kube_pod_container_status_terminated_reason", why, ended, np.ones(len(ended))
        yield "kube_pod_completion_time", pod.identity(), ended, np.full(len(ended), float(pod.finished))
    waiting = np.zeros(len(when), dtype=bool)
    last: dict[str, Mask] = {}
    for run, following in zip(pod.runs, pod.runs[1:], strict=False):
        waiting |= (when >= run.end) & (when < following.start)
        held = last.setdefault(run.reason, np.zeros(len(when), dtype=bool))
        held |= (when >= run.end) & (when < following.end)
    if pod.kind == "crashing":
        waiting |= when >= pod.finished
        last["Error"] |= when >= pod.finished
    for metric, reason, holds in (
        ("kube_pod_container_status_waiting_reason", "CrashLoopBackOff", waiting),
        *(("kube_pod_container_status_last_terminated_reason", reason, holds) for reason, holds in last.items()),
    ):
        yield metric, container | {"reason": reason}, when[holds], np.ones(int(holds.sum()))
