"""Every label that an exporter gives has a class: one that grows a label asks for a decision before anything leaves.

Captured pages are not part of the project; where there are none, what the tables read is still held to the catalogue.
"""

import os
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from schemas.label_classes import RUNTIME, LabelCatalogue, check_labels, read_label_classes
from schemas.registry import shipped_tables
from schemas.table import Metric, TableSchema
from tests.schemas.builders import a_column, a_metric, a_table

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("OPSCOMMONS_EXPOSITIONS") or ROOT.parent / "shared" / "expositions")  # noqa: TID251 - a test
SAMPLE = re.compile(r"^(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)\{(?P<labels>.*)\} ")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="(?:[^"\\]|\\.)*"')

PAGES = {
    "configurable-http-proxy": "notebooks",
    "google__cadvisor": "cAdvisor",
    "jupyter_server": "notebooks",
    "jupyterhub": "notebooks",
    "newrelic__nri-kubernetes__1_35_controlplane": "control plane",
    "newrelic__nri-kubernetes__1_35_ksm": "kube-state-metrics",
    "newrelic__nri-kubernetes__1_35_kubelet_metrics_cadvisor": "cAdvisor",
    "prometheus__node_exporter": "node_exporter",
    "ray": "ray",
}
"""How the name of a captured page begins, and whose page it is."""

# Labels that publishers of cluster metrics have leaked, or that lead to one person, machine or account.
NEVER = {
    "kube-state-metrics": {
        "uid", "container_id", "image", "image_id", "host_ip", "pod_ip", "internal_ip", "provider_id", "system_uuid",
        "label_hub_jupyter_org_username", "annotation_owner", "key", "value", "schedule",
    },
    "node_exporter": {"serial", "wwn", "address", "uuid", "user", "device_error", "mountaddr"},
    "cAdvisor": {"id", "name", "image", "machine_id", "boot_id", "container_label_anything", "container_env_anything"},
    "dcgm-exporter": {"UUID", "pci_bus_id", "DCGM_FI_DEV_SERIAL", "hpc_job"},
    "device-metrics-exporter": {"serial_number", "job_user"},
    "notebooks": {"username", "username_escaped", "usergroup"},
    "ray": {"WorkerId", "JobId", "pid"},
    "control plane": {"host", "username", "cidr", "To"},
}  # fmt: skip


def labels_of(page: str) -> set[str]:
    """Return the names of all labels on a page in Prometheus's text format."""
    found: set[str] = set()
    for line in page.splitlines():
        if not line.startswith("#") and (sample := SAMPLE.match(line)):
            found.update(LABEL.findall(sample["labels"]))
    return found


def without_class(page: str, exporter: str) -> set[str]:
    """Return the labels of an exporter's page that nobody gave a class."""
    catalogue = read_label_classes()
    known = (catalogue.exporters[exporter], catalogue.exporters[RUNTIME])
    return {label for label in labels_of(page) if not any(each.find(label) for each in known)}


def captured() -> list[Path]:
    return [path for path in sorted(FOLDER.iterdir()) if path.suffix in (".prom", ".txt")] if FOLDER.is_dir() else []


@pytest.mark.skipif(not captured(), reason="no captured pages here; name them in OPSCOMMONS_EXPOSITIONS")
@pytest.mark.parametrize("path", captured(), ids=lambda path: path.name)
def test_every_label_of_a_captured_page_has_a_class(path: Path) -> None:
    """An upgrade of an exporter is how leaks begin."""
    exporter = PAGES[max((start for start in PAGES if path.name.startswith(start)), key=len)]

    assert without_class(path.read_text("utf-8"), exporter) == set()


def test_a_new_label_of_an_exporter_is_noticed() -> None:
    page = '# TYPE kube_pod_info gauge\nkube_pod_info{namespace="a",pod="b",cost_centre="c\\"d",node="e"} 1\n'

    assert without_class(page, "kube-state-metrics") == {"cost_centre"}


@pytest.mark.parametrize("table", shipped_tables(), ids=lambda table: f"{table.table} {table.version}")
def test_every_label_that_a_table_reads_has_a_class_that_allows_it(table: TableSchema) -> None:
    assert list(check_labels(table, read_label_classes())) == []


