"""The smallest valid records, facts and catalogs, to be changed where a test looks."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from jobs.card.facts import Gap, HourFacts, MetricFacts, ReleaseFacts, TableFacts
from schemas.commit import CommitRecord, ReadInfo, Span
from schemas.manifest import Catalog, CatalogEntry, Manifest, ReleaseInfo, Totals
from schemas.policy import Policy
from schemas.table import TableSchema

DAY = datetime(2026, 11, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def a_node_schema() -> TableSchema:
    """A table with one column of every kind."""
    return TableSchema.model_validate(
        {
            "table": "node",
            "version": "1.0",
            "family": "ops",
            "description": "Machines: load, memory and network.",
            "labels": [
                {"name": "node", "label": "instance", "identity": "host", "meaning": "The machine."},
                {"name": "device", "vocabulary": "devices", "meaning": "Kind of device | or part."},
                {
                    "name": "node_class",
                    "vocabulary": "devices",
                    "quasi_identifier": True,
                    "meaning": "What the machine is for.",
                },
                {"name": "cpu", "number": "int32", "meaning": "Number of the processor."},
                {"name": "le", "number": "text", "meaning": "Upper bound of a bucket."},
            ],
            "sort_key": ["node", "device"],
            "metrics": [
                {
                    "name": "node_load1",
                    "type": "gauge",
                    "unit": "1",
                    "exporter": "node_exporter",
                    "meaning": "Load average over one minute.",
                    "labels": ["node", "node_class"],
                },
                {
                    "name": "node_boot_time_seconds",
                    "type": "gauge",
                    "unit": "seconds",
                    "value": "age",
                    "exporter": "node_exporter",
                    "meaning": "Time since the machine booted.",
                    "labels": ["node", "device", "cpu", "le"],
                },
            ],
        }
    )


def a_commit_record(start: datetime, *, width: timedelta = HOUR, **changed: Any) -> CommitRecord:  # noqa: ANN401 - any field
    """Commit a window of the table ``node`` without any file."""
    fields: dict[str, Any] = {
        "run": "0",
        "source": "lab",
        "source_token": "src_aaaaaaaaaaaaaaaa",
        "provenance": "simulated",
        "table": "node",
        "schema_version": "1.0",
        "schema_digest": "sha256:0",
        "window": Span(start=start, end=start + width),
        "files": (),
        "key_id": "k_0",
        "policy": "default",
        "policy_digest": "sha256:0",
        "read": ReadInfo(path="remote-read", server_version="2.42", lookback_ms=300_000, lookback_includes_edge=True),
        "coverage": (),
        "created": start + 2 * HOUR,
    }
    return CommitRecord(**fields | changed)


def a_manifest(version: str, **changed: Any) -> Manifest:  # noqa: ANN401 - any field
    """Describe a release of one day without any file."""
    fields: dict[str, Any] = {
        "release": ReleaseInfo(version=version, title="t", license="CC-BY-4.0", maintainer="m", contact="c"),
        "provenance": "simulated",
        "created": changed.get("end", DAY + 24 * HOUR),
        "start": DAY,
        "end": DAY + 24 * HOUR,
        "step_ms": 30_000,
        "sources": ("src_aaaaaaaaaaaaaaaa",),
        "key_id": "k_0",
        "policy": "default",
        "policy_digest": "sha256:0",
        "tables": (),
        "totals": Totals(files=0, bytes=0, data_bytes=0, rows=0, series=0),
        "files": (),
    }
    return Manifest(**fields | changed)


def a_gpu_schema() -> TableSchema:
    """A second, smaller table, of the other family."""
    return TableSchema.model_validate(
        {
            "table": "gpu",
            "version": "2.1",
            "family": "ml",
            "description": "Accelerators: utilization.",
            "labels": [{"name": "node", "label": "Hostname", "identity": "host", "meaning": "The machine."}],
            "sort_key": ["node"],
            "metrics": [
                {
                    "name": "DCGM_FI_DEV_GPU_UTIL",
                    "type": "gauge",
                    "unit": "percent",
                    "value": "blank_to_null",
                    "exporter": "dcgm-exporter",
                    "meaning": "Share of time in which a kernel ran.",
                    "labels": ["node"],
                }
            ],
        }
    )


def a_policy() -> Policy:
    """A policy that covers both tables."""
    rule = {"owner": "team-internal-name", "why": "Needed by the tests.", "reviewed": date(2026, 10, 1)}
    return Policy.model_validate(
        {
            "policy": "default",
            "version": 3,
            "domains": {
                "host": {
                    "prefix": "node",
                    "canonical": "host",
                    "unmatched": "stranger",
                    "meaning": "A machine of the cluster.",
                },
                "stranger": {"prefix": "host", "meaning": "An address that no node is known by."},
            },
            "vocabularies": {"devices": {"members": ["disk", "nic"], "source": "tests"}},
            "small_groups": {"devices": {"of": ["host"], "why": "Kinds of machines that few have."}},
            "tables": {
                "node": {**rule, "metrics": ["node_load1", "node_boot_time_seconds"]},
                "gpu": {**rule, "metrics": ["DCGM_FI_DEV_GPU_UTIL"]},
            },
        }
    )


def a_metric_facts(metric: str = "node_load1", **changed: Any) -> MetricFacts:  # noqa: ANN401 - any field
    """A metric without a fault."""
    facts = MetricFacts(
        metric=metric,
        rows=2_880_000,
        series=1_000,
        minimum=0.25,
        maximum=1_234_567.0,
        nulls=0,
        nans=0,
        interval_ms=15_000,
        expected=5_760_000,
        received=5_760_000,
        missing=0,
        reasons=(),
    )
    return replace(facts, **changed)


def a_table_facts(schema: TableSchema | None = None, **changed: Any) -> TableFacts:  # noqa: ANN401 - any field
    """A table with all its metrics."""
    schema = schema or a_node_schema()
    metrics = tuple(a_metric_facts(metric.name) for metric in schema.metrics)
    facts = TableFacts(
        schema=schema,
        schema_digest="sha256:" + "ab" * 32,
        rows=sum(metric.rows for metric in metrics),
        series=sum(metric.series for metric in metrics),
        data_bytes=12_900_000,
        metrics=metrics,
        entities={"node": 120},
        dropped_labels=("customer_label", "job"),
        outside_vocabulary={},
    )
    return replace(facts, **changed)


def a_release_facts(**changed: Any) -> ReleaseFacts:  # noqa: ANN401 - any field
    """A release of two tables and a day."""
    facts = ReleaseFacts(
        info=ReleaseInfo(
            version="2026.11.0",
            title="Example cluster metrics",
            license="CC-BY-4.0",
            maintainer="Example Lab",
            contact="data@lab.example",
        ),
        provenance="simulated",
        created=DAY + 25 * HOUR,
        start=DAY,
        end=DAY + 24 * HOUR,
        time="calendar",
        tier="series",
        step_ms=30_000,
        lookback_ms=300_000,
        window_ms=3_600_000,
        read_paths=("remote-read",),
        server_versions=("2.42.0",),
        key_id="9f3a61c27be04d58",
        policy=a_policy(),
        policy_digest="sha256:" + "cd" * 32,
        tables=(a_table_facts(), a_table_facts(a_gpu_schema(), data_bytes=4_200_000)),
        gaps=(),
        hours=tuple(HourFacts(DAY + hour * HOUR, 720_000, 0) for hour in range(24)),
        estimated=0.0,
        k=5,
        suppressed=(),
        raw_values_searched=48_211,
    )
    return replace(facts, **changed)


def a_gap(metric: str = "node_load1", *, table: str = "node", hour: int = 0, reason: str = "source down") -> Gap:
    """One hour without data."""
    return Gap(table, metric, DAY + hour * HOUR, DAY + (hour + 1) * HOUR, reason)


def a_catalog_entry(version: str = "2026.11.0", **changed: Any) -> CatalogEntry:  # noqa: ANN401 - any field
    """A published release of a real cluster."""
    entry = CatalogEntry(
        version=version,
        path=f"releases/{version}/",
        created=DAY + 25 * HOUR,
        manifest_sha256="0123456789abcdef" * 4,
        bytes=17_100_000,
        rows=8_640_000,
        provenance="real",
    )
    return entry.model_copy(update=changed)


def a_catalog(*entries: CatalogEntry, latest: str | None = "2026.11.0") -> Catalog:
    """A catalog of these releases, or of one."""
    return Catalog(latest=latest, releases=entries or (a_catalog_entry(),))
