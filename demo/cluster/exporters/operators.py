"""The operators of ML workloads: Argo Workflows, the training operator, Kueue and the Spark operator.

Each counts what the world's pods did since the operator itself was started. Prometheus does not honour their labels:
the namespace of a workflow arrives as exported_namespace, while namespace is that of the operator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from demo.cluster.names import CLUSTER
from demo.cluster.nodes import RARE_GPU
from demo.cluster.observed import Described, count_before, count_between, describe_histogram
from demo.cluster.pods import Pod
from demo.cluster.span import MINUTE, Floats, Ints, Series, grid, slice_between
from demo.cluster.world import World

INTERVAL = MINUTE
COHORT, FLAVORS = "campus-accelerators-01", ("rack-08-common", "rack-09-scarce")
PORTS = {"workflow-controller": 9090, "training-operator": 8080, "manager": 8443, "spark-operator-controller": 8080}
_WAIT_BOUNDS = (*(str(bound) for bound in (1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120, 10240)), "+Inf")
_BEGIN_LATE = ("argo_workflows_total", "training_operator", "kueue_admitted_workloads")
"""Metrics whose series begin with the first thing that they count."""


def build_operator_series(world: World) -> Iterator[Series]:
    """Yield the series of every generation of every operator."""
    for container, describe in _OPERATORS.items():
        for pod in world.find_pod(container):
            times = grid(pod.started, min(pod.finished, world.span.end), INTERVAL)
            shown = slice_between(times, world.span.start, world.span.end)
            for metric, labels, values in describe(world, pod, times):
                when, what = times[shown], values[shown]
                if metric.startswith(_BEGIN_LATE):
                    when, what = when[what > 0], what[what > 0]
                yield Series(metric, label_operator(pod) | labels, when, what)


def label_operator(pod: Pod) -> dict[str, str]:
    """Return the labels of an operator's target."""
    return {
        "cluster": CLUSTER,
        "job": pod.labels["app_kubernetes_io_name"],
        "instance": f"{pod.ip}:{PORTS[pod.container]}",
        "namespace": pod.namespace,
        "pod": pod.name,
    }


def _count_since(moments: Sequence[int], pod: Pod, times: Ints) -> Floats:
    return count_before((moment for moment in moments if moment >= pod.started), times)


def _describe_workflows(world: World, pod: Pod, times: Ints) -> Iterator[Described]:
    steps = [step for step in world.history if step.owner.kind == "Workflow"]
    ended = {state: [step for step in steps if step.outcome == state] for state in ("Succeeded", "Failed")}
    spans: Mapping[str, Sequence[tuple[int, int]]] = {
        "Pending": [(step.created, step.started) for step in steps],
        "Running": [(step.started, step.finished) for step in steps],
        **{state: [(step.finished, step.gone) for step in those] for state, those in ended.items()},
    }
    for phase, those in spans.items():
        yield "argo_workflows_gauge", {"phase": phase}, count_between(those, times)
    yield "argo_workflows_queue_depth_gauge", {"queue_name": "workflow_queue"}, count_between(spans["Pending"], times)
    for team in world.names.teams:
        own = {"exported_namespace": team}
        for phase, moments in (
            ("Running", [step.started for step in steps if step.namespace == team]),
            *((state, [step.finished for step in those if step.namespace == team]) for state, those in ended.items()),
        ):
            yield "argo_workflows_total_count", own | {"phase": phase}, _count_since(moments, pod, times)


def _describe_training(world: World, pod: Pod, times: Ints) -> Iterator[Described]:
    jobs = [job for job in world.history if job.kind == "training"]
    for team in world.names.gpu_teams:
        labels = {"job_namespace": team, "framework": "pytorch"}
        own = [job for job in jobs if job.namespace == team]
        for what, moments in (
            ("created", [job.created for job in own]),
            ("successful", [job.finished for job in own if job.outcome == "Succeeded"]),
            ("failed", [job.finished for job in own if job.outcome == "Failed"]),
            ("restarted", [run.start for job in own for run in job.runs[1:]]),
        ):
            yield f"training_operator_jobs_{what}_total", labels, _count_since(moments, pod, times)


def _describe_queues(world: World, pod: Pod, times: Ints) -> Iterator[Described]:
    for number, queue in enumerate(world.names.queues):
        scarce = number == 1
        jobs = [
            job for job in world.history if job.kind == "training" and (job.node.gpus[0].model == RARE_GPU) == scarce
        ]
        own = {"cluster_queue": queue, "replica_role": "leader"}
        classed = own | {"priority_class": "training-low"}
        waiting = count_between(((job.created, job.started) for job in jobs), times)
        yield "kueue_pending_workloads", own | {"status": "active"}, waiting
        yield "kueue_pending_workloads", own | {"status": "inadmissible"}, np.zeros(len(times))
        running = count_between(((job.started, job.finished) for job in jobs), times)
        yield "kueue_admitted_active_workloads", own, running
        yield "kueue_reserving_active_workloads", own, running
        admitted = [job.started for job in jobs]
        yield "kueue_admitted_workloads_total", classed, _count_since(admitted, pod, times)
        waits = [(job.started, float(job.started - job.created)) for job in jobs]
        yield from describe_histogram("kueue_admission_wait_time_seconds", classed, waits, times, _WAIT_BOUNDS)
        place = own | {"cohort": COHORT, "flavor": FLAVORS[number], "resource": "nvidia.com/gpu"}
        yield "kueue_cluster_queue_nominal_quota", place, np.full(len(times), 4.0 if scarce else 16.0)
        held = ((job.started, job.finished) for job in jobs for _ in job.resources.gpus)
        yield "kueue_cluster_queue_resource_usage", place, count_between(held, times)


def _describe_spark(world: World, pod: Pod, times: Ints) -> Iterator[Described]:
    applications = [one for one in world.history if "spark_role" in one.labels]
    yield "spark_application_count", {}, _count_since([one.created for one in applications], pod, times)
    running = count_between(((one.started, one.finished) for one in applications), times)
    yield "spark_application_running_count", {}, running
    yield "spark_executor_running_count", {}, running
    for what, outcome in (("success", "Succeeded"), ("failure", "Failed")):
        ended = [one.finished for one in applications if one.outcome == outcome]
        yield f"spark_application_{what}_count", {}, _count_since(ended, pod, times)


_OPERATORS: Mapping[str, Callable[[World, Pod, Ints], Iterator[Described]]] = {
    "workflow-controller": _describe_workflows,
    "training-operator": _describe_training,
    "manager": _describe_queues,
    "spark-operator-controller": _describe_spark,
}
