"""The cluster as far as one span needs it: who existed, who was scraped. Exporters read it and emit series."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from demo.cluster.load import Load, compute_load
from demo.cluster.names import Names, build_names
from demo.cluster.nodes import REBOOT_PERIOD, Life, Node, build_nodes, find_lives
from demo.cluster.noise import seed_random
from demo.cluster.pods import Pod
from demo.cluster.schedule_extra import plan_extra_pods
from demo.cluster.schedule_gpu import plan_gpu_pods
from demo.cluster.schedule_platform import plan_exporter_pods, plan_platform_pods, plan_serving_pods
from demo.cluster.schedule_work import (
    plan_crashing_pods,
    plan_lost_pods,
    plan_notebook_pods,
    plan_service_pods,
    plan_task_pods,
)
from demo.cluster.span import HOUR, STEP, Ints, Mask, Span

OUTAGE_EVERY = 8 * HOUR
_HISTORY = REBOOT_PERIOD  # the longest life of a node on which pods come and go


@dataclass(frozen=True)
class World:
    """Everything that is the case during ``span`` in the cluster of ``seed``."""

    seed: int
    span: Span

    @cached_property
    def names(self) -> Names:
        """Who uses the cluster."""
        return build_names(self.seed)

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """All machines, up or not."""
        return build_nodes(self.seed)

    @cached_property
    def history(self) -> tuple[Pod, ...]:
        """The pods of the span and those that were there since the nodes' last boot, in order of creation."""
        span = Span(self.span.start - _HISTORY, self.span.end)
        plans = (
            plan_platform_pods,
            plan_exporter_pods,
            plan_serving_pods,
            plan_gpu_pods,
            plan_notebook_pods,
            plan_task_pods,
            plan_service_pods,
            plan_lost_pods,
            plan_crashing_pods,
            plan_extra_pods,
        )
        pods = [pod for plan in plans for pod in plan(self.seed, span)]
        return tuple(sorted(pods, key=lambda pod: (pod.created, pod.uid)))

    @cached_property
    def pods(self) -> tuple[Pod, ...]:
        """The pods whose objects exist at some moment of the span."""
        return tuple(pod for pod in self.history if pod.created < self.span.end and self.span.start < pod.gone)

    @property
    def lasting(self) -> Iterator[Pod]:
        """The pods of the history that a controller makes again and again."""
        return (pod for pod in self.history if pod.kind not in ("notebook", "training", "batch"))

    def find_pod(self, container: str) -> Iterator[Pod]:
        """Yield the platform's pods of that container, one per generation."""
        return (pod for pod in self.pods if pod.kind == "platform" and pod.container == container)

    def lives_of(self, node: Node) -> list[Life]:
        """Return the node's lives that touch the span."""
        return find_lives(self.seed, node, self.span.start, self.span.end)

    def node_load(self, node: Node, life: Life) -> tuple[Ints, Load]:
        """Return what the pods of a node add up to, from its boot to the end of the span or of its life."""
        end = min(life.end, self.span.end)
        times = np.arange(life.start, end, STEP, dtype=np.int64)
        totals = [np.zeros(len(times)) for _ in range(4)]
        for pod in self.history:
            if pod.node != node:
                continue
            for run in pod.runs:
                low, high = max(run.start, life.start), min(run.end, end)
                if low < high:
                    where = slice((low - life.start) // STEP, (high - life.start) // STEP)
                    load = compute_load(pod, run, times[where])
                    for total, part in zip(totals, (load.cpu, load.memory, load.writes, load.gpu), strict=True):
                        total[where] += part
        return times, Load(*totals)

    def is_scraped(self, job: str, node: Node, times: Ints) -> Mask:
        """Return at which of ``times`` the node's target answered; an outage of minutes hits one now and then."""
        answered = np.ones(len(times), dtype=bool)
        for start, end in self.find_outages(job, node):
            answered &= (times < start) | (times >= end)
        return answered

    def find_outages(self, job: str, node: Node) -> list[tuple[int, int]]:
        """Return when the target of ``job`` on ``node`` didn't answer although it was up."""
        outages = []
        for turn in range((self.span.start - HOUR) // OUTAGE_EVERY, self.span.end // OUTAGE_EVERY + 1):
            source = seed_random(self.seed, "outage", turn)
            victim = source.choice([node.number for node in self.nodes if node.role == "gpu"])
            hit = source.choice(("node-exporter", "dcgm-exporter"))
            start = turn * OUTAGE_EVERY + source.randrange(OUTAGE_EVERY) // STEP * STEP
            if hit == job and victim == node.number:
                outages.append((start, start + source.randint(8, 19) * STEP))
        return outages
