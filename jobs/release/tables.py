"""Write the data files and the series index of one table of a release, day by day, metric by metric."""

import datetime as dt
import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jobs.parquet import (
    ROW_GROUP_ROWS,
    Segments,
    choose_value_encoding,
    concat_segments,
    expand_row_groups,
    open_writer,
    sort_segments,
    write_table,
)
from jobs.release.layout import data_path, series_path
from jobs.release.native import NativeSums, write_native_day
from jobs.release.staged import fetch_verified, read_segments
from jobs.store import Store
from schemas.arrow import data_schema, series_schema
from schemas.commit import CommitRecord
from schemas.manifest import ReleaseFile
from schemas.native import native_name
from schemas.table import Metric, TableSchema
from schemas.windows import from_ms


@dataclass
class MetricSums:
    """What is summed over the files of one metric."""

    rows: int = 0
    nulls: int = 0
    nans: int = 0
    minimum: float | None = None
    maximum: float | None = None
    series: set[str] = field(default_factory=set)

    def add(self, segments: Segments) -> None:
        """Count one file's rows."""
        finite = segments.values[segments.valid & np.isfinite(segments.values)]
        self.rows += segments.rows
        self.nulls += int(np.count_nonzero(~segments.valid))
        self.nans += int(np.count_nonzero(segments.valid & np.isnan(segments.values)))
        self.series.update(_texts(segments.columns, "series_id"))
        if finite.size:
            low, high = float(finite.min()), float(finite.max())
            self.minimum = low if self.minimum is None else min(self.minimum, low)
            self.maximum = high if self.maximum is None else max(self.maximum, high)


@dataclass
class WrittenTable:
    """The files of one table, and what was counted while writing them."""

    schema: TableSchema
    files: list[ReleaseFile] = field(default_factory=list)
    metrics: dict[str, MetricSums] = field(default_factory=dict)
    native: dict[str, NativeSums] = field(default_factory=dict)
    """Of the metrics that have native histograms, these alone."""
    entities: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    @property
    def rows(self) -> int:
        """All rows that have a value."""
        return sum(sums.rows for sums in self.metrics.values())

    @property
    def native_rows(self) -> int:
        """All rows that have a native histogram."""
        return sum(sums.rows for sums in self.native.values())

    @property
    def series(self) -> int:
        """All series that have values."""
        return sum(len(sums.series) for sums in self.metrics.values())

    @property
    def all_series(self) -> int:
        """All series, those of both kinds once."""
        found: dict[str, set[str]] = {name: sums.series for name, sums in self.metrics.items()}
        return sum(
            len(found.get(name, set()) | self.native.get(name, NativeSums()).series)
            for name in {**found, **self.native}
        )


def write_release_table(
    schema: TableSchema,
    commits: Sequence[CommitRecord],
    *,
    store: Store,
    cache: Path,
    root: Path,
    hide: Callable[[pa.RecordBatch], pa.RecordBatch],
) -> WrittenTable:
    """Merge the committed runs of a table into one sorted file per metric and day below ``root``.

    ``hide`` takes the label columns of a run's series and returns what may be shown of them.
    """
    written = WrittenTable(schema)
    by_day: dict[dt.date, list[CommitRecord]] = defaultdict(list)
    for commit in sorted(commits, key=lambda record: record.window.start):
        by_day[commit.window.start.date()].append(commit)
    index: list[pa.RecordBatch] = []
    for metric in sorted(schema.metrics, key=lambda each: each.name):
        interval_ms = _common_interval(commits, metric.name)
        sums = MetricSums()
        for day, records in sorted(by_day.items()):
            _add_native(written, metric, day, _fetch(records, "native", store, cache), root, hide)
            paths = _fetch(records, "float", store, cache)
            parts = [replace(part, columns=hide(part.columns)) for part in read_segments(paths, schema, metric.name)]
            if not parts:
                continue
            segments = sort_segments(concat_segments(parts), schema)
            file = _write_data(segments, schema, metric, day, root)
            written.files.append(file)
            sums.add(segments)
            _add_entities(written, segments.columns)
            index.append(_index_series(segments, schema, metric, file.path, interval_ms))
        if sums.rows:
            written.metrics[metric.name] = sums
    if index:
        written.files.append(_write_index(index, schema, root))
    return written


def _fetch(records: Sequence[CommitRecord], form: str, store: Store, cache: Path) -> list[Path]:
    return [fetch_verified(store, file, cache) for record in records for file in record.files if file.form == form]


