"""Stage and commit windows of a made-up cluster with our own writer: what releases of any size are built from."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jobs.config import Settings, check_settings
from jobs.parquet import Segments, expand_row_groups, sort_segments
from jobs.snapshot.commits import commit, data_key, ensure_description, put_files, wanted_description
from jobs.snapshot.runs import GROUP_ROWS, RunWriter, begin_run
from jobs.store import open_store
from schemas.arrow import data_schema, staged_schema
from schemas.commit import CommitFile, CommitRecord, HourCoverage, MetricCoverage, RawScan, ReadInfo, Span
from schemas.digest import digest
from schemas.policy import Policy
from schemas.registry import find_table, read_policy
from schemas.table import TableSchema
from schemas.windows import Window, to_ms, windows_between

START: Final = datetime(2026, 11, 1, tzinfo=UTC)
STEP_MS: Final = 30_000
CONTAINERS: Final = ("container_cpu_usage_seconds_total", "container_memory_working_set_bytes")


@dataclass(frozen=True)
class Staged:
    """What is staged: ``series`` of each metric, as many hours, windows of an hour; a tenth of the pods is new in each.

    ``odd`` are the shares of null and of NaN among the values.
    """

    series: int
    hours: int
    table: str = "container"
    metrics: tuple[str, ...] = CONTAINERS
    start: datetime = START
    odd: float = 0.001
    key_id: str = field(default="k_0123456789abcdef", repr=False)

    @property
    def rows(self) -> int:
        """All rows."""
        return self.series * self.hours * len(self.metrics) * (3_600_000 // STEP_MS)


def settings_in(folder: Path) -> Settings:
    """Return settings whose stores and work folder lie in ``folder``; no source is ever asked."""
    given = {
        "source": {"name": "bench", "url": "http://127.0.0.1:1", "identity": "none", "provenance": "simulated"},
        "privacy": {"key_file": str(folder / "opspub.key")},
        "staging": f"file:{folder}/staging",
        "public": f"file:{folder}/public",
        "work_dir": str(folder / "work"),
    }
    return check_settings(given, "the benchmark")


def stage(settings: Settings, staged: Staged, folder: Path) -> list[CommitRecord]:
    """Write and commit every window; return the records in the order of time. ``folder`` holds the files meanwhile."""
    store = open_store(settings.staging, endpoint_url=settings.s3_endpoint_url)
    ensure_description(store, wanted_description(settings.collection))
    schema, policy = find_table(staged.table), read_policy(settings.privacy.policy)
    records = []
    end = staged.start + staged.hours * timedelta(hours=1)
    for number, window in enumerate(windows_between(staged.start, end, timedelta(hours=1))):
        place = folder / f"{staged.table}-{window.name}"
        place.mkdir(parents=True)
        with RunWriter(place, schema) as writer:
            for metric in sorted(staged.metrics):
                _write_run(writer, schema, metric, _make_segments(staged, schema, policy, metric, number, window))
        files = {path: _describe(settings, schema, window, path, rows) for path, rows in writer.files.items()}
        record = CommitRecord(
            run="bench",
            source=settings.source.name,
            source_token=_token("src", "bench"),
            provenance="simulated",
            table=schema.table,
            schema_version=schema.version,
            schema_digest=digest(schema),
            window=Span(start=window.start, end=window.end),
            files=tuple(files.values()),
            key_id=staged.key_id,
            policy=policy.policy,
            policy_digest=digest(policy),
            read=ReadInfo(path="remote-read", server_version="2.42", lookback_ms=300_000, lookback_includes_edge=True),
            coverage=tuple(_cover(metric, staged.series, window) for metric in sorted(staged.metrics)),
            created=window.end + timedelta(minutes=10),
        )
        put_files(store, {file.path: path for path, file in files.items()})
        commit(store, record)
        for path in files:
            path.unlink()
        place.rmdir()
        records.append(record)
    return records


def _make_segments(
    staged: Staged, schema: TableSchema, policy: Policy, metric: str, number: int, window: Window
) -> Segments:
    rng = np.random.default_rng([number, *metric.encode()])
    kept = staged.series * 9 // 10
    names = [f"{n}" for n in range(kept)] + [f"{n}-{number}" for n in range(kept, staged.series)]
    fields = [each for each in data_schema(schema) if each.name not in ("timestamp", "value")]
    columns = [_make_column(each, schema, policy, metric, names) for each in fields]
    points = (window.end_ms - window.start_ms) // STEP_MS
    shape = (staged.series, points)
    if schema.metric(metric).type == "counter":
        values: npt.NDArray[np.float64] = np.cumsum(rng.integers(0, 50, shape), axis=1) / 8.0
    else:
        values = (
            rng.integers(1 << 20, 1 << 28, (staged.series, 1)) + np.cumsum(rng.integers(-9, 9, shape), axis=1) * 4e3
        )
    flat, odd = values.reshape(-1), rng.random(values.size)
    flat[odd < staged.odd] = np.nan
    return Segments(
        pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields)),
        np.full(staged.series, points, dtype=np.int64),
        np.tile(to_ms(window.start) + np.arange(points) * STEP_MS, staged.series),
        flat,
        odd < 1 - staged.odd,
    )


def _make_column(
    column: Any,  # noqa: ANN401 - an Arrow field
    schema: TableSchema,
    policy: Policy,
    metric: str,
    names: Sequence[str],
) -> Any:  # noqa: ANN401 - an Arrow array
    if column.name == "series_id":
        return pa.array([_token("s", f"{metric} {name}") for name in names])
    label = next(each for each in schema.labels if each.name == column.name)
    if column.name not in schema.metric(metric).labels:
        return pa.nulls(len(names), column.type)
    if label.number == "int32":
        return pa.array([at % 8 for at in range(len(names))], pa.int32())
    if not label.identity:
        return pa.nulls(len(names), column.type)
    few, prefix = {"namespace": 50, "node": 20}.get(label.identity), policy.domains[label.identity].prefix
    return pa.array([_token(prefix, f"{at % few}" if few else name) for at, name in enumerate(names)])


def _token(prefix: str, name: str) -> str:
    digest_ = hashlib.blake2b(f"{prefix} {name}".encode(), digest_size=10).digest()
    return f"{prefix}_{base64.b32encode(digest_).decode().lower()}"


def _write_run(writer: RunWriter, schema: TableSchema, metric: str, segments: Segments) -> None:
    ordered = sort_segments(segments, schema)
    writer.begin(begin_run(metric, most_rows=segments.rows, values=ordered.values))
    for group in _groups(ordered, schema, metric):
        writer.add(group)


def _groups(segments: Segments, schema: TableSchema, metric: str) -> Iterator[pa.RecordBatch]:
    return expand_row_groups(segments, staged_schema(schema), {"metric": metric}, group_rows=GROUP_ROWS)


def _describe(settings: Settings, schema: TableSchema, window: Window, path: Path, rows: int) -> CommitFile:
    content = path.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    return CommitFile(
        path=data_key(settings.source.name, schema, window, sha256),
        sha256=sha256,
        bytes=len(content),
        rows=rows,
        raw_scan=RawScan(searched=1, hits=0),
    )


def _cover(metric: str, series: int, window: Window) -> MetricCoverage:
    points = series * (window.end_ms - window.start_ms) // STEP_MS
    hour = HourCoverage(start=window.start, expected=points, received=points, held=0, points=points)
    return MetricCoverage(
        metric=metric, status="complete", series=series, rows=points, interval_ms=STEP_MS, hours=(hour,)
    )
