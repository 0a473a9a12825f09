"""What the teams and operators run beside: operators of ML workloads, Kafka, Ray and model servers without a GPU.

All of it begins anew each day at its own hour, so that counters count what happened within a day, which the world's
history holds. Ray and the model servers are there for some hours only, and then scaled to zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from demo.cluster.names import RAY_TEAM, REGISTRY, SERVER_TEAMS, STREAM_TEAM, build_names
from demo.cluster.nodes import Node
from demo.cluster.noise import derive_key, draw_suffix, draw_template_hash, seed_random
from demo.cluster.pods import GIB, MIB, Kind, Owner, Pod, Resources, make_pod
from demo.cluster.schedule_platform import pick_worker
from demo.cluster.span import DAY, HOUR, STEP, Span

SERVED_FOR = 5 * HOUR
SERVERS = ("mlserver", "triton", "kserve")
SERVER_LABEL = "serving_kserve_io_servingruntime"

_OPERATORS = (  # namespace, deployment, container, image
    ("kubeflow", "workflow-controller", "workflow-controller", "quay.io/argoproj/workflow-controller:v3.7.1"),
    ("kubeflow", "training-operator", "training-operator", "ghcr.io/kubeflow/training-operator:v1.9.0"),
    ("kubeflow", "spark-operator-controller", "spark-operator-controller", "ghcr.io/kubeflow/spark-operator:2.3.0"),
    ("kueue-system", "kueue-controller-manager", "manager", "registry.k8s.io/kueue/kueue:v0.14.1"),
)


@dataclass(frozen=True, slots=True)
class _Deployment:
    """What one of these pods is, whichever day it is of."""

    part: str
    namespace: str
    stem: str
    container: str
    image: str
    labels: dict[str, str]
    owner_kind: str = "ReplicaSet"
    kind: Kind = "service"
    lasts: int = DAY


def plan_extra_pods(seed: int, span: Span) -> Iterator[Pod]:
    """Yield the operators of ML workloads, Kafka's exporter, a Ray cluster and the model servers, on workers."""
    for what in _list_deployments(seed):
        for created, gone in _days(seed, what.stem, span, what.lasts):
            node = pick_worker(seed, what.kind, derive_key(created, what.part), created, gone)
            if node is not None:
                yield _make(seed, what, node, created, gone)


def _list_deployments(seed: int) -> Iterator[_Deployment]:
    for namespace, name, container, image in _OPERATORS:
        yield _Deployment(name, namespace, name, container, image, {"app_kubernetes_io_name": name}, kind="platform")
    teams = build_names(seed).teams
    stream, ray = teams[STREAM_TEAM], teams[RAY_TEAM]
    stem, image = f"{stream.split('-')[0]}-stream-01-kafka-exporter", "quay.io/strimzi/kafka:0.48.0-kafka-4.1.0"
    labels = {"strimzi_io_component_type": "kafka-exporter"}
    yield _Deployment("kafka-exporter", stream, stem, "kafka-exporter", image, labels)
    cluster, image = f"{ray.split('-')[0]}-ray-08", f"{REGISTRY}/{ray}/ray:2.49.1"
    for node_type in ("head", "worker"):
        labels = {"ray_io_cluster": cluster, "ray_io_node_type": node_type}
        part = f"ray-{node_type}"
        yield _Deployment(part, ray, cluster, part, image, labels, owner_kind="RayCluster", lasts=SERVED_FOR)
    for server, number in zip(SERVERS, SERVER_TEAMS, strict=True):
        service = f"{teams[number].split('-')[0]}-score-{number:02d}"
        image = f"{REGISTRY}/{teams[number]}/{server}:1.{number}.0"
        labels = {SERVER_LABEL: server, "serving_kserve_io_inferenceservice": service}
        stem = f"{service}-predictor"
        yield _Deployment(server, teams[number], stem, "kserve-container", image, labels, lasts=SERVED_FOR)


def _days(seed: int, stem: str, span: Span, lasts: int) -> Iterator[tuple[int, int]]:
    """Yield when each day's pod is made, and when it goes."""
    hour = int(seed_random(seed, "extra", stem).uniform(0, 24) * HOUR) // STEP * STEP
    for day in range((span.start - hour) // DAY, (span.end - 1 - hour) // DAY + 1):
        yield day * DAY + hour, day * DAY + hour + lasts


def _make(seed: int, what: _Deployment, node: Node, created: int, gone: int) -> Pod:
    key = (seed, "extra", what.part, created)
    source = seed_random(*key, "name")
    replica_set = what.owner_kind == "ReplicaSet"
    owner = f"{what.stem}-{draw_template_hash(source)}" if replica_set else what.stem
    stem = owner if replica_set else f"{what.stem}-{what.part}"
    return make_pod(
        key,
        namespace=what.namespace,
        name=f"{stem}-{draw_suffix(source)}",
        node=node,
        kind=what.kind,
        created=created,
        runs=[(created + 2 * STEP, gone, "")],
        gone=gone,
        outcome="Deleted",
        container=what.container,
        image=what.image,
        resources=Resources(0.25, 1.0, 512 * MIB, 2 * GIB),
        owner=Owner(what.owner_kind, owner),
        labels=what.labels,
    )
