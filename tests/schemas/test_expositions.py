"""Pages that real exporters served: our metrics have the type that they say, and no label of theirs is forgotten.

The pages are not part of the project: the tests pass without them.
"""

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

from schemas.drift import find_new_labels
from schemas.label_classes import read_label_classes
from schemas.policy import Policy
from schemas.registry import latest_tables, read_policy
from schemas.table import MATCHER, LabelColumn, Metric, TableSchema

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("OPSCOMMONS_EXPOSITIONS") or ROOT.parent / "shared" / "expositions")  # noqa: TID251 - a test

SAMPLE = re.compile(r"^(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?P<labels>.*)\})? \S+(?: -?\d+)?$")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')
PART = re.compile(r"_(bucket|sum|count)$")
FORMS = {"info": "gauge"}  # the text format has no type for it

# Labels that exporters give and that we know we leave behind, with the reason.
DROPPED: Mapping[str, frozenset[str]] = {
    "node": frozenset({"device_error"}),  # free text
    "container": frozenset(
        {
            "id", "image", "name",  # unique, or names a private registry
            "cpu",                  # the kubelet only ever says "total"
            "device",               # unneeded: series_id tells the devices apart
            "zone_name", "container_env_foo_env", "container_label_foo_label",  # of a bare cAdvisor
        }
    ),
    "pod": frozenset(
        {
            "uid", "host_ip", "pod_ip",               # unique, or addresses
            "created_by_name",                        # kube_pod_owner tells it, canonically
            "owner_is_controller", "host_network",    # of little use
            "priority_class",                         # names of the house
        }
    ),
    "volume": frozenset(
        {
            "uid",     # unique
            "volume",  # the volume's name within the pod, chosen by somebody; the claim tells which it is
        }
    ),
    "job": frozenset({"owner_is_controller"}),  # of little use
    "control_plane": frozenset(
        {
            "group", "version", "component", "dry_run",  # of little use beside the kind of object
            "subresource",                               # holds paths
            "flow_schema", "execute", "profile",         # names of the house, or of little use
        }
    ),
    "ray": frozenset(
        {
            "NodeAddress", "WorkerId", "JobId",  # unique, or an address that the pod tells already
            "Component",                         # holds names of functions
            "Version", "Source", "IsRetry", "IsHeadNode",                             # of little use
            "otel_scope_name", "otel_scope_schema_url", "otel_scope_version",         # of the client library
            "node_type",                                                              # names of the house, or unique
        }
    ),
}  # fmt: skip
# Labels left behind for one metric alone, since the table publishes them for others.
DROPPED_OF_METRIC: Mapping[str, frozenset[str]] = {
    "ray_tasks": frozenset({"Name"}),   # names of functions
    "ray_actors": frozenset({"Name"}),  # names of classes
    # always empty: the pod's containers share its network
    "container_network_receive_bytes_total": frozenset({"container"}),
    "container_network_transmit_bytes_total": frozenset({"container"}),
    "container_network_receive_packets_dropped_total": frozenset({"container"}),
    "container_network_transmit_packets_dropped_total": frozenset({"container"}),
}  # fmt: skip
# Labels that come from the scrape, so that no exporter's page shows them.
TARGET = {"instance", "node", "namespace", "pod", "exported_namespace"}
# Words on the pages that are in no list, on purpose.
STRANGERS: Mapping[str, frozenset[str]] = {
    "notebook_hub.handler": frozenset(
        {
            # of one user's server, which the matcher job="hub" leaves out
            "jupyter_server.base.handlers.APIVersionHandler",
            "jupyter_server.base.handlers.PrometheusMetricsHandler",
            "jupyter_server.services.kernels.handlers.MainKernelHandler",
        }
    ),
}


@dataclass
class Family:
    """What one page says about one metric."""

    type: str
    series: list[dict[str, str]] = field(default_factory=list)

    @property
    def labels(self) -> set[str]:
        """The names of all labels."""
        return {label for series in self.series for label in series}


@dataclass(frozen=True)
class Shown:
    """One metric of ours on one page."""

    page: str
    table: TableSchema
    metric: Metric
    family: Family

    @property
    def columns(self) -> list[LabelColumn]:
        """The columns that the metric fills."""
        return [column for column in self.table.labels if column.name in self.metric.labels]


@cache
def read_page(path: Path) -> Mapping[str, Family]:
    """Return the metrics of ours that a page holds, by name; the parts of a histogram on their own."""
    types: dict[str, str] = {}
    found: dict[str, Family] = {}
    wanted = {metric.name for table in latest_tables().values() for metric in table.metrics}
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            types[name] = kind
            if name in wanted:
                found.setdefault(name, Family(kind))
        elif (sample := SAMPLE.match(line)) and (name := sample["name"]) in wanted:
            kind = types.get(name) or types.get(PART.sub("", name)) or "untyped"
            found.setdefault(name, Family(kind)).series.append(dict(LABEL.findall(sample["labels"] or "")))
    return found