def _add_entities(written: WrittenTable, columns: pa.RecordBatch) -> None:
    for column in written.schema.labels:
        if column.identity:
            written.entities[column.name].update(_texts(columns, column.name))


def _add_native(
    written: WrittenTable,
    metric: Metric,
    day: dt.date,
    paths: Sequence[Path],
    root: Path,
    hide: Callable[[pa.RecordBatch], pa.RecordBatch],
) -> None:
    """Write the native histograms of one metric and day, if there are any."""
    made = write_native_day(paths, written.schema, metric.name, day, root, hide=hide)
    if made is None:
        return
    facts = {"rows": made.rows, "table": native_name(written.schema.table), "metric": metric.name, "date": day}
    times = {"min_timestamp": from_ms(made.first_ms), "max_timestamp": from_ms(made.last_ms)}
    written.files.append(describe_file(root, made.path, "native", **facts, **times))
    sums = written.native.setdefault(metric.name, NativeSums())
    sums.rows += made.rows
    sums.series.update(_texts(made.columns, "series_id"))
    _add_entities(written, made.columns)


def describe_file(root: Path, path: str, role: str, **facts: Any) -> ReleaseFile:  # noqa: ANN401 - the model's fields
    """Return the manifest's entry of a finished file."""
    with (root / path).open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return ReleaseFile(path=path, role=role, bytes=(root / path).stat().st_size, sha256=sha256, **facts)


def _write_data(segments: Segments, schema: TableSchema, metric: Metric, day: dt.date, root: Path) -> ReleaseFile:
    path = data_path(schema.table, metric.name, day, 0)
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    columns = data_schema(schema)
    encoding = choose_value_encoding(segments.values)
    with open_writer(root / path, columns, value_encoding=encoding) as writer:
        for batch in expand_row_groups(segments, columns, {}):
            writer.write_batch(batch)
    return describe_file(
        root,
        path,
        "data",
        rows=segments.rows,
        table=schema.table,
        metric=metric.name,
        date=day,
        min_timestamp=from_ms(int(segments.timestamps.min())),
        max_timestamp=from_ms(int(segments.timestamps.max())),
    )


def _index_series(
    segments: Segments, schema: TableSchema, metric: Metric, path: str, interval_ms: int | None
) -> pa.RecordBatch:
    """Return one row per series of a file: what it is, and which row group to fetch for it."""
    ends = np.cumsum(segments.lengths)
    starts = ends - segments.lengths
    first_of = np.flatnonzero(_new_series(segments))
    last_of = np.append(first_of[1:], len(ends)) - 1
    count = len(first_of)
    wanted = series_schema(schema)
    given: dict[str, Any] = {
        "metric": pa.array([metric.name] * count),
        "type": pa.array([metric.type] * count),
        "unit": pa.array([metric.unit] * count),
        "first_timestamp": pa.array(segments.timestamps[starts[first_of]]),
        "last_timestamp": pa.array(segments.timestamps[ends[last_of] - 1]),
        "rows": pa.array(ends[last_of] - starts[first_of]),
        "interval_ms": pa.array([interval_ms] * count, pa.int32()),
        "path": pa.array([path] * count),
        "row_group": pa.array(starts[first_of] // ROW_GROUP_ROWS, pa.int32()),
    }
    at: Any = pa.array(first_of)
    arrays = [
        given[name].cast(wanted.field(name).type) if name in given else segments.columns.column(name).take(at)
        for name in wanted.names
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=wanted)


def _new_series(segments: Segments) -> "np.ndarray[Any, np.dtype[np.bool_]]":
    """Return, for each segment, whether it begins a series or a series goes on under other labels."""
    changed = np.zeros(len(segments.lengths), dtype=np.bool_)
    changed[0] = True
    for column in segments.columns.columns:
        encoded: Any = column.dictionary_encode(null_encoding="encode")
        codes = encoded.indices.to_numpy()
        changed[1:] |= codes[1:] != codes[:-1]
    return changed


def _write_index(index: Sequence[pa.RecordBatch], schema: TableSchema, root: Path) -> ReleaseFile:
    path = series_path(schema.table)
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_batches(index)
    write_table(root / path, table)
    return describe_file(root, path, "series", rows=table.num_rows, table=schema.table)


def _texts(columns: pa.RecordBatch, name: str) -> set[str]:
    return {text for text in columns.column(name).unique().to_pylist() if text is not None}


def _common_interval(commits: Sequence[CommitRecord], metric: str) -> int | None:
    found = [m.interval_ms for record in commits for m in record.coverage if m.metric == metric and m.interval_ms]
    return max(sorted(set(found)), key=found.count) if found else None
