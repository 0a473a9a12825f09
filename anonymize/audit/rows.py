"""The rows of a release: on the grid, in the span, in order, each once, with values as their treatment leaves them."""

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from anonymize.audit.findings import Finding
from anonymize.audit.groups import GroupAudit
from anonymize.audit.histograms import check_histograms, count_strange_nans
from anonymize.audit.subject import ROWS, Subject, parent_table
from anonymize.audit.treated import count_untreated
from schemas.manifest import ReleaseFile
from schemas.native import VALUE_COLUMNS

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
    values = VALUE_COLUMNS if file.role == "native" else {"value"}
    keys = [name for name in pq.read_schema(path).names if name not in values]
    rows = pq.read_table(path, columns=keys, partitioning=None)
    subject.rows += rows.num_rows
    if rows.num_rows != file.rows:
        yield Finding(file.path, "row-count-differs-from-manifest")
    stamps: Any = rows.column("timestamp").combine_chunks()
    times = stamps.cast(pa.int64()).to_numpy()
    yield from _check_times(subject, file, times)
    yield from _check_time_order(file, rows, times)
    schema, _ = subject.tables[parent_table(file) or ""]
    if unsorted := _count_unsorted(rows, (*schema.sort_key, "series_id")):
        yield Finding(file.path, "not-sorted", unsorted)
    if file.role == "native":
        yield from (Finding(file.path, code, count) for code, count in check_histograms(path))
        return
    column: Any = pq.read_table(path, columns=["value"], partitioning=None).column("value").combine_chunks()
    if strange := count_strange_nans(column):
        yield Finding(file.path, "nan-payload", strange)
    treatment = next((metric.value for metric in schema.metrics if metric.name == file.metric), None)
    if treatment is None:
        yield Finding(f"file of role {file.role}", "unknown-metric")
    elif untreated := count_untreated(treatment, column.drop_null().to_numpy()):
        yield Finding(file.path, "value-not-treated", untreated)


def _check_times(subject: Subject, file: ReleaseFile, times: npt.NDArray[np.int64]) -> Iterator[Finding]:
    manifest = subject.manifest
    if off := int(np.count_nonzero(times % manifest.step_ms)):
        yield Finding(file.path, "timestamp-off-grid", off)
    start, end = manifest.start.timestamp() * 1000, manifest.end.timestamp() * 1000
    if outside := int(np.count_nonzero((times < start) | (times >= end))):
        yield Finding(file.path, "timestamp-outside-release", outside)
    days = set(np.unique(times // _DAY_MS).tolist())
    if file.date is None or days != {(file.date - date(1970, 1, 1)).days}:
        yield Finding(file.path, "rows-of-another-day")
    said = [round(each.timestamp() * 1000) if each else None for each in (file.min_timestamp, file.max_timestamp)]
    if len(times) and said != [int(times.min()), int(times.max())]:
        yield Finding(file.path, "times-differ-from-manifest")


def _check_time_order(file: ReleaseFile, rows: pa.Table, times: npt.NDArray[np.int64]) -> Iterator[Finding]:
    """Time grows along a series with its labels; a series under other labels may stand elsewhere, once."""
    same = np.ones(max(len(times) - 1, 0), dtype=np.bool_)
    series = np.zeros(0, dtype=np.int64)
    for name in rows.schema.names:
        if name != "timestamp":
            encoded: Any = rows.column(name).combine_chunks().dictionary_encode(null_encoding="encode")
            codes = encoded.indices.to_numpy()
            same &= codes[1:] == codes[:-1]
            series = codes if name == "series_id" else series
    if backward := int(np.count_nonzero(same & (times[1:] <= times[:-1]))):
        yield Finding(file.path, "not-in-order-of-time", backward)
    order = np.lexsort((times, series))
    again = (np.diff(series[order]) == 0) & (np.diff(times[order]) == 0)
    if doubled := int(np.count_nonzero(again)):
        yield Finding(file.path, "sample-twice", doubled)


def _count_unsorted(rows: pa.Table, keys: Sequence[str], *, within: str | None = None) -> int:
    """Return how many rows follow one that sorts after them, null being the last: order may tell what tokens hide."""
    equal = np.ones(max(rows.num_rows - 1, 0), dtype=np.bool_)
    if within:
        encoded: Any = rows.column(within).combine_chunks().dictionary_encode()
        equal = np.diff(encoded.indices.to_numpy()) == 0
    unsorted = 0
    for name in keys:
        encoded = rows.column(name).combine_chunks().dictionary_encode()
        order = pc.sort_indices(encoded.dictionary).to_numpy()
        places = np.empty(len(order) + 1, dtype=np.int64)
        places[order] = np.arange(len(order))
        places[-1] = len(order)
        step = np.diff(places[encoded.indices.fill_null(len(order)).to_numpy()])
        unsorted += int(np.count_nonzero(equal & (step < 0)))
        equal &= step == 0
    return unsorted


def _check_index(subject: Subject, file: ReleaseFile, path: Path) -> Iterator[Finding]:
    schema, _ = subject.tables[file.table or ""]
    keys = (*schema.sort_key, "series_id")
    rows = pq.read_table(path, columns=["path", *keys], partitioning=None)
    if unsorted := _count_unsorted(rows, keys, within="path"):
        yield Finding(file.path, "not-sorted", unsorted)
    own = {each.path for each in subject.manifest.files if each.role == "data" and each.table == file.table}
    if own != set(rows.column("path").unique().to_pylist()):
        yield Finding(file.path, "index-names-other-files")
