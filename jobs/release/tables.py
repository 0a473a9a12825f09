"""Write the data files and the series index of one table of a release, day by day, metric by metric."""

import datetime as dt
import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypedDict

import pyarrow as pa

from jobs.layout import series_path
from jobs.release.distinct import Distinct
from jobs.release.floats import ValueSums, WrittenPart, write_float_day
from jobs.release.index import SeriesIndex
from jobs.release.merge import Hide
from jobs.release.native import NativeSums, WrittenNative, write_native_day
from jobs.release.staged import fetch_verified, metrics_in
from jobs.store import Store
from schemas.commit import CommitRecord
from schemas.manifest import ReleaseFile
from schemas.native import native_name
from schemas.table import Metric, TableSchema
from schemas.windows import from_ms


@dataclass
class MetricSums(ValueSums):
    """What is summed over the files of one metric."""

    series: int = 0


@dataclass
class WrittenTable:
    """The files of one table, and what was counted while writing them."""

    schema: TableSchema
    files: list[ReleaseFile] = field(default_factory=list)
    metrics: dict[str, MetricSums] = field(default_factory=dict)
    native: dict[str, NativeSums] = field(default_factory=dict)
    """Of the metrics that have native histograms, these alone."""
    series_of: dict[str, int] = field(default_factory=dict)
    """Metric to its series, those of both kinds once."""
    entities: dict[str, int] = field(default_factory=dict)
    """Identity column to the number of its different tokens."""

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
        return sum(sums.series for sums in self.metrics.values())

    @property
    def all_series(self) -> int:
        """All series, those of both kinds once."""
        return sum(self.series_of.values())


class _Told(TypedDict):
    """What both kinds of rows are written with."""

    hide: Hide
    scratch: Path
    shift_ms: int


def write_release_table(
    schema: TableSchema,
    commits: Sequence[CommitRecord],
    *,
    store: Store,
    cache: Path,
    root: Path,
    hide: Hide,
    shift_ms: int = 0,
) -> WrittenTable:
    """Merge the committed runs of a table into sorted files, one or more for each metric and day, below ``root``.

    ``hide`` takes the label columns of a run's series and returns what may be shown of them. ``shift_ms`` is added to
    the staged timestamps, as it was to the commits. The staged files are fetched into ``cache`` and removed from there
    when the table is done.
    """
    written, staged = WrittenTable(schema), StagedFiles(store, cache)
    by_day: dict[dt.date, list[CommitRecord]] = defaultdict(list)
    for commit in sorted(commits, key=lambda record: record.window.start):
        by_day[commit.window.start.date()].append(commit)
    entities: dict[str, Distinct] = {column.name: Distinct() for column in schema.labels if column.identity}
    with SeriesIndex(schema, root) as index:
        for metric in sorted(schema.metrics, key=lambda each: each.name):
            interval_ms = _common_interval(commits, metric.name)
            sums, native_sums = MetricSums(), NativeSums()
            series, native_series = Distinct(), Distinct()
            for day, records in sorted(by_day.items()):
                with TemporaryDirectory(dir=cache) as folder:
                    told: _Told = {"hide": hide, "scratch": Path(folder), "shift_ms": shift_ms}
                    paths = staged.fetch(records, "native", metric.name)
                    made = write_native_day(paths, schema, metric.name, day, root, **told)
                    if made:
                        written.files.append(_describe_native(made, schema, metric, day, root))
                        native_sums.rows += made.rows
                        _count(made.columns, native_series, entities)
                    paths = staged.fetch(records, "float", metric.name)
                    for part in write_float_day(paths, schema, metric.name, day, root, sums=sums, **told):
                        written.files.append(_describe_part(part, schema, metric, day, root))
                        _count(part.columns, series, entities)
                        index.add_part(part, metric, interval_ms)
            if sums.rows:
                sums.series = len(series)
                written.metrics[metric.name] = sums
            if native_sums.rows:
                native_sums.series = len(native_series)
                written.native[metric.name] = native_sums
            written.series_of[metric.name] = series.count_with(native_series)
    if index.rows:
        written.files.append(
            describe_file(root, series_path(schema.table), "series", rows=index.rows, table=schema.table)
        )
    written.entities = {name: len(tokens) for name, tokens in entities.items()}
    for path in staged.metrics:
        path.unlink(missing_ok=True)
    return written


def describe_file(root: Path, path: str, role: str, **facts: Any) -> ReleaseFile:  # noqa: ANN401 - the model's fields
    """Return the manifest's entry of a finished file."""
    with (root / path).open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return ReleaseFile(path=path, role=role, bytes=(root / path).stat().st_size, sha256=sha256, **facts)


def _describe_part(part: WrittenPart, schema: TableSchema, metric: Metric, day: dt.date, root: Path) -> ReleaseFile:
    facts = {"rows": part.rows, "table": schema.table, "metric": metric.name, "date": day}
    first, last = from_ms(int(part.first_ms.min())), from_ms(int(part.last_ms.max()))
    return describe_file(root, part.path, "data", **facts, min_timestamp=first, max_timestamp=last)


def _describe_native(made: WrittenNative, schema: TableSchema, metric: Metric, day: dt.date, root: Path) -> ReleaseFile:
    facts = {"rows": made.rows, "table": native_name(schema.table), "metric": metric.name, "date": day}
    first, last = from_ms(made.first_ms), from_ms(made.last_ms)
    return describe_file(root, made.path, "native", **facts, min_timestamp=first, max_timestamp=last)


def _count(columns: pa.RecordBatch, series: Distinct, entities: Mapping[str, Distinct]) -> None:
    series.add(columns.column("series_id"))
    for name, tokens in entities.items():
        tokens.add(columns.column(name))


@dataclass
class StagedFiles:
    """The staged files of a table, fetched when they are wanted for the first time."""

    store: Store
    cache: Path
    metrics: dict[Path, frozenset[str]] = field(default_factory=dict)

    def fetch(self, records: Sequence[CommitRecord], form: str, metric: str) -> list[Path]:
        """Return the local files of some windows that have rows of a metric in that form."""
        found = []
        for file in (file for record in records for file in record.files if file.form == form):
            path = fetch_verified(self.store, file, self.cache)
            if path not in self.metrics:
                self.metrics[path] = metrics_in(path)
            if metric in self.metrics[path]:
                found.append(path)
        return found


def _common_interval(commits: Sequence[CommitRecord], metric: str) -> int | None:
    found = [m.interval_ms for record in commits for m in record.coverage if m.metric == metric and m.interval_ms]
    return max(sorted(set(found)), key=found.count) if found else None
