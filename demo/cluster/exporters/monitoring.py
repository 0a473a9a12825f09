"""The monitoring itself: which targets were up, which alerts were active, how rules and notifications fared."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from demo.cluster import alerts
from demo.cluster.exporters import (
    control_plane,
    dcgm,
    jupyterhub,
    kube_state,
    kubelet,
    node_exporter,
    operators,
    vllm,
    workloads,
)
from demo.cluster.names import CLUSTER
from demo.cluster.noise import derive_key, seed_random, white
from demo.cluster.pods import Pod
from demo.cluster.span import DAY, STEP, Floats, Ints, Series, accumulate, slice_between
from demo.cluster.world import World

PROMETHEUS_JOB, ALERTMANAGER_JOB = "prometheus-k8s", "alertmanager-main"
CUSTOM_RULES = "campus-gpu-fairness"
_RULE_GROUPS = (("kubernetes-apps", 16), ("kubernetes-system", 9), ("node-exporter", 23), (CUSTOM_RULES, 3))
_INTEGRATIONS = (("email", 22.0, 0.0), ("webhook", 60.0, 0.03))  # per day, share that fails
_FAILED_RULES_PER_DAY = 2.0


def build_monitoring_series(world: World) -> Iterator[Series]:
    """Yield what the cluster's own Prometheus and Alertmanager know of themselves."""
    yield from _build_up(world)
    firing = np.zeros(len(world.span.times()))
    for alert in alerts.find_alerts(world):
        times = world.span.times()
        firing[slice_between(times, alert.fires, alert.end)] += 1.0
        yield from _build_alert(alert, times)
    for pod in world.find_pod("alertmanager"):
        yield from _build_alertmanager(world, pod, firing)
    for pod in world.find_pod("prometheus"):
        yield from _build_rules(world, pod)


def name_rule_group(seed: int, group: str) -> str:
    """Return a rule group as Prometheus names it: the file the operator wrote, then the group."""
    digits = f"{derive_key(seed, 'rules', group):016x}"
    folder = "/etc/prometheus/rules/prometheus-prod-ml-rulefiles-0"
    return f"{folder}/openshift-monitoring-{group}-{digits}.yaml;{group}"


def _label(job: str, pod: Pod, port: int) -> dict[str, str]:
    return {
        "cluster": CLUSTER,
        "job": job,
        "instance": f"{pod.ip}:{port}",
        "namespace": pod.namespace,
        "pod": pod.name,
    }


def _build_up(world: World) -> Iterator[Series]:
    times = world.span.times()
    for node in world.nodes:
        exporter = {"cluster": CLUSTER, "job": node_exporter.JOB, "instance": f"{node.ip}:9100"}
        own = kubelet.label_kubelet(node)
        containers = own | {"metrics_path": "/metrics/cadvisor"}
        known, alive = np.zeros(len(times), dtype=bool), np.zeros(len(times), dtype=bool)
        for life in world.lives_of(node):
            known[slice_between(times, life.start, life.forgotten)] = True
            alive[slice_between(times, life.start, life.end)] = True
        answered = world.is_scraped(node_exporter.JOB, node, times)
        for labels, good in ((exporter, alive & answered), (own, alive), (containers, alive)):
            yield Series("up", labels, times[known], good[known].astype(np.float64))
    for labels, life in control_plane.find_components(world):
        when = world.span.times(control_plane.INTERVAL)
        when = when[slice_between(when, life.start, life.end)]
        yield Series("up", labels, when, np.ones(len(when)))
    for pod, labels, interval in _find_pod_targets(world):
        when = world.span.times(interval)
        when = when[slice_between(when, pod.started, pod.finished)]
        good = np.ones(len(when), dtype=bool)
        if pod.kind == "exporter":
            good = world.is_scraped(dcgm.JOB, pod.node, when)
        yield Series("up", labels, when, good.astype(np.float64))


