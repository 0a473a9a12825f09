"""The kubelet itself: how many pods it runs, and how full the volumes are that it has mounted."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from demo.cluster.exporters.cadvisor import JOB
from demo.cluster.exporters.kube_objects import CLAIM_BYTES, CLAIMED_EVERY, fill_claim, name_claim
from demo.cluster.names import CLUSTER
from demo.cluster.nodes import Node
from demo.cluster.observed import count_between
from demo.cluster.span import Series, slice_between
from demo.cluster.world import World

_INODES_PER_BYTE = 1.0 / 16_384


def build_kubelet_series(world: World) -> Iterator[Series]:
    """Yield what every kubelet says of itself and of its volumes while its node is up."""
    times = world.span.times()
    for node in world.nodes:
        spans = [(pod.started, pod.finished) for pod in world.history if pod.node == node]
        for life in world.lives_of(node):
            when = times[slice_between(times, life.start, life.end)]
            yield Series("kubelet_running_pods", label_kubelet(node), when, count_between(spans, when))
    yield from _build_volumes(world)


def label_kubelet(node: Node) -> dict[str, str]:
    """Return the labels of the target."""
    return {
        "cluster": CLUSTER,
        "job": JOB,
        "instance": f"{node.ip}:10250",
        "metrics_path": "/metrics",
        "node": node.name,
    }


def _build_volumes(world: World) -> Iterator[Series]:
    claimed = set(world.names.users[::CLAIMED_EVERY])
    times = world.span.times()
    for pod in world.pods:
        if pod.user in claimed:
            claim = {"namespace": pod.namespace, "persistentvolumeclaim": name_claim(pod.user)}
            when = times[slice_between(times, pod.started, pod.finished)]
            used = fill_claim(world, pod.user, when)
            for metric, values in (
                ("capacity_bytes", np.full(len(when), 0.972 * CLAIM_BYTES)),
                ("used_bytes", used),
                ("inodes_used", np.floor(used * _INODES_PER_BYTE / 3)),
            ):
                name = f"kubelet_volume_stats_{metric}"
                yield Series(name, label_kubelet(pod.node) | claim, when, np.floor(values))