def find_ours() -> Iterator[Shown]:
    """Yield every metric of ours with each page that it occurs in."""
    for path in sorted(FOLDER.iterdir()):
        if path.suffix in (".prom", ".txt"):
            page = read_page(path)
            for table in latest_tables().values():
                for metric in table.metrics:
                    if metric.name in page:
                        yield Shown(path.name, table, metric, page[metric.name])


def is_selected(series: Mapping[str, str], metric: Metric) -> bool:
    """Return whether a metric's matchers let a series through, by PromQL's rules; those of the scrape do."""
    for text in metric.match:
        name, op, value = MATCHER.fullmatch(text).group("name", "op", "value")  # type: ignore[union-attr]
        if name == "job" or (name in TARGET and name not in series):
            continue
        given = series.get(name, "")
        equal = bool(re.fullmatch(value, given)) if "~" in op else given == value
        if equal == op.startswith("!"):
            return False
    return True


pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="no captured pages here; name them in OPSCOMMONS_EXPOSITIONS"
)


def test_types_are_those_of_the_exporters() -> None:
    """A counter that is called a gauge makes readers forget its resets."""
    found = [
        f"{shown.metric.name}: {shown.page} says {shown.family.type}, we say {shown.metric.type}"
        for shown in find_ours()
        if shown.family.type != FORMS.get(shown.metric.type, shown.metric.type)
    ]

    assert found == []


def test_every_label_is_declared_or_dropped_on_purpose() -> None:
    """An exporter that grows a label asks for a decision."""
    found = []
    for shown in find_ours():
        sources = {label for column in shown.columns for label in column.source_labels}
        dropped = DROPPED.get(shown.table.table, frozenset()) | DROPPED_OF_METRIC.get(shown.metric.name, frozenset())
        if strange := shown.family.labels - sources - dropped:
            found.append(f"{shown.metric.name}: {shown.page} has {sorted(strange)}")

    assert found == []


def test_no_label_of_a_real_exporter_would_be_called_new() -> None:
    """Drift tells labels that nobody has classed; if it told what exporters have always given, nobody would listen."""
    catalogue = read_label_classes()
    found = {
        (shown.metric.name, label)
        for shown in find_ours()
        for label in find_new_labels(
            shown.metric,
            shown.family.labels - {name for column in shown.columns for name in column.source_labels},
            catalogue,
        )
    }

    assert found == set()


def test_every_declared_label_exists() -> None:
    """A label that no exporter gives is a misspelling: its column would be null for ever."""
    seen: dict[str, set[str]] = defaultdict(set)
    missing: dict[str, set[str]] = {}
    for shown in find_ours():
        if shown.family.series:
            seen[shown.metric.name] |= shown.family.labels
            missing[shown.metric.name] = {
                column.source_label
                for column in shown.columns
                if not {*column.source_labels} & (seen[shown.metric.name] | TARGET)
            }

    assert {name: labels for name, labels in missing.items() if labels} == {}


def test_the_words_on_the_pages_are_in_the_lists() -> None:
    """A word that is spelled otherwise than the exporter spells it turns a whole column into ``other``."""
    policy = read_policy("default")
    found: dict[str, set[str]] = defaultdict(set)
    for shown in find_ours():
        for column in shown.columns:
            selected = [series for series in shown.family.series if is_selected(series, shown.metric)]
            words = {series.get(label, "") for series in selected for label in column.source_labels} - {""}
            place = f"{shown.table.table}.{column.name}"
            found[place] |= find_strange(words, column, policy) - STRANGERS.get(place, frozenset())

    assert {place: words for place, words in found.items() if words} == {}


def find_strange(words: set[str], column: LabelColumn, policy: Policy) -> set[str]:
    """Return the words that the column would not publish."""
    if column.vocabulary:
        return words - policy.vocabularies[column.vocabulary].members.keys()
    if column.number == "int32":
        return {word for word in words if not re.fullmatch("[0-9]{1,9}", word)}
    return set()


def test_matchers_let_something_through() -> None:
    """A matcher that fits no series of a real page would empty its metric."""
    selected: dict[str, int] = defaultdict(int)
    for shown in find_ours():
        if shown.metric.match and "cadvisor__lib" not in shown.page:  # a cAdvisor without pods
            selected[shown.metric.name] += sum(is_selected(series, shown.metric) for series in shown.family.series)

    assert selected["container_cpu_usage_seconds_total"] == 17, "the containers that ran, without their sums"
    assert selected["container_network_receive_bytes_total"] == 18, "one interface of each pod"
    assert [name for name, count in selected.items() if not count] == []


def test_the_dropped_lists_hold_nothing_else() -> None:
    """What no page shows any more is a decision about nothing."""
    shown = {(each.table.table, label) for each in find_ours() for label in each.family.labels}
    listed = {(table, label) for table, labels in DROPPED.items() for label in labels if label != "device_error"}
    of_metrics = {(each.metric.name, label) for each in find_ours() for label in each.family.labels}

    assert listed - shown == set()
    assert {(name, label) for name, labels in DROPPED_OF_METRIC.items() for label in labels} - of_metrics == set()


def test_most_of_ours_occur_in_some_page() -> None:
    """Else the tests above would hold of nothing."""
    assert len({shown.metric.name for shown in find_ours()}) >= 180
