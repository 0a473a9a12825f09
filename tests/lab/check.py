"""Hold a release against what Prometheus says.

What can be fed is there, equal, typed and documented; the rest has a reason.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.e2e.exact import published_series
from tests.lab.facts import MADE_HERE, Facts
from tests.lab.sources import Source

DOCS = Path(__file__).parents[2] / "docs/tables"
UNFED: Mapping[str, str] = {
    "gpu": "dcgm-exporter needs a GPU of NVIDIA",
    "gpu_amd": "device-metrics-exporter needs a GPU of AMD",
    "kafka": "Kafka and its exporters are in none of the registries that the lab installs from",
    "model_server": "vLLM needs gigabytes of packages, a GPU and the weights of a model",
    "queue": "Kueue is a controller of Kubernetes, which does nothing without an API server",
    "training": "training operators are controllers of Kubernetes, which do nothing without an API server",
    "triton": "Triton comes as an image; its package for Python is not there for all versions that we run on",
    "workflow": "Argo and Kubeflow Pipelines are controllers of Kubernetes, which do nothing without an API server",
}
"""Tables that nothing here can feed. A reason that no longer holds is a finding too."""
_TYPES = {"int32": pa.int32(), "text": pa.string()}
_SAID = {"untyped": "unknown", "info": "gauge"}  # the text format has no type for it


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one table."""

    table: str
    version: str
    declared: int
    fed: int
    by: tuple[str, ...]
    series: int
    rows: int
    unfed: tuple[str, ...]
    reason: str = ""


def describe_tables(facts: Facts, release: Path, *, without: str = "") -> list[Row]:
    """Return what the release has of each table, by its manifest, beside what feeds it.

    ``without`` says what was left out, so that tables may be empty which else are not.
    """
    manifest = json.loads((release / "manifest.json").read_text("utf-8"))
    rows = []
    for name, table in facts.tables.items():
        files = [file for file in manifest["files"] if file["role"] == "data" and file["table"] == name]
        series = [file for file in manifest["files"] if file["role"] == "series" and file["table"] == name]
        fed = wanted_metrics(facts, name)
        rows.append(
            Row(
                name,
                table["version"],
                len(table["metrics"]),
                len(fed),
                tuple(sorted({source for metric in facts.fed_of(name) for source in facts.fed[metric].by})),
                sum(pq.read_metadata(release / file["path"]).num_rows for file in series),
                sum(file["rows"] for file in files),
                tuple(metric["name"] for metric in table["metrics"] if metric["name"] not in fed),
                "" if fed else UNFED.get(name, without),
            )
        )
    return rows


def check_release(facts: Facts, release: Path, *, without: str = "") -> list[str]:
    """Return what is wrong with the release of all that was scraped; ``without`` as above."""
    return [*_check_tables(facts, release, without), *_check_types(facts)]


def check_sources(facts: Facts, sources: Sequence[Source]) -> list[str]:
    """Return what real servers and pages do not offer though they should, and what could not be scraped."""
    found = [f"a target is down, {one}" for one in facts.down]
    for source in sources:
        empty = sorted(source.feeds - facts.tables_of(source.name))
        found += [f"{source.name} {source.version} feeds nothing to the table {table}" for table in empty]
        found += _check_exporters(facts, source)
    return found


def check_drift(drift: Mapping[str, int]) -> list[str]:
    """Return what a snapshot noticed and no table knows; its commits have the names."""
    return [f"the snapshot noticed {what}: {drift[what]}" for what in ("new labels", "type differs") if drift.get(what)]


def wanted_metrics(facts: Facts, table: str) -> list[str]:
    """Return the metrics of a table that a release must have; those that the publisher makes come from pods."""
    if table != "workload":
        return facts.fed_of(table)
    pods, requests = "kube_pod_info" in facts.fed, "kube_pod_container_resource_requests" in facts.fed
    made = [metric["name"] for metric in facts.tables[table]["metrics"] if metric["name"].startswith(MADE_HERE)]
    return [name for name in made if pods and not name.endswith("_gpus") and (requests or "_requested_" not in name)]


