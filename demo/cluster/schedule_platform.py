"""Which pods of the platform exist: cluster services, GPU exporters, the hub and the model servers."""

from __future__ import annotations

from collections.abc import Iterator

from demo.cluster.names import REGISTRY, build_names
from demo.cluster.nodes import Life, Node, build_nodes, find_lives
from demo.cluster.noise import draw_suffix, draw_template_hash, seed_random
from demo.cluster.pods import GIB, MIB, Kind, Owner, Pod, Resources, make_pod
from demo.cluster.span import MINUTE, STEP, Span

SERVING_GPUS = ((8, 0), (7, 0))  # node number and GPU of each model server: one rare GPU, one common

_PLATFORM = (  # namespace ("" is the hub's), deployment, container, image, cores, memory, StatefulSet
    ("kube-system", "coredns", "coredns", "registry.k8s.io/coredns/coredns:v1.12.1", 0.2, 170 * MIB, False),
    ("kube-system", "metrics-server", "metrics-server", "registry.k8s.io/metrics-server/metrics-server:v0.8.0",
     0.1, 200 * MIB, False),
    ("openshift-monitoring", "kube-state-metrics", "kube-state-metrics",
     "registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.17.0", 0.1, 250 * MIB, False),
    ("openshift-monitoring", "prometheus-prod-ml", "prometheus", "quay.io/prometheus/prometheus:v2.55.1",
     1.0, 8 * GIB, True),
    ("openshift-monitoring", "alertmanager-prod-ml", "alertmanager", "quay.io/prometheus/alertmanager:v0.28.1",
     0.1, 200 * MIB, True),
    ("", "campus-hub", "hub", "quay.io/jupyterhub/k8s-hub:4.3.1", 0.5, 1 * GIB, False),
    ("", "campus-proxy", "chp", "quay.io/jupyterhub/configurable-http-proxy:5.1.0", 0.2, 300 * MIB, False),
)  # fmt: skip


def plan_platform_pods(seed: int, span: Span) -> Iterator[Pod]:
    """Yield the pods that make the cluster work; they are renewed with the infrastructure nodes."""
    infra = [node for node in build_nodes(seed) if node.role == "infra"]
    hub = build_names(seed).hub
    for turn, (namespace, deployment, container, image, cores, memory, stateful) in enumerate(_PLATFORM):
        node = infra[turn % len(infra)]
        for life in find_lives(seed, node, span.start, span.end):
            key = (seed, "platform", deployment, life.start)
            source = seed_random(*key, "name")
            replica_set = f"{deployment}-{draw_template_hash(source)}"
            is_hub = not namespace
            yield make_pod(
                key,
                namespace=namespace or hub,
                name=f"{deployment}-0" if stateful else f"{replica_set}-{draw_suffix(source)}",
                node=node,
                kind="platform",
                created=life.start,
                runs=[(life.start + STEP, life.end, "")],
                gone=life.end,
                outcome="Deleted",
                container=container,
                image=image,
                resources=Resources(cpu_request=cores / 2, memory_request=memory),
                owner=Owner("StatefulSet", deployment) if stateful else Owner("ReplicaSet", replica_set),
                labels={"app": "jupyterhub", "component": "proxy" if container == "chp" else container}
                if is_hub
                else {"app_kubernetes_io_name": container},
                priority_class="" if is_hub else "system-cluster-critical",
            )


def plan_exporter_pods(seed: int, span: Span) -> Iterator[Pod]:
    """Yield the DaemonSet of the GPU exporter: one pod per life of a GPU node."""
    for node in build_nodes(seed):
        if node.role != "gpu":
            continue
        for life in find_lives(seed, node, span.start, span.end):
            key = (seed, "exporter", node.number, life.start)
            yield make_pod(
                key,
                namespace="nvidia-gpu-operator",
                name=f"nvidia-dcgm-exporter-{draw_suffix(seed_random(*key, 'name'))}",
                node=node,
                kind="exporter",
                created=life.start,
                runs=[(life.start + STEP, life.end, "")],
                gone=life.end,
                outcome="Deleted",
                container="nvidia-dcgm-exporter",
                image="nvcr.io/nvidia/k8s/dcgm-exporter:4.2.3-4.1.3-ubi9",
                resources=Resources(),
                owner=Owner("DaemonSet", "nvidia-dcgm-exporter"),
                labels={"app": "nvidia-dcgm-exporter"},
                priority_class="system-node-critical",
            )


def plan_serving_pods(seed: int, span: Span) -> Iterator[Pod]:
    """Yield the two model servers: each lives as long as its node is up."""
    names, nodes = build_names(seed), build_nodes(seed)
    for (number, gpu), namespace, model in zip(SERVING_GPUS, names.serving, names.models, strict=True):
        node = nodes[number]
        service = model.rsplit("/", 1)[-1]
        for life in find_lives(seed, node, span.start, span.end):
            key = (seed, "serving", number, life.start)
            source = seed_random(*key, "name")
            replica_set = f"{service}-predictor-{draw_template_hash(source)}"
            yield make_pod(
                key,
                namespace=namespace,
                name=f"{replica_set}-{draw_suffix(source)}",
                node=node,
                kind="serving",
                created=life.start,
                runs=[(life.start + 3 * MINUTE, life.end, "")],
                gone=life.end,
                outcome="Deleted",
                container="kserve-container",
                image=f"{REGISTRY}/serving/vllm-openai:v0.11.{number}",
                resources=_guaranteed(cores=2.0, memory=24 * GIB, gpus=(gpu,)),
                owner=Owner("ReplicaSet", replica_set),
                labels={
                    "app": f"isvc.{service}-predictor",
                    "component": "predictor",
                    "serving_kserve_io_inferenceservice": service,
                },
            )


def find_life(seed: int, node: Node, time: int) -> Life | None:
    """Return the life of ``node`` that holds ``time``."""
    for life in find_lives(seed, node, time, time + 1):
        if life.start <= time < life.end:
            return life
    return None


def pick_worker(seed: int, kind: Kind, key: int, start: int, end: int) -> Node | None:
    """Return a worker that is up from ``start`` to ``end``; always the same one for the same arguments."""
    fit = []
    for node in build_nodes(seed):
        life = find_life(seed, node, start) if node.role == "worker" else None
        if life is not None and end <= life.end:
            fit.append(node)
    return seed_random(seed, "place", kind, key).choice(fit) if fit else None


def _guaranteed(*, cores: float, memory: int, gpus: tuple[int, ...]) -> Resources:
    return Resources(cores, cores, memory, memory, gpus)
