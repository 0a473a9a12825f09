"""Every raw name that the simulation plants, so that a test can look for each of them in what is published."""

from __future__ import annotations

from collections.abc import Iterator

from demo.cluster.alerts import CUSTOM_ALERT
from demo.cluster.exporters.kube_objects import QUOTA, STORAGE_CLASS, name_claim, name_volume
from demo.cluster.exporters.monitoring import CUSTOM_RULES, name_rule_group
from demo.cluster.exporters.node_exporter import describe_share
from demo.cluster.exporters.operators import COHORT, FLAVORS
from demo.cluster.exporters.workloads import name_score_model, name_session
from demo.cluster.names import CLUSTER, DOMAIN, FILER, PLATFORM_NAMESPACES, REGISTRY
from demo.cluster.nodes import Node
from demo.cluster.pods import Pod
from demo.cluster.schedule_extra import SERVER_LABEL
from demo.cluster.span import HOUR, Span
from demo.cluster.world import World

NAMED_AFTER_END = HOUR  # an alert names a pod that is gone
SHORTEST = 5  # shorter values would be found by chance
# container names, label values and owners that the documentation of their projects uses for everybody
WELL_KNOWN = frozenset(
    {
        "alertmanager", "chp", "coredns", "executor", "false", "jupyterhub", "kafka-exporter", "kserve",
        "kserve-container", "kube-state-metrics", "kueue-controller-manager", "manager", "metrics-server", "mlserver",
        "notebook", "nvidia-dcgm-exporter", "predictor", "prometheus", "proxy", "pytorch", "pytorchjob-controller",
        "ray-head", "ray-worker", "singleuser-server", "spark-operator-controller", "training-operator", "triton",
        "worker", "workflow-controller",
    }
)  # fmt: skip


def planted_names(seed: int, start: int, end: int) -> frozenset[str]:
    """Return the raw identities of five characters or more that the series of ``[start, end)`` may hold."""
    world = World(seed, Span(start, end))
    found = {CLUSTER, DOMAIN, FILER, REGISTRY, CUSTOM_ALERT, CUSTOM_RULES, name_rule_group(seed, CUSTOM_RULES)}
    found.update(world.names.private_namespaces, world.names.users, world.names.models)
    found.update(world.names.queues, world.names.topics, (COHORT, *FLAVORS, QUOTA, STORAGE_CLASS))
    found.update(name for user in world.names.users for name in (name_claim(user), name_volume(world, user)))
    found.update(f"{topic.split('.')[0]}-loader" for topic in world.names.topics)
    for node in world.nodes:
        found.update(_name_node(world, node))
    for pod in world.history:
        if pod.created < end and start - NAMED_AFTER_END < pod.gone:
            found.update(_name_pod(pod))
            if pod.container == "ray-head":
                found.add(name_session(pod))
            elif SERVER_LABEL in pod.labels:
                found.add(name_score_model(world, pod))
    return frozenset(
        name for name in found if len(name) >= SHORTEST and name not in WELL_KNOWN and name not in PLATFORM_NAMESPACES
    )


def _name_node(world: World, node: Node) -> Iterator[str]:
    yield from (node.name, node.short_name, node.ip, node.system_uuid, node.serial, node.provider_id, node.pod_cidr)
    yield from (f"{node.ip}:{port}" for port in (9100, 10250, 6443, 2379, 10259))
    yield from (gpu.uuid for gpu in node.gpus)
    if share := describe_share(world, node):
        yield from (share["device"], share["mountpoint"])


def _name_pod(pod: Pod) -> Iterator[str]:
    yield from (pod.name, pod.uid, pod.uid.replace("-", "_"), pod.ip, pod.image, pod.owner.name, pod.container)
    yield from pod.labels.values()
    yield pod.cgroup
    for run in pod.runs:
        yield from (run.container_id, pod.cgroup_of(run))
