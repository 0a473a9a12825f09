"""Which alerts are active when: each follows from something that happens in the cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from demo.cluster.exporters.dcgm import label_gpu, label_holder
from demo.cluster.exporters.kube_state import JOB as STATE_JOB
from demo.cluster.pods import Pod
from demo.cluster.span import MINUTE, floor_step
from demo.cluster.world import World

CUSTOM_ALERT = "CampusGpuHeldByIdleNotebook"
_NOTICED_AFTER = MINUTE  # the kubelet's lease has to expire
_LOOKED_BACK = 5 * MINUTE  # the crash-loop rule takes the maximum of five minutes
_IDLE_FOR = 30 * MINUTE
_HOLDS_FOR = 15 * MINUTE


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert: pending for ``start <= t < fires``, firing for ``fires <= t < end``."""

    name: str
    severity: str
    start: int
    fires: int
    end: int
    labels: Mapping[str, str] = field(default_factory=dict)


def find_alerts(world: World) -> list[Alert]:
    """Return every alert that may be active within the span."""
    return [*_watch_rules(world), *_watch_nodes(world), *_watch_crashes(world), *_watch_idle_gpus(world)]


def _watch_rules(world: World) -> Iterator[Alert]:
    """Watchdog always fires: its absence is the alarm."""
    for prometheus in world.find_pod("prometheus"):
        yield Alert("Watchdog", "none", prometheus.started, prometheus.started, prometheus.finished)


def _watch_nodes(world: World) -> Iterator[Alert]:
    for node in world.nodes:
        for life in world.lives_of(node):
            start, end = life.end + _NOTICED_AFTER, life.forgotten
            if start < min(end, world.span.end):
                labels = {"node": node.name, "condition": "Ready", "status": "true"}
                labels |= _label_state(world, start)
                yield Alert("KubeNodeNotReady", "warning", start, min(start + _HOLDS_FOR, end), end, labels)


def _watch_crashes(world: World) -> Iterator[Alert]:
    for pod in world.history:  # the alert outlives the pod
        if pod.kind == "crashing":
            start, end = pod.runs[0].end + MINUTE, pod.gone + _LOOKED_BACK
            if start < world.span.end and world.span.start < end:
                labels = pod.identity(with_container=True) | {"reason": "CrashLoopBackOff"}
                labels |= _label_state(world, start)
                yield Alert("KubePodCrashLooping", "warning", start, start + _HOLDS_FOR, end, labels)


def _watch_idle_gpus(world: World) -> Iterator[Alert]:
    for pod in world.pods:
        if pod.kind == "notebook" and pod.resources.gpus:
            start = floor_step(pod.started + 0.7 * (pod.finished - pod.started)) + _IDLE_FOR
            exporter = _find_exporter(world, pod)
            if start < pod.finished and exporter is not None:
                gpu = pod.node.gpus[pod.resources.gpus[0]]
                labels = label_gpu(pod.node, gpu, exporter) | label_holder(pod)
                fires = min(start + _HOLDS_FOR, pod.finished)
                yield Alert(CUSTOM_ALERT, "info", start, fires, pod.finished, labels)


def _find_exporter(world: World, holder: Pod) -> Pod | None:
    for pod in world.pods:
        if pod.kind == "exporter" and pod.node == holder.node and pod.created <= holder.created < pod.gone:
            return pod
    return None


def _label_state(world: World, time: int) -> dict[str, str]:
    """Return the labels of the kube-state-metrics that served at ``time``."""
    for pod in world.history:
        if pod.container == STATE_JOB and pod.created <= time < pod.gone:
            return {"job": STATE_JOB, "instance": f"{pod.ip}:8443"}
    return {"job": STATE_JOB}
