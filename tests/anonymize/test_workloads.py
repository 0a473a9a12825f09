"""What a pod belongs to: every kind, by what public operators document, and by owners alone where labels are absent."""

import pickle
from pathlib import Path

import pytest

from anonymize.workloads import PodFacts, follow_owner, recognise
from schemas.registry import latest_tables, read_policy
from schemas.workload_kinds import exported_label, read_workload_rules

RULES = read_workload_rules()
PUBLIC = read_policy("default").public_words("namespace")


def found(
    labels: dict[str, str] | None = None,
    owner: tuple[str, str] = ("", ""),
    namespace: str = "team-a",
    containers: tuple[str, ...] = (),
    metrics: tuple[str, ...] = (),
) -> tuple[str, str | None, str, str | None]:
    """Return kind, framework, name and role of a pod called pod-1."""
    exported = {exported_label(key): value for key, value in (labels or {}).items()}
    facts = PodFacts(namespace, "pod-1", *owner, exported, frozenset(containers), frozenset(metrics))
    workload, role = recognise(facts, RULES, public_namespaces=PUBLIC)
    return workload.kind, workload.framework, workload.name, role


TRAINING = {
    "training.kubeflow.org/job-name": "fine",
    "training.kubeflow.org/operator-name": "pytorchjob-controller",
    "training.kubeflow.org/replica-type": "worker",
}


@pytest.mark.parametrize(
    ("labels", "owner", "wanted"),
    [
        ({"component": "singleuser-server"}, ("", ""), ("notebook", "jupyterhub", "pod-1", None)),
        ({"app.kubernetes.io/component": "singleuser-server"}, ("", ""), ("notebook", "jupyterhub", "pod-1", None)),
        ({"app": "jupyterhub", "component": "hub"}, ("ReplicaSet", "hub-6d4cf56db6"),
         ("service", "jupyterhub", "hub", None)),
        ({"notebook-name": "nb"}, ("StatefulSet", "nb"), ("notebook", "kubeflow_notebooks", "nb", None)),
        ({"elyra/node-type": "notebook-script", "pipeline/runid": "7", "workflows.argoproj.io/workflow": "w"},
         ("Workflow", "w"), ("pipeline_step", "elyra", "w", None)),
        ({"pipeline/runid": "7", "workflows.argoproj.io/workflow": "w"}, ("Workflow", "w"),
         ("pipeline_step", "kubeflow_pipelines", "w", None)),
        ({"workflows.argoproj.io/workflow": "w"}, ("Workflow", "w"), ("pipeline_step", "argo", "w", None)),
        (TRAINING, ("PyTorchJob", "fine"), ("training_job", "pytorch", "fine", "worker")),
        (TRAINING | {"katib.kubeflow.org/trial": "t"}, ("PyTorchJob", "t"), ("training_job", "katib", "t", "worker")),
        ({}, ("TFJob", "fit"), ("training_job", "tensorflow", "fit", None)),
        ({"jobset.sigs.k8s.io/jobset-name": "set"}, ("Job", "set-0"), ("training_job", "jobset", "set", None)),
        ({"ray.io/cluster": "c", "ray.io/node-type": "head"}, ("RayCluster", "c"), ("ray", "ray", "c", "head")),
        ({}, ("RayCluster", "c"), ("ray", "ray", "c", None)),
        ({"spark-role": "executor", "spark-app-selector": "spark-1"}, ("Pod", "d"),
         ("spark", "spark", "spark-1", "executor")),
        ({"seldon-deployment-id": "s"}, ("ReplicaSet", "s-6d4cf56db6"), ("model_server", "seldon", "s", None)),
        ({"serving.kserve.io/inferenceservice": "i", "component": "predictor"}, ("ReplicaSet", "i-6d4cf56db6"),
         ("model_server", "kserve", "i", "predictor")),
        ({"strimzi.io/cluster": "k"}, ("StrimziPodSet", "k-kafka"), ("service", "kafka", "k", None)),
        ({"volcano.sh/job-name": "v"}, ("Job", "v"), ("batch", "volcano", "v", None)),
        ({}, ("Job", "nightly-1"), ("batch", "kubernetes", "nightly-1", None)),
        ({}, ("ReplicaSet", "web-6d4cf56db6"), ("service", "kubernetes", "web", None)),
        ({}, ("Node", "n"), ("platform", "kubernetes", "n", None)),
        ({}, ("AcmeThing", "x"), ("unrecognised", None, "x", None)),
        ({}, ("", ""), ("unrecognised", None, "pod-1", None)),
    ],
)  # fmt: skip
def test_each_kind_is_told_by_what_its_operator_documents(
    labels: dict[str, str], owner: tuple[str, str], wanted: tuple[str, str | None, str, str | None]
) -> None:
    assert found(labels, owner) == wanted


