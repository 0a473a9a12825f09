"""The rows of a release: on the grid, in the span, in order, each once, with values as their treatment leaves them."""

from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from anonymize.audit.findings import Finding
from anonymize.audit.groups import GroupAudit
from anonymize.audit.histograms import check_histograms, count_strange_nans
from anonymize.audit.order import Ints, RowOrder, count_doubled, count_unsorted, read_groups, to_ms
from anonymize.audit.subject import ROWS, Subject, parent_table
from anonymize.audit.treated import count_untreated
from schemas.manifest import Manifest, ReleaseFile
from schemas.native import VALUE_COLUMNS
from schemas.table import TableSchema

_DAY_MS: Final = 86_400_000


def check_rows(subject: Subject) -> Iterator[Finding]:
    """Yield what is wrong with rows and series indexes, file by file."""
    for file, path in subject.parquet_files():
        if file.role not in (*ROWS, "series") or parent_table(file) not in subject.tables:
            continue
        try:
            if file.role == "series":
                yield from _check_index(subject, file, path)
            else:
                yield from _check_file(subject, file, path)
        except (pa.ArrowException, OSError, KeyError, ValueError):
            yield Finding(file.path, "unreadable-rows")


def check_groups(subject: Subject) -> Iterator[Finding]:
    """Yield words that too few share, counted over the whole release."""
    groups = GroupAudit(subject.policy, k=subject.k)
    for file, path in subject.parquet_files():
        schema, _ = subject.tables.get(parent_table(file) or "", (None, None))
        if schema and file.role in ROWS:
            groups.add_rows(path, schema)
        elif schema and file.role == "series":
            groups.add_index(path, file.path, schema)
    yield from groups.findings()


def _check_file(subject: Subject, file: ReleaseFile, path: Path) -> Iterator[Finding]:
    schema, _ = subject.tables[parent_table(file) or ""]
    values = VALUE_COLUMNS if file.role == "native" else {"value"}
    order, times = RowOrder((*schema.sort_key, "series_id")), Times(subject.manifest)
    for rows in read_groups(path, [name for name in pq.read_schema(path).names if name not in values]):
        subject.rows += rows.num_rows
        times.add(to_ms(rows))
        order.add(rows)
    if times.rows != file.rows:
        yield Finding(file.path, "row-count-differs-from-manifest")
    yield from times.findings(file)
    found = {
        "not-in-order-of-time": order.backward,
        "sample-twice": count_doubled(path, order.find_suspects()),
        "not-sorted": order.unsorted,
    }
    found |= dict(check_histograms(path)) if file.role == "native" else _check_values(file, path, schema)
    yield from (Finding(file.path, code, count) for code, count in found.items() if count)


def _check_values(file: ReleaseFile, path: Path, schema: TableSchema) -> Counter[str]:
    found: Counter[str] = Counter()
    treatment = next((metric.value for metric in schema.metrics if metric.name == file.metric), None)
    found["unknown-metric"] = treatment is None
    with pq.ParquetFile(path) as opened:
        for number in range(opened.num_row_groups):
            column: Any = opened.read_row_group(number, columns=["value"]).column("value").combine_chunks()
            found["nan-payload"] += count_strange_nans(column)
            if treatment:
                found["value-not-treated"] += count_untreated(treatment, column.drop_null().to_numpy())
    return found


class Times:
    """What the timestamps of a file are: on the grid, in the span, of one day."""

    def __init__(self, manifest: Manifest) -> None:
        self.rows = 0
        self._step_ms = manifest.step_ms
        self._start, self._end = manifest.start.timestamp() * 1000, manifest.end.timestamp() * 1000
        self._off = self._outside = 0
        self._days: set[int] = set()
        self._seen: list[int] = []

    def add(self, times: Ints) -> None:
        """Take those of some rows, in milliseconds."""
        if len(times):
            self.rows += len(times)
            self._off += int(np.count_nonzero(times % self._step_ms))
            self._outside += int(np.count_nonzero((times < self._start) | (times >= self._end)))
            self._days.update(np.unique(times // _DAY_MS).tolist())
            self._seen += [int(times.min()), int(times.max())]

    def findings(self, file: ReleaseFile) -> Iterator[Finding]:
        """Yield what does not hold, when all were given."""
        if self._off:
            yield Finding(file.path, "timestamp-off-grid", self._off)
        if self._outside:
            yield Finding(file.path, "timestamp-outside-release", self._outside)
        if file.date is None or self._days != {(file.date - date(1970, 1, 1)).days}:
            yield Finding(file.path, "rows-of-another-day")
        said = [round(each.timestamp() * 1000) if each else None for each in (file.min_timestamp, file.max_timestamp)]
        if self._seen and said != [min(self._seen), max(self._seen)]:
            yield Finding(file.path, "times-differ-from-manifest")


def _check_index(subject: Subject, file: ReleaseFile, path: Path) -> Iterator[Finding]:
    schema, _ = subject.tables[file.table or ""]
    keys = (*schema.sort_key, "series_id")
    rows = pq.read_table(path, columns=["path", *keys], partitioning=None)
    if unsorted := count_unsorted(rows, keys, within="path"):
        yield Finding(file.path, "not-sorted", unsorted)
    own = {each.path for each in subject.manifest.files if each.role == "data" and each.table == file.table}
    if own != set(rows.column("path").unique().to_pylist()):
        yield Finding(file.path, "index-names-other-files")
