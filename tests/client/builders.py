"""Write a small public store with planted values, by the format's description alone.

Plain json and pyarrow on purpose: what the client reads here was not written by the publisher's code.
Two days, one point per ten minutes, every value computable from (metric, series, point).
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

FIRST_DAY = datetime(2026, 11, 22, tzinfo=UTC)
DAYS = 2
STEP = timedelta(minutes=10)
POINTS_PER_DAY = 144
TIMESTAMP = pa.timestamp("ms", tz="UTC")

Labels = dict[str, str | int | None]


@dataclass(frozen=True)
class Metric:
    """A metric with its series, and the value of a series at a point."""

    name: str
    type: str
    unit: str
    series: Sequence[Labels]
    value: Callable[[int, int], float | None]


@dataclass(frozen=True)
class Table:
    """A table with the types of its label columns."""

    name: str
    labels: dict[str, pa.DataType]
    metrics: Sequence[Metric]


@dataclass
class Planted:
    """A release on disk and the manifest that was written."""

    folder: Path
    manifest: dict[str, Any]
    manifest_sha256: str = ""
    files: list[dict[str, Any]] = field(default_factory=list)

    def paths(self, role: str = "data") -> list[str]:
        return [file["path"] for file in self.files if file["role"] == role]


def instant(point: int) -> datetime:
    return FIRST_DAY + point * STEP


def series_id(metric: str, number: int) -> str:
    return "se_" + hashlib.sha256(f"{metric}/{number}".encode()).hexdigest()[:20]


def counter_with_a_reset(number: int, point: int) -> float:
    """Rise by 60 (number 0), 120 (number 1), ... per point; restart from 0 before point 100."""
    step = 60.0 * (number + 1)
    return step * point if point < 100 else step * (point - 100) + 30.0


def tables() -> list[Table]:
    text, whole = pa.string(), pa.int32()
    nodes: list[Labels] = [
        {"node": f"node_{node}", "cpu": "0", "mode": mode, "kernel": None} for node in "ab" for mode in ("idle", "user")
    ]
    pods: list[Labels] = [
        {"namespace": f"ns_{ns}", "pod": f"pod_{ns}{pod}", "container": "main"} for ns in "xyz" for pod in "12"
    ]
    gpus: list[Labels] = [
        {"node": "node_a", "gpu": gpu, "namespace": "ns_x", "pod": f"pod_x{gpu + 1}", "workload_kind": kind}
        for gpu, kind in enumerate(("pytorchjob", "notebook"))
    ]
    return [
        Table(
            "node",
            {"node": text, "cpu": text, "mode": text, "kernel": text},
            [
                Metric("node_cpu_seconds_total", "counter", "seconds", nodes, counter_with_a_reset),
                Metric(
                    "node_load1",
                    "gauge",
                    "processes",
                    [{"node": "node_a"}, {"node": "node_b"}],
                    lambda number, point: number + point / 8,
                ),
            ],
        ),
        Table(
            "container",
            {"namespace": text, "pod": text, "container": text},
            [
                Metric(
                    "container_memory_working_set_bytes",
                    "gauge",
                    "bytes",
                    pods,
                    lambda number, point: 1e6 * number + point,
                )
            ],
        ),
        Table(
            "gpu",
            {"node": text, "gpu": whole, "namespace": text, "pod": text, "workload_kind": text},
            [
                Metric(
                    "DCGM_FI_DEV_GPU_UTIL",
                    "gauge",
                    "percent",
                    gpus,
                    lambda number, point: None if point == 5 else 95.0 - 90 * number,
                )
            ],
        ),
        Table(
            "model_server",
            {"namespace": text, "pod": text},
            [
                Metric(
                    "vllm:num_requests_running",
                    "gauge",
                    "requests",
                    [{"namespace": "ns_x", "pod": "pod_x1"}],
                    lambda number, point: float(point % 7),
                )
            ],
        ),
    ]


def write_release(folder: Path, *, version: str = "2026.11.0", provenance: str = "simulated") -> Planted:
    """Write one release and return what was planted."""
    files: list[dict[str, Any]] = []
    planted_tables: list[dict[str, Any]] = []

    def add(path: str, role: str, content: bytes | pa.Table, **facts: object) -> None:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            target.write_bytes(content)
        else:
            pq.write_table(content, target, compression="zstd", row_group_size=100, store_schema=False)
            facts = {"rows": content.num_rows, **facts}
        body = target.read_bytes()
        digest = hashlib.sha256(body).hexdigest()
        files.append({"path": path, "role": role, "bytes": len(body), "sha256": digest, **facts})

    for table in tables():
        listed: list[dict[str, Any]] = []
        for metric in table.metrics:
            for day in range(DAYS):
                points = range(day * POINTS_PER_DAY, (day + 1) * POINTS_PER_DAY)
                date = f"{FIRST_DAY + timedelta(days=day):%Y-%m-%d}"
                path = f"data/{table.name}/metric={quote(metric.name, safe='')}/date={date}/part-0.parquet"
                add(
                    path,
                    "data",
                    _samples(table, metric, points),
                    table=table.name,
                    metric=metric.name,
                    date=date,
                    min_timestamp=_iso(instant(points[0])),
                    max_timestamp=_iso(instant(points[-1])),
                )
            listed += [_listed(metric, number, labels, path) for number, labels in enumerate(metric.series)]
        series = pa.Table.from_pylist(listed, schema=_series_schema(table))
        add(f"series/{table.name}.parquet", "series", series, table=table.name)
        add(f"schemas/{table.name}.json", "schema", b'{"table": "%s"}\n' % table.name.encode(), table=table.name)
        planted_tables.append(
            {
                "table": table.name,
                "schema_version": "1.0",
                "schema_digest": "0" * 64,
                "rows": sum(len(metric.series) for metric in table.metrics) * DAYS * POINTS_PER_DAY,
                "series": series.num_rows,
                "metrics": [metric.name for metric in table.metrics],
            }
        )
    add("coverage.parquet", "coverage", _coverage())
    add("README.md", "card", f"# A small release {version}\n\nPseudonymised, not anonymous.\n".encode())
    add("LICENSE", "license", b"CC-BY-4.0\n")
    add("topology/edges.parquet", "topology", b"a role that the client does not know")

    manifest: dict[str, Any] = {
        "format_version": "1.0",
        "release": {
            "version": version,
            "title": "A small release",
            "license": "CC-BY-4.0",
            "maintainer": "nobody",
            "contact": "nobody@example.org",
        },
        "provenance": provenance,
        "created": _iso(instant(DAYS * POINTS_PER_DAY)),
        "start": _iso(FIRST_DAY),
        "end": _iso(FIRST_DAY + timedelta(days=DAYS)),
        "step_ms": int(STEP / timedelta(milliseconds=1)),
        "time": "calendar",
        "sources": ["src_1"],
        "key_id": "key_1",
        "policy": "default",
        "policy_digest": "1" * 64,
        "tables": planted_tables,
        "totals": {
            "files": len(files),
            "bytes": sum(file["bytes"] for file in files),
            "data_bytes": sum(file["bytes"] for file in files if file["role"] == "data"),
            "rows": sum(table["rows"] for table in planted_tables),
            "series": sum(table["series"] for table in planted_tables),
        },
        "files": files,
    }
    planted = Planted(folder, manifest, files=files)
    seal(planted)
    return planted


def seal(planted: Planted) -> None:
    """Write manifest.json and SHA256SUMS as the planted manifest says."""
    body = json.dumps(planted.manifest, indent=1).encode()
    (planted.folder / "manifest.json").write_bytes(body)
    planted.manifest_sha256 = hashlib.sha256(body).hexdigest()
    sums = {file["path"]: file["sha256"] for file in planted.files} | {"manifest.json": planted.manifest_sha256}
    lines = [f"{digest}  {path}\n" for path, digest in sorted(sums.items())]
    (planted.folder / "SHA256SUMS").write_text("".join(lines), "utf-8")


def write_catalog(root: Path, *releases: Planted, retracted: Sequence[str] = (), latest: str | None = None) -> None:
    """Write the catalog of these releases, the newest last."""
    entries = []
    for planted in releases:
        version = planted.manifest["release"]["version"]
        gone = version in retracted
        entries.append(
            {
                "version": version,
                "path": planted.folder.relative_to(root).as_posix(),
                "created": planted.manifest["created"],
                "manifest_sha256": planted.manifest_sha256,
                "bytes": planted.manifest["totals"]["bytes"],
                "rows": planted.manifest["totals"]["rows"],
                "provenance": planted.manifest["provenance"],
                "status": "retracted" if gone else "published",
                "reason": "it named a person" if gone else None,
            }
        )
    published = [entry["version"] for entry in entries if entry["status"] == "published"]
    newest = latest if latest is not None else (published[-1] if published else None)
    catalog = {"format_version": "1.0", "latest": newest, "releases": entries}
    (root / "catalog.json").write_text(json.dumps(catalog, indent=1), "utf-8")


def write_store(root: Path, *versions: str, retracted: Sequence[str] = (), latest: str | None = None) -> list[Planted]:
    """Write a store with these versions, by default one."""
    releases = [write_release(root / "releases" / version, version=version) for version in versions or ("2026.11.0",)]
    write_catalog(root, *releases, retracted=retracted, latest=latest)
    return releases


def flip_byte(path: Path, *, at: int = -40) -> None:
    """Change one bit of a file and nothing else."""
    body = bytearray(path.read_bytes())
    body[at] ^= 1
    path.write_bytes(bytes(body))


def _samples(table: Table, metric: Metric, points: range) -> pa.Table:
    columns: dict[str, list[Any]] = {name: [] for name in ("timestamp", "series_id", *table.labels, "value")}
    for number, labels in enumerate(metric.series):
        for point in points:
            columns["timestamp"].append(instant(point))
            columns["series_id"].append(series_id(metric.name, number))
            for label in table.labels:
                columns[label].append(labels.get(label))
            columns["value"].append(metric.value(number, point))
    kinds = {"timestamp": TIMESTAMP, "series_id": pa.string(), **table.labels, "value": pa.float64()}
    return pa.table(columns, schema=pa.schema([pa.field(name, kind) for name, kind in kinds.items()]))


def _listed(metric: Metric, number: int, labels: Labels, path: str) -> dict[str, Any]:
    return {
        "series_id": series_id(metric.name, number),
        "metric": metric.name,
        **labels,
        "type": metric.type,
        "unit": metric.unit,
        "first_timestamp": FIRST_DAY,
        "last_timestamp": instant(DAYS * POINTS_PER_DAY - 1),
        "rows": DAYS * POINTS_PER_DAY,
        "interval_ms": 30_000,
        "path": path,
        "row_group": 0,
    }


def _series_schema(table: Table) -> pa.Schema:
    kinds: dict[str, pa.DataType] = {
        "series_id": pa.string(),
        "metric": pa.string(),
        **table.labels,
        "type": pa.string(),
        "unit": pa.string(),
        "first_timestamp": TIMESTAMP,
        "last_timestamp": TIMESTAMP,
        "rows": pa.int64(),
        "interval_ms": pa.int32(),
        "path": pa.string(),
        "row_group": pa.int32(),
    }
    return pa.schema([pa.field(name, kind) for name, kind in kinds.items()])


def _coverage() -> pa.Table:
    rows = [
        {
            "source": "src_1",
            "table": table.name,
            "metric": metric.name,
            "hour": FIRST_DAY + timedelta(hours=hour),
            "expected": 120,
            "received": 60 if hour == 3 else 120,
            "points": 120,
            "held": 0,
            "status": "partial" if hour == 3 else "complete",
            "reason": "source down" if hour == 3 else None,
            "estimated": False,
            "scrapes": 120,
            "scrapes_failed": 0,
            "scrapes_unseen": 60 if hour == 3 else 0,
        }
        for table in tables()
        for metric in table.metrics
        for hour in range(24 * DAYS)
    ]
    kinds = {
        "source": pa.string(),
        "table": pa.string(),
        "metric": pa.string(),
        "hour": TIMESTAMP,
        "expected": pa.int64(),
        "received": pa.int64(),
        "points": pa.int64(),
        "held": pa.int64(),
        "status": pa.string(),
        "reason": pa.string(),
        "estimated": pa.bool_(),
        "scrapes": pa.int64(),
        "scrapes_failed": pa.int64(),
        "scrapes_unseen": pa.int64(),
    }
    return pa.Table.from_pylist(rows, schema=pa.schema([pa.field(name, kind) for name, kind in kinds.items()]))


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
