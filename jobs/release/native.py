"""Write the native histograms of one table of a release: committed runs in, one sorted file per metric and day out.

Histograms are large, so runs are merged as they are read: of each only one row group is held, beside its series.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jobs.parquet import ROW_GROUP_ROWS, build_group, open_writer, sort_rows
from jobs.release.layout import data_path
from jobs.release.staged import groups_of, series_starts
from schemas.errors import StoreError
from schemas.native import VALUE_COLUMNS, VALUE_FIELDS, native_name, native_schema
from schemas.table import TableSchema

GROUP_BUCKETS: Final = 1 << 20
"""A row group ends early when it has so many buckets: 8 MB of them."""
_FLAT: Final = ["timestamp", *(each.name for each in VALUE_FIELDS)]


@dataclass
class NativeSums:
    """What is counted over the files of one metric."""

    rows: int = 0
    series: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class WrittenNative:
    """One file: where it lies and what is in it. ``columns`` has a row for each series and label set."""

    path: str
    rows: int
    first_ms: int
    last_ms: int
    columns: pa.RecordBatch = field(repr=False)


def write_native_day(
    paths: Sequence[Path],
    schema: TableSchema,
    metric: str,
    day: dt.date,
    root: Path,
    *,
    hide: Callable[[pa.RecordBatch], pa.RecordBatch],
) -> WrittenNative | None:
    """Merge the staged files of one day, in the order of their windows, into one; ``None`` if none has the metric."""
    runs = [run for path in paths if (run := _open_run(path, schema, metric)) is not None]
    if not runs:
        return None
    columns = (
        pa.Table.from_batches([hide(run.columns) for run in runs]).unify_dictionaries().combine_chunks().to_batches()[0]
    )
    lengths = np.concatenate([run.lengths for run in runs])
    owners = np.repeat(np.arange(len(runs)), [len(run.lengths) for run in runs])
    order = sort_rows(columns, schema)
    _check_order(order, owners)
    path = data_path(native_name(schema.table), metric, day, 0)
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    wanted = native_schema(schema)
    first_ms, last_ms = 1 << 62, -(1 << 62)
    with open_writer(root / path, wanted) as writer:
        for group in _merge(runs, order, owners, lengths):
            times: Any = group.values.column("timestamp").combine_chunks().cast(pa.int64())
            first_ms, last_ms = min(first_ms, pc.min(times).as_py()), max(last_ms, pc.max(times).as_py())
            values: dict[str, Any] = {name: group.values.column(name).combine_chunks() for name in _FLAT}
            at: Any = pa.array(group.segments)
            writer.write_batch(build_group(columns.take(at), group.lengths, values, wanted, {}))
    return WrittenNative(path, int(lengths.sum()), first_ms, last_ms, columns)


@dataclass(frozen=True)
class _Run:
    """The rows of one metric in a staged file: ``columns`` and ``lengths`` say whose, ``cursor`` gives them."""

    columns: pa.RecordBatch
    lengths: npt.NDArray[np.int64]
    cursor: "_Cursor"


@dataclass(frozen=True)
class _Group:
    """Rows of one row group: ``segments`` (int64) are the numbers of their series, ``lengths`` how many each has."""

    segments: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    values: pa.Table


class _Cursor:
    """Gives the rows of some row groups one after another; a file is open only while a group is read."""

    def __init__(self, path: Path, groups: Sequence[int]) -> None:
        self._path = path
        self._groups = iter(groups)
        self._rest: pa.Table | None = None

    def take(self, count: int) -> Iterator[pa.Table]:
        """Yield the next ``count`` rows, in pieces."""
        while count:
            if self._rest is None or not self._rest.num_rows:
                with pq.ParquetFile(self._path) as file:
                    self._rest = file.read_row_group(next(self._groups), columns=_FLAT)
            piece = self._rest.slice(0, count)
            self._rest = self._rest.slice(piece.num_rows)
            count -= piece.num_rows
            yield piece


def _open_run(path: Path, schema: TableSchema, metric: str) -> _Run | None:
    wanted = [each for each in native_schema(schema) if each.name not in ("timestamp", *VALUE_COLUMNS)]
    with pq.ParquetFile(path, read_dictionary=[each.name for each in wanted if pa.types.is_string(each.type)]) as file:
        groups = groups_of(file, metric)
        if not groups:
            return None
        present = [each.name for each in wanted if each.name in file.schema_arrow.names]
        rows = file.read_row_groups(groups, columns=present).unify_dictionaries().combine_chunks()
    starts, lengths = series_starts(rows)
    at: Any = pa.array(starts)
    columns: list[Any] = [
        rows.column(each.name).take(at).combine_chunks() if each.name in present else pa.nulls(len(starts), each.type)
        for each in wanted
    ]
    plain = [column.cast(each.type) for column, each in zip(columns, wanted, strict=True)]
    return _Run(pa.RecordBatch.from_arrays(plain, schema=pa.schema(wanted)), lengths, _Cursor(path, groups))


def _check_order(order: npt.NDArray[np.int64], owners: npt.NDArray[np.intp]) -> None:
    """Raise ``StoreError`` unless each run's own segments are wanted in the order in which they stand."""
    by_run = order[np.argsort(owners[order], kind="stable")]
    if not bool((by_run[1:] > by_run[:-1]).all()):
        raise StoreError("a staged file of native histograms is not sorted as its table's schema says")


def _merge(
    runs: Sequence[_Run],
    order: npt.NDArray[np.int64],
    owners: npt.NDArray[np.intp],
    lengths: npt.NDArray[np.int64],
) -> Iterator[_Group]:
    """Yield the rows of all runs in the order of their segments, a row group at a time."""
    gathered: list[tuple[int, pa.Table]] = []
    rows = buckets = 0
    for segment in order.tolist():
        for piece in runs[owners[segment]].cursor.take(int(lengths[segment])):
            rest = piece
            while rest.num_rows:
                part = rest.slice(0, ROW_GROUP_ROWS - rows)
                rest = rest.slice(part.num_rows)
                gathered.append((segment, part))
                rows += part.num_rows
                buckets += _count_buckets(part)
                if rows == ROW_GROUP_ROWS or buckets >= GROUP_BUCKETS:
                    yield _join(gathered)
                    gathered, rows, buckets = [], 0, 0
    if gathered:
        yield _join(gathered)


def _count_buckets(part: pa.Table) -> int:
    sides = (pc.list_value_length(part.column(name)) for name in ("positive_counts", "negative_counts"))
    return sum(int(pc.sum(lengths).as_py() or 0) for lengths in sides)


def _join(gathered: Sequence[tuple[int, pa.Table]]) -> _Group:
    """Return the pieces as one group; its values do not hold the row groups that they were cut from."""
    segments = np.array([segment for segment, _ in gathered], dtype=np.int64)
    lengths = np.array([part.num_rows for _, part in gathered], dtype=np.int64)
    return _Group(segments, lengths, pa.concat_tables([part for _, part in gathered]).combine_chunks())