@pytest.mark.parametrize("exporter", NEVER)
def test_what_leads_to_one_person_or_thing_may_not_leave_at_all(exporter: str) -> None:
    catalogue = read_label_classes()
    groups = {label: catalogue.exporters[exporter].find(label) for label in NEVER[exporter]}

    assert {label for label, group in groups.items() if group is None} == set()
    ways = {label: catalogue.classes[group.class_].leaves_as for label, group in groups.items() if group}
    assert {label for label, leaves_as in ways.items() if leaves_as} == set()


def test_a_table_with_an_unknown_label_is_told_where() -> None:
    """The author of a table has looked at metrics; somebody must have looked at the label, too."""
    table = a_table(
        labels=[a_column("tint", vocabulary="modes")],
        sort_key=[],
        metrics=[a_metric("node_tint", exporter="node_exporter 9", labels=["tint"])],
    )

    assert list(check_labels(table, read_label_classes())) == [
        ("tables.oven.tint", "label tint of node_exporter has no class; add it to label_classes.yaml")
    ]


@pytest.mark.parametrize(
    ("column", "told"),
    [
        (a_column("serial", identity="oven"), "is unique (Serial numbers and world-wide names are unique for ever)"),
        (a_column("user", vocabulary="modes"), "would leave as a vocabulary; it may not leave at all"),
        (a_column("release", identity="oven"), "would leave as a pseudonym; it may leave as vocabulary only"),
        (a_column("mountpoint", number="int32"), "it may leave as pseudonym or vocabulary only"),
    ],
)
def test_a_label_that_would_leave_against_its_class_is_told(column: dict[str, object], told: str) -> None:
    metric = a_metric("node_any", exporter="node_exporter 9", labels=[column["name"]])
    table = a_table(labels=[column], sort_key=[], metrics=[metric])

    ((place, problem),) = check_labels(table, read_label_classes())

    assert place == f"tables.oven.{column['name']}"
    assert told in problem


def test_a_table_of_an_unknown_exporter_is_told() -> None:
    problems = [problem for _, problem in check_labels(a_table(), read_label_classes())]

    assert problems == ["the catalogue of labels has no exporter 'oven 1.0'"] * 2


def test_the_longest_name_tells_the_exporter() -> None:
    """The kubelet has metrics of its own beside cAdvisor's."""
    said = ("kubelet cAdvisor 0.60", "kubelet (Kubernetes 1.35)", "Seldon Core 2", "node_exporter 1.12.1")
    metrics = [Metric.model_validate(a_metric("x", exporter=each)) for each in said]

    found = [read_label_classes().find_exporter(metric) for metric in metrics]

    assert found == ["cAdvisor", "kubelet", "model serving", "node_exporter"]


@pytest.mark.parametrize(
    ("groups", "told"),
    [
        ([("unique", ["a"]), ("public", ["a"])], "exporter x classes a twice"),
        ([("secret", ["a"])], "Input should be 'public'"),
        ([("person", ["a"])], "uses the classes ['person'], which do not exist"),
        ([("public", ["a.*"])], "String should match pattern"),
    ],
)
def test_a_catalogue_that_does_not_hold_together_is_refused(groups: list[tuple[str, list[str]]], told: str) -> None:
    entries = [{"class": name, "why": "Somebody looked at it.", "labels": labels} for name, labels in groups]
    plain = {"means": "Something or other.", "leaves_as": []}

    with pytest.raises(ValidationError) as refused:
        LabelCatalogue.model_validate(
            {
                "classes": {"unique": plain, "public": plain},
                "exporters": {"x": {"about": "An exporter.", "names": [], "labels": entries}},
            }
        )

    assert told in str(refused.value)


def test_every_class_is_used_and_tells_what_it_means() -> None:
    catalogue = read_label_classes()
    used = {group.class_ for exporter in catalogue.exporters.values() for group in exporter.labels}

    assert used == set(catalogue.classes)


def test_the_documentation_says_of_each_class_as_what_it_may_leave() -> None:
    words = {"vocabulary": "a word of a vocabulary", "number": "a number", "pseudonym": "a pseudonym"}
    page = (ROOT / "docs/policy.md").read_text("utf-8")

    for name, each in read_label_classes().classes.items():
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
        told = row.rstrip("| ").rpartition("| ")[2]
        assert told == (", ".join(words[way] for way in each.leaves_as) or "not at all")
