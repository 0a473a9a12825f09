"""Recognise the workload that a pod belongs to, from what one window says of it, while names are still raw. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from anonymize.identity import canonical_workload
from schemas.workload_kinds import Rule, Told, WorkloadRules, exported_label

UNRECOGNISED = "unrecognised"
"""The kind of what no rule fits. No vocabulary has it, so that it is published as other and counted."""
SHARED_NAMESPACES = frozenset({"default"})
"""Public by name, but anybody's."""
_OWNED_BY_ITSELF = frozenset({"", "CronJob"})
"""A Job without an owner, or one of a CronJob's, is a workload by itself: it starts and ends."""


@dataclass(frozen=True, slots=True)
class PodFacts:
    """What one window says of a pod. ``labels`` are those that the rules look at, as kube-state-metrics calls them."""

    namespace: str = field(repr=False)
    pod: str = field(repr=False)
    owner_kind: str = field(repr=False)
    owner_name: str = field(repr=False)
    labels: Mapping[str, str] = field(default_factory=dict, repr=False)
    containers: frozenset[str] = field(default=frozenset(), repr=False)
    metrics: frozenset[str] = frozenset()
    """Those of the rules' metrics that come from the pod."""


@dataclass(frozen=True, slots=True)
class Workload:
    """What pods belong to, by its raw name: it stays in the process, and shows in no message."""

    namespace: str = field(repr=False)
    name: str = field(repr=False)
    kind: str
    framework: str | None

    def __reduce__(self) -> Any:  # noqa: ANN401 - the protocol's own type
        raise TypeError("raw series stay in the process that read them")


def follow_owner(
    kind: str, name: str, namespace: str, job_owners: Mapping[tuple[str, str], tuple[str, str]]
) -> tuple[str, str]:
    """Return the kind and name of what owns a pod, through the Job if another thing made that.

    ``job_owners`` holds for namespace and name of a Job the kind and name of its owner.
    """
    if kind == "Job":
        above_kind, above = job_owners.get((namespace, name), ("", ""))
        if above_kind not in _OWNED_BY_ITSELF:
            return above_kind, above
    return kind, name


def recognise(
    facts: PodFacts, rules: WorkloadRules, *, public_namespaces: Collection[str]
) -> tuple[Workload, str | None]:
    """Return the workload of a pod and the pod's role in it."""
    platform = facts.namespace in public_namespaces and facts.namespace not in SHARED_NAMESPACES
    own = canonical_workload(facts.owner_name, facts.owner_kind) or facts.pod
    for rule in rules.rules:
        if _fits(rule, facts, platform=platform):
            named = (facts.labels.get(exported_label(key), "") for key in rule.name)
            framework = _tell(rule.framework_of, facts) or rule.owners.get(facts.owner_kind) or rule.framework
            name = next(filter(None, named), own)
            return Workload(facts.namespace, name, rule.kind, framework), _tell(rule.role_of, facts)
    return Workload(facts.namespace, own, UNRECOGNISED, None), None


def _fits(rule: Rule, facts: PodFacts, *, platform: bool) -> bool:
    if rule.platform and not platform:
        return False
    if rule.owners and facts.owner_kind not in rule.owners:
        return False
    if rule.metrics and facts.metrics.isdisjoint(rule.metrics):
        return False
    if rule.containers and facts.containers.isdisjoint(rule.containers):
        return False
    for key, values in rule.when.items():
        value = facts.labels.get(exported_label(key), "")
        if value not in values if values else not value:
            return False
    return True


def _tell(told: Told | None, facts: PodFacts) -> str | None:
    return told.values.get(facts.labels.get(exported_label(told.label), "")) if told else None
