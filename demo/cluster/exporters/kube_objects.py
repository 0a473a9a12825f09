"""What kube-state-metrics says of all that is not a pod: nodes, controllers, Jobs, claims and quotas."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from demo.cluster.exporters.node_exporter import KERNEL
from demo.cluster.nodes import CORES, Node
from demo.cluster.noise import derive_key, draw_uuid, seed_random
from demo.cluster.observed import count_between
from demo.cluster.pods import GIB, Pod
from demo.cluster.span import Floats, Ints, slice_between
from demo.cluster.world import World

TimedDescribed = tuple[str, dict[str, str], Ints, Floats]
"""A metric, its labels, the times at which it was there, and its values."""

CLAIMED_EVERY = 3  # every third user has a volume of their own
CLAIM_BYTES = 20 * GIB
STORAGE_CLASS = "campus-filer-nfs-01"
QUOTA = "campus-fair-share-01"
_ANSWERS = ("true", "false", "unknown")


def describe_objects(world: World, times: Ints) -> Iterator[TimedDescribed]:
    """Yield everything but the pods, at those of ``times`` at which it was there."""
    for node in world.nodes:
        yield from _describe_node(world, node, times)
    yield from _describe_controllers(world, times)
    for pod in world.pods:
        if pod.owner.kind == "Job":
            yield from _describe_job(pod, times[slice_between(times, pod.created, pod.gone)])
    for number, user in enumerate(world.names.users):
        if number % CLAIMED_EVERY == 0:
            yield from _describe_claim(world, user, times)
    yield from _describe_quotas(world, times)


def describe_node(node: Node) -> dict[str, str]:
    """Return the labels of kube_node_info."""
    return {
        "node": node.name,
        "container_runtime_version": "cri-o://1.33.2",
        "internal_ip": node.ip,
        "kernel_version": KERNEL,
        "kubelet_version": "v1.33.4",
        "kubeproxy_version": "deprecated",
        "os_image": "Red Hat Enterprise Linux CoreOS 9.6",
        "pod_cidr": node.pod_cidr,
        "provider_id": node.provider_id,
        "system_uuid": node.system_uuid,
    }


def name_claim(user: str) -> str:
    """Return a user's claim as zero-to-jupyterhub names it."""
    return f"claim-{user}"


def name_volume(world: World, user: str) -> str:
    """Return the volume that a user's claim got."""
    return f"pvc-{draw_uuid(seed_random(world.seed, 'volume', user))}"


def _describe_node(world: World, node: Node, times: Ints) -> Iterator[TimedDescribed]:
    amounts = [("cpu", "core", float(CORES)), ("memory", "byte", float(node.memory_bytes))]
    if node.gpus:
        amounts.append(("nvidia_com_gpu", "integer", float(len(node.gpus))))
    for life in world.lives_of(node):
        when = times[slice_between(times, life.start, life.forgotten)]
        ones = np.ones(len(when))
        yield "kube_node_info", describe_node(node), when, ones
        yield "kube_node_role", {"node": node.name, "role": "infra" if node.role == "infra" else "worker"}, when, ones
        for resource, unit, amount in amounts:
            labels = {"node": node.name, "resource": resource, "unit": unit}
            yield "kube_node_status_capacity", labels, when, amount * ones
        lost = when >= life.end
        for status, holds in zip(_ANSWERS, (~lost, np.zeros(len(when), dtype=bool), lost), strict=True):
            labels = {"node": node.name, "condition": "Ready", "status": status}
            yield "kube_node_status_condition", labels, when, holds.astype(np.float64)


def _describe_controllers(world: World, times: Ints) -> Iterator[TimedDescribed]:
    """Yield replicas; a controller is there as long as one of its pods was made within the span or before."""
    sets = _group_pods(world, "StatefulSet", lambda pod: pod.owner.name)
    for (namespace, name), pods in sets.items():
        labels = {"namespace": namespace, "statefulset": name}
        yield from _describe_replicas("statefulset_replicas", "statefulset_status_replicas_ready", labels, pods, times)
    deployments = _group_pods(world, "ReplicaSet", lambda pod: pod.owner.name.rpartition("-")[0])
    for (namespace, name), pods in deployments.items():
        labels = {"namespace": namespace, "deployment": name}
        ready = "deployment_status_replicas_available"
        yield from _describe_replicas("deployment_spec_replicas", ready, labels, pods, times)
    for (namespace, name), pods in _group_pods(world, "DaemonSet", lambda pod: pod.owner.name).items():
        labels = {"namespace": namespace, "daemonset": name}
        wanted = count_between(((pod.created, pod.gone) for pod in pods), times)
        yield "kube_daemonset_status_desired_number_scheduled", labels, times, wanted
        serving = count_between(((pod.started, pod.finished) for pod in pods), times)
        yield "kube_daemonset_status_number_available", labels, times, serving