def _find_pod_targets(world: World) -> Iterator[tuple[Pod, dict[str, str], int]]:
    for pod in world.pods:
        if pod.kind == "exporter":
            yield pod, _label(dcgm.JOB, pod, 9400) | {"container": pod.container}, STEP
        elif pod.kind == "serving":
            yield pod, vllm.label_serving_target(pod), STEP
        elif pod.container in operators.PORTS:
            yield pod, operators.label_operator(pod), operators.INTERVAL
        elif found := workloads.find_exporter(pod):
            yield pod, workloads.label_workload(pod, *found[:2]), found[2]
    for pod in world.find_pod("kube-state-metrics"):
        labels = {"cluster": CLUSTER, "job": kube_state.JOB, "instance": f"{pod.ip}:8443"}
        yield pod, labels, kube_state.INTERVAL
    for pod in world.find_pod("hub"):
        yield pod, _label(jupyterhub.JOB, pod, 8081) | {"service": "hub"}, STEP
    for job, container, port in ((PROMETHEUS_JOB, "prometheus", 9090), (ALERTMANAGER_JOB, "alertmanager", 9093)):
        for pod in world.find_pod(container):
            yield pod, _label(job, pod, port), STEP


def _build_alert(alert: alerts.Alert, times: Ints) -> Iterator[Series]:
    labels = {**alert.labels, "cluster": CLUSTER, "alertname": alert.name, "severity": alert.severity}
    for state, start, end in (("pending", alert.start, alert.fires), ("firing", alert.fires, alert.end)):
        when = times[slice_between(times, start, end)]
        yield Series("ALERTS", labels | {"alertstate": state}, when, np.ones(len(when)))
    when = times[slice_between(times, alert.start, alert.end)]
    yield Series("ALERTS_FOR_STATE", labels, when, np.full(len(when), float(alert.start)))


def _build_alertmanager(world: World, pod: Pod, firing: Floats) -> Iterator[Series]:
    target = _label(ALERTMANAGER_JOB, pod, 9093)
    span_times = world.span.times()
    alive = slice_between(span_times, pod.started, pod.finished)
    when = span_times[alive]
    for state, values in (("active", firing[alive]), ("suppressed", None), ("unprocessed", None)):
        shown = np.zeros(len(when)) if values is None else values
        yield Series("alertmanager_alerts", target | {"state": state}, when, shown)
    for integration, per_day, failing in _INTEGRATIONS:
        for metric, rate in (
            ("alertmanager_notifications_total", per_day),
            ("alertmanager_notifications_failed_total", per_day * failing),
        ):
            key = derive_key(pod.uid, metric, integration)
            yield _count_events(world, pod, metric, target | {"integration": integration}, key, 1.0, rate)


def _build_rules(world: World, pod: Pod) -> Iterator[Series]:
    target = _label(PROMETHEUS_JOB, pod, 9090)
    for group, rules in _RULE_GROUPS:
        labels = target | {"rule_group": name_rule_group(world.seed, group)}
        key = seed_random(pod.uid, group).getrandbits(63)
        every_step = float(DAY // STEP)
        for metric, weight, per_day in (
            ("prometheus_rule_evaluations_total", float(rules), every_step),
            ("prometheus_rule_evaluation_failures_total", 1.0, _FAILED_RULES_PER_DAY),
        ):
            yield _count_events(world, pod, metric, labels, key, weight, per_day)


def _count_events(
    world: World, pod: Pod, metric: str, labels: dict[str, str], key: int, weight: float, per_day: float
) -> Series:
    """Return a counter, from the pod's start on, of events that come ``per_day`` times at random."""
    times = np.arange(pod.started, min(pod.finished, world.span.end), STEP, dtype=np.int64)
    happened = (white(key, times // STEP) < per_day * STEP / DAY).astype(np.float64)
    shown = slice_between(times, world.span.start, world.span.end)
    return Series(metric, labels, times[shown], accumulate(happened * weight)[shown])
