"""The rules by which a pod's workload is recognised: what the reviewed file may say. See the file itself."""

import re
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from schemas.registry import read_model
from schemas.table import Name, Sentence

WORKLOAD_KINDS: Final = Path(__file__).parent / "workload_kinds.yaml"

LabelKey = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9./_-]*$")]
_STRANGE: Final = re.compile(r"[^a-zA-Z0-9_]")


def exported_label(key: str) -> str:
    """Return what kube-state-metrics calls a label of an object.

    >>> exported_label("training.kubeflow.org/job-name")
    'label_training_kubeflow_org_job_name'
    """
    return "label_" + _STRANGE.sub("_", key)


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Told(_Strict):
    """A word that the value of a label stands for; a value that is not listed stands for none."""

    label: LabelKey
    values: dict[str, Name] = Field(min_length=1)


class Rule(_Strict):
    """Everything that it says must hold of a pod."""

    kind: Name
    framework: Name | None = None
    framework_of: Told | None = None
    why: Sentence
    source: str
    when: dict[LabelKey, tuple[str, ...]] = {}
    owners: dict[str, Name] = {}
    containers: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    platform: bool = False
    name: tuple[LabelKey, ...] = ()
    role_of: Told | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.when or self.owners or self.containers or self.metrics or self.platform):
            raise ValueError(
                f"the rule for {self.kind} says nothing of a pod; wanted when, owners, containers or metrics"
            )
        if self.owners and self.framework:
            raise ValueError(f"the rule for {self.kind} names a framework twice; wanted it with each owner")
        return self

    @property
    def labels(self) -> frozenset[str]:
        """Every label that the rule looks at, as kube-state-metrics calls it."""
        told = (each.label for each in (self.framework_of, self.role_of) if each)
        return frozenset(map(exported_label, (*self.when, *self.name, *told)))


class WorkloadRules(_Strict):
    """All rules, in the order in which they are tried."""

    reviewed: date
    owner: str
    gpu_resources: tuple[str, ...]
    """Resources of kube-state-metrics, each of which is a whole GPU."""
    rules: tuple[Rule, ...] = Field(min_length=1)

    @property
    def labels(self) -> frozenset[str]:
        """Every label that some rule looks at. Nothing else of a pod's labels is kept, names of users least of all."""
        return frozenset().union(*(rule.labels for rule in self.rules))

    @property
    def metrics(self) -> frozenset[str]:
        """Every metric that some rule looks for."""
        return frozenset().union(*(rule.metrics for rule in self.rules))

    @property
    def kinds(self) -> frozenset[str]:
        """Every kind that there is."""
        return frozenset(rule.kind for rule in self.rules)

    @property
    def frameworks(self) -> frozenset[str]:
        """Every framework that there is."""
        told = (rule.framework_of.values.values() for rule in self.rules if rule.framework_of)
        owned = (rule.owners.values() for rule in self.rules)
        return frozenset(rule.framework for rule in self.rules if rule.framework).union(*told, *owned)

    @property
    def roles(self) -> frozenset[str]:
        """Every role that there is."""
        return frozenset().union(*(rule.role_of.values.values() for rule in self.rules if rule.role_of))


@cache
def read_workload_rules() -> WorkloadRules:
    """Return the shipped rules."""
    return read_model(WORKLOAD_KINDS, WorkloadRules)