def _describe_replicas(
    wanted: str, ready: str, labels: dict[str, str], pods: Iterable[Pod], times: Ints
) -> Iterator[TimedDescribed]:
    members = [pod for pod in pods if pod.kind != "crashing"]
    serving = count_between(((pod.started, pod.finished) for pod in members), times)
    yield f"kube_{wanted}", labels, times, np.ones(len(times))
    yield f"kube_{ready}", labels, times, np.minimum(serving, 1.0)


def _group_pods(world: World, kind: str, name: Callable[[Pod], str]) -> dict[tuple[str, str], list[Pod]]:
    """Return the pods of each controller of a kind that the cluster keeps for good."""
    groups: dict[tuple[str, str], list[Pod]] = {}
    for pod in world.lasting:
        if pod.owner.kind == kind:
            groups.setdefault((pod.namespace, name(pod)), []).append(pod)
    return groups


def _describe_job(pod: Pod, when: Ints) -> Iterator[TimedDescribed]:
    labels = {"namespace": pod.namespace, "job_name": pod.owner.name}
    ones = np.ones(len(when))
    cronjob = pod.owner.name.rpartition("-")[0]
    owner = {"owner_kind": "CronJob", "owner_name": cronjob, "owner_is_controller": "true"}
    yield "kube_job_owner", labels | owner, when, ones
    yield "kube_job_spec_completions", labels, when, ones
    yield "kube_job_status_start_time", labels, when, np.full(len(when), float(pod.created))
    ended = when >= pod.finished
    done, lost = ended & (pod.outcome == "Succeeded"), ended & (pod.outcome == "Failed")
    yield "kube_job_status_active", labels, when, (~ended).astype(np.float64)
    yield "kube_job_status_succeeded", labels, when, done.astype(np.float64)
    yield "kube_job_status_failed", labels, when[~lost], np.zeros(int((~lost).sum()))
    failed = labels | {"reason": "BackoffLimitExceeded"}
    yield "kube_job_status_failed", failed, when[lost], np.ones(int(lost.sum()))
    for metric, holds in (("kube_job_complete", done), ("kube_job_failed", lost)):
        for answer in _ANSWERS:
            values = np.full(int(holds.sum()), float(answer == "true"))
            yield metric, labels | {"condition": answer}, when[holds], values
    yield "kube_job_status_completion_time", labels, when[done], np.full(int(done.sum()), float(pod.finished))


def _describe_claim(world: World, user: str, times: Ints) -> Iterator[TimedDescribed]:
    labels = {"namespace": world.names.hub, "persistentvolumeclaim": name_claim(user)}
    ones = np.ones(len(times))
    volume = {"storageclass": STORAGE_CLASS, "volumename": name_volume(world, user), "volumemode": "Filesystem"}
    yield "kube_persistentvolumeclaim_info", labels | volume, times, ones
    yield "kube_persistentvolumeclaim_resource_requests_storage_bytes", labels, times, float(CLAIM_BYTES) * ones
    for pod in world.pods:
        if pod.user == user:
            when = times[slice_between(times, pod.created, pod.gone)]
            mount = labels | {"pod": pod.name, "uid": pod.uid, "volume": f"volume-{user}"}
            yield "kube_pod_spec_volumes_persistentvolumeclaims_info", mount, when, np.ones(len(when))


def _describe_quotas(world: World, times: Ints) -> Iterator[TimedDescribed]:
    for team in world.names.gpu_teams:
        pods = [pod for pod in world.history if pod.namespace == team]
        for resource, hard, spans in (
            ("requests.nvidia.com/gpu", 8.0, [(pod.created, pod.finished) for pod in pods for _ in pod.resources.gpus]),
            ("pods", 40.0, [(pod.created, pod.finished) for pod in pods]),
        ):
            labels = {"namespace": team, "resourcequota": QUOTA, "resource": resource}
            yield "kube_resourcequota", labels | {"type": "hard"}, times, np.full(len(times), hard)
            yield "kube_resourcequota", labels | {"type": "used"}, times, count_between(spans, times)


def fill_claim(world: World, user: str, times: Ints) -> Floats:
    """Return how many bytes of a user's volume are used; it only ever fills."""
    share = 0.1 + 0.6 * (derive_key(world.seed, "claim", user) % 100) / 100.0
    grown = (times % (1 << 31)) / float(1 << 31)
    return np.floor(CLAIM_BYTES * share * (0.5 + 0.5 * grown) / 4096) * 4096