def test_etcd_is_no_notebook() -> None:
    """Static pods carry the same key: only the value tells."""
    assert found({"component": "etcd"}, ("Node", "n"), namespace="kube-system")[0] == "platform"


def test_only_a_namespace_that_is_published_in_clear_tells_the_platform() -> None:
    """Else a kind would tell how a private name begins."""
    owner = ("ReplicaSet", "web-6d4cf56db6")

    kinds = [found(owner=owner, namespace=name)[0] for name in ("openshift-etcd", "openshift-acme-pay", "default")]

    assert kinds == ["platform", "service", "service"]


def test_a_notebook_in_a_public_namespace_stays_a_notebook() -> None:
    assert found({"notebook-name": "nb"}, ("StatefulSet", "nb"), namespace="opendatahub")[0] == "notebook"


def test_containers_tell_where_no_labels_are_exported() -> None:
    assert found(owner=("Pod", "d"), containers=("spark-kubernetes-executor",))[0] == "spark"
    assert found(owner=("ReplicaSet", "m-6d4cf56db6"), containers=("kserve-container", "queue-proxy"))[:2] == (
        "model_server",
        "kserve",
    )


@pytest.mark.parametrize(
    ("metric", "framework"), [("vllm:num_requests_running", "vllm"), ("nv_inference_request_success", "triton")]
)
def test_what_a_pod_serves_tells_where_nothing_else_does(metric: str, framework: str) -> None:
    """These servers are mostly plain Deployments; a product's label still comes first."""
    owner = ("ReplicaSet", "llm-6d4cf56db6")

    assert found(owner=owner, metrics=(metric,)) == ("model_server", framework, "llm", None)
    assert found(owner=owner)[:2] == ("service", "kubernetes")
    served_by = {"serving.kserve.io/inferenceservice": "i"}
    assert found(served_by, owner=owner, metrics=(metric,))[:3] == ("model_server", "kserve", "i")


def test_rules_look_for_metrics_that_some_table_has() -> None:
    """A misspelt name would never be found."""
    assert RULES.metrics <= {metric.name for table in latest_tables().values() for metric in table.metrics}


def test_a_job_is_followed_to_what_made_it_but_a_cron_jobs_run_is_itself() -> None:
    """A run has a start and an end; the CronJob has neither."""
    made = {("a", "j"): ("JobSet", "set"), ("a", "n-1"): ("CronJob", "n"), ("b", "j"): ("RayJob", "r")}

    assert follow_owner("Job", "j", "a", made) == ("JobSet", "set")
    assert follow_owner("Job", "n-1", "a", made) == ("Job", "n-1")
    assert follow_owner("Job", "x", "a", made) == ("Job", "x")
    assert follow_owner("ReplicaSet", "j", "a", made) == ("ReplicaSet", "j")


def test_the_policy_publishes_exactly_the_words_that_rules_give() -> None:
    """A word that the policy lacks would be published as other; one that no rule gives is an unreviewed permission."""
    vocabularies = read_policy("default").vocabularies

    assert set(vocabularies["workload_kinds"].members) == RULES.kinds
    assert set(vocabularies["workload_frameworks"].members) == RULES.frameworks
    assert set(vocabularies["workload_roles"].members) == RULES.roles


def test_no_label_that_names_a_person_is_looked_at() -> None:
    """OpenShift exports every label of every pod; what rules do not look at is never kept."""
    assert not [label for label in RULES.labels if "user" in label or "creator" in label or "email" in label]


def test_operators_are_told_exactly_the_labels_that_rules_look_at() -> None:
    """A label that is missing there is never exported, and its kind never recognised."""
    page = (Path(__file__).parents[2] / "docs/operators.md").read_text("utf-8")
    told = page.partition("--metric-labels-allowlist=pods=[")[2].partition("]")[0]

    assert {exported_label(key) for key in told.split(",")} == RULES.labels


def test_raw_names_show_nowhere() -> None:
    workload, _ = recognise(PodFacts("team-a", "pod-1", "Job", "secret"), RULES, public_namespaces=PUBLIC)

    assert "secret" not in repr(workload)
    assert "team-a" not in repr(workload)
    assert "secret" not in repr(PodFacts("team-a", "pod-1", "Job", "secret"))
    with pytest.raises(TypeError, match="stay in the process"):
        pickle.dumps(workload)