def _check_exporters(facts: Facts, source: Source) -> Iterator[str]:
    own = [
        metric["name"]
        for table in facts.tables.values()
        for metric in table["metrics"]
        if metric["exporter"].rpartition(" ")[0] in source.exporters
    ]
    for name in own:
        offered = name in facts.fed and source.name in facts.fed[name].by
        if not offered and name not in source.absent:
            yield f"{source.name} {source.version} does not offer {name}, which our tables say is its own"
        if offered and name in source.absent:
            yield f"{source.name} {source.version} offers {name}; it was said to be absent"


def _check_types(facts: Facts) -> Iterator[str]:
    for table in facts.tables.values():
        for metric in table["metrics"]:
            fed = facts.fed.get(metric["name"])
            if fed and fed.said not in ("unknown", _SAID.get(metric["type"], metric["type"])):
                yield f"{metric['name']} is a {fed.said} by {', '.join(fed.by)}, we say {metric['type']}"


def _check_tables(facts: Facts, release: Path, without: str) -> Iterator[str]:
    manifest = json.loads((release / "manifest.json").read_text("utf-8"))
    published = {table["table"] for table in manifest["tables"]}
    for name, table in facts.tables.items():
        wanted = wanted_metrics(facts, name)
        if not wanted and name in published:
            yield f"the release has a table {name}, which nothing feeds"
        if not wanted and name not in UNFED and not without:
            yield f"nothing feeds the table {name}, and no reason is known"
        if wanted and name in UNFED:
            yield f"the table {name} is fed; it was said that {UNFED[name]}"
        if wanted and name not in published:
            yield f"the table {name} is fed and not in the release"
        if wanted and name in published:
            yield from _check_metrics(facts, table, wanted, release, manifest)
            yield from _check_documents(name, wanted, release)


def _check_metrics(
    facts: Facts, table: Mapping[str, Any], wanted: Sequence[str], release: Path, manifest: dict[str, Any]
) -> Iterator[str]:
    paths: dict[str, list[str]] = {}
    for file in manifest["files"]:
        if file["role"] == "data" and file["table"] == table["table"]:
            paths.setdefault(file["metric"], []).append(file["path"])
    for metric in sorted(paths.keys() - set(wanted)):
        yield f"the release has {metric}, which nothing feeds"
    for metric in wanted:
        if metric not in paths:
            yield f"{metric} is fed and not in the release"
            continue
        found = published_series(release, manifest, metric)
        fed = facts.fed.get(metric)
        if fed and found != fed.values:
            yield f"{metric}: {(found - fed.values).total()} series differ of {fed.values.total()} that Prometheus has"
        for path in paths[metric]:
            yield from _check_columns(metric, table, pq.read_schema(release / path))


def _check_columns(metric: str, table: Mapping[str, Any], schema: pa.Schema) -> Iterator[str]:
    wanted = {"timestamp": pa.timestamp("ms", "UTC"), "series_id": pa.string()}
    wanted |= {label["name"]: _TYPES[label.get("number", "text")] for label in table["labels"]}
    wanted["value"] = pa.float64()
    found = {field.name: field.type for field in schema}
    if {name: _plain(kind) for name, kind in found.items()} != wanted:
        names = sorted(name for name in wanted.keys() | found.keys() if _plain(found.get(name)) != wanted.get(name))
        yield f"{metric}: the columns {', '.join(names)} are not typed as declared"


def _plain(kind: pa.DataType | None) -> pa.DataType | None:
    return kind.value_type if kind is not None and pa.types.is_dictionary(kind) else kind


def _check_documents(table: str, metrics: Sequence[str], release: Path) -> Iterator[str]:
    if f"`{table}`" not in (release / "README.md").read_text("utf-8"):
        yield f"the card does not name the table {table}"
    schema = release / "schemas" / f"{table}.json"
    told = {metric["name"] for metric in json.loads(schema.read_text("utf-8"))["metrics"]} if schema.exists() else set()
    page = (DOCS / f"{table}.md").read_text("utf-8")
    for metric in metrics:
        if metric not in told:
            yield f"the release's schema of {table} does not tell of {metric}"
        if f"`{metric}`" not in page:
            yield f"docs/tables/{table}.md does not tell of {metric}"
