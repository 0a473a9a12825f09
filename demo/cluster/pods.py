"""What a pod is: its identity, its place, and the lives of its one container."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from demo.cluster.names import CLUSTER
from demo.cluster.nodes import Node
from demo.cluster.noise import derive_key, draw_hex, draw_uuid, seed_random

Kind = Literal["platform", "exporter", "notebook", "training", "serving", "batch", "service", "crashing"]
Outcome = Literal["Succeeded", "Failed", "Deleted", "Lost"]
MIB = 2**20
GIB = 2**30


@dataclass(frozen=True, slots=True)
class Resources:
    """Requests and limits; zero means that none is set."""

    cpu_request: float = 0.0
    cpu_limit: float = 0.0
    memory_request: int = 0
    memory_limit: int = 0
    gpus: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Owner:
    """The controller that made a pod; a bare pod has none."""

    kind: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """One life of the container, ``start <= t < end``, and why it ended ("" while the pod is simply deleted)."""

    start: int
    end: int
    container_id: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod from its creation to the moment when its object is gone."""

    namespace: str
    name: str
    uid: str
    ip: str
    node: Node
    kind: Kind
    owner: Owner
    container: str
    image: str
    resources: Resources
    runs: tuple[Run, ...]
    created: int
    gone: int
    outcome: Outcome
    labels: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    priority_class: str = ""

    @property
    def started(self) -> int:
        """When the container first ran."""
        return self.runs[0].start

    @property
    def finished(self) -> int:
        """When the container last ran."""
        return self.runs[-1].end

    @property
    def key(self) -> int:
        """The key of the pod's own noise."""
        return derive_key("pod", self.uid)

    @property
    def cgroup(self) -> str:
        """The pod's control group, as the kubelet's systemd driver names it."""
        if self.resources.memory_limit and self.resources.memory_limit == self.resources.memory_request:
            quality, parent = "", "/kubepods.slice/"
        elif self.resources.cpu_request:
            quality, parent = "burstable-", "/kubepods.slice/kubepods-burstable.slice/"
        else:
            quality, parent = "besteffort-", "/kubepods.slice/kubepods-besteffort.slice/"
        return f"{parent}kubepods-{quality}pod{self.uid.replace('-', '_')}.slice"

    def cgroup_of(self, run: Run) -> str:
        """Return the control group of one container life."""
        return f"{self.cgroup}/crio-{run.container_id}.scope"

    def identity(self, *, with_container: bool = False) -> dict[str, str]:
        """Return the labels by which kube-state-metrics names the pod."""
        labels = {"namespace": self.namespace, "pod": self.name, "uid": self.uid}
        return labels | {"container": self.container} if with_container else labels


def make_pod(
    key: Sequence[object],
    *,
    namespace: str,
    name: str,
    node: Node,
    kind: Kind,
    created: int,
    runs: Sequence[tuple[int, int, str]],
    gone: int,
    outcome: Outcome,
    container: str,
    image: str,
    resources: Resources,
    owner: Owner | None = None,
    labels: Mapping[str, str] | None = None,
    user: str = "",
    priority_class: str = "",
) -> Pod:
    """Return the pod with the uid, address and container ids that ``key`` gives it."""
    source = seed_random(*key, CLUSTER)
    return Pod(
        namespace=namespace,
        name=name,
        uid=draw_uuid(source),
        ip=f"10.196.{100 + node.number}.{source.randint(101, 254)}",
        node=node,
        kind=kind,
        owner=owner or Owner(),
        container=container,
        image=image,
        resources=resources,
        runs=tuple(Run(start, end, draw_hex(source, 64), reason) for start, end, reason in runs),
        created=created,
        gone=gone,
        outcome=outcome,
        labels=labels or {},
        user=user,
        priority_class=priority_class,
    )
