"""Pages that real exporters served: our metrics have the type that they say, and no label of theirs is forgotten.

The pages are not part of the project: the tests pass without them.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

from schemas.registry import latest_tables
from schemas.table import Metric, TableSchema

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("OPSCOMMONS_EXPOSITIONS") or ROOT.parent / "shared" / "expositions")  # noqa: TID251 - a test

SAMPLE = re.compile(r"^(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?P<labels>.*)\})? \S+(?: -?\d+)?$")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="(?:[^"\\]|\\.)*"')
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
}  # fmt: skip
# Labels that come from the scrape, so that no exporter's page shows them.
TARGET = {"instance", "node", "namespace", "pod"}


@dataclass
class Family:
    """What one page says about one metric."""

    type: str
    labels: set[str] = field(default_factory=set)
    samples: int = 0


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
            family = found.setdefault(name, Family(kind))
            family.labels.update(LABEL.findall(sample["labels"] or ""))
            family.samples += 1
    return found


def find_ours() -> Iterator[tuple[str, TableSchema, Metric, Family]]:
    """Yield every metric of ours with each page that it occurs in."""
    for path in sorted(FOLDER.iterdir()):
        if path.suffix in (".prom", ".txt"):
            page = read_page(path)
            for table in latest_tables().values():
                for metric in table.metrics:
                    if metric.name in page:
                        yield path.name, table, metric, page[metric.name]


pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="no captured pages here; name them in OPSCOMMONS_EXPOSITIONS"
)


def test_types_are_those_of_the_exporters() -> None:
    """A counter that is called a gauge makes readers forget its resets."""
    found = [
        f"{metric.name}: {page} says {family.type}, we say {metric.type}"
        for page, _, metric, family in find_ours()
        if family.type != FORMS.get(metric.type, metric.type)
    ]

    assert found == []


def test_every_label_is_declared_or_dropped_on_purpose() -> None:
    """An exporter that grows a label asks for a decision."""
    found = []
    for page, table, metric, family in find_ours():
        sources = {column.source_label for column in table.labels if column.name in metric.labels}
        if strange := family.labels - sources - DROPPED.get(table.table, frozenset()):
            found.append(f"{metric.name}: {page} has {sorted(strange)}")

    assert found == []


def test_every_declared_label_exists() -> None:
    """A label that no exporter gives is a misspelling: its column would be null for ever."""
    seen: dict[str, set[str]] = {}
    for _, _, metric, family in find_ours():
        if family.samples:
            seen.setdefault(metric.name, set()).update(family.labels)
    found = []
    for table in latest_tables().values():
        for metric in table.metrics:
            sources = {column.source_label for column in table.labels if column.name in metric.labels}
            if metric.name in seen and (missing := sources - seen[metric.name] - TARGET):
                found.append(f"{metric.name} declares {sorted(missing)}")

    assert found == []


def test_the_dropped_list_holds_nothing_else() -> None:
    """What no page shows any more is a decision about nothing."""
    shown = {(table.table, label) for _, table, _, family in find_ours() for label in family.labels}
    listed = {(table, label) for table, labels in DROPPED.items() for label in labels if label != "device_error"}

    assert listed - shown == set()


def test_most_of_ours_occur_in_some_page() -> None:
    """Else the tests above would hold of nothing."""
    assert len({metric.name for _, _, metric, _ in find_ours()}) >= 30
