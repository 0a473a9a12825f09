"""Write the samples of one table of a release: committed runs in, sorted files of one metric and day out."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.layout import data_path
from jobs.parquet import ROW_GROUP_ROWS, Segments, build_row_group, choose_value_encoding, open_writer
from jobs.release.merge import Hide, Instants, Merge, begins_series, plan_merge, show_plain
from schemas.arrow import data_schema
from schemas.table import TableSchema

PART_ROWS: Final = 30_000_000
"""A day of a metric with more rows is cut, between two series, into parts of at most so many: some 60 MB each."""


@dataclass
class ValueSums:
    """What is counted of the values of some rows."""

    rows: int = 0
    nulls: int = 0
    nans: int = 0
    minimum: float | None = None
    maximum: float | None = None

    def add(self, values: npt.NDArray[np.float64], valid: npt.NDArray[np.bool_]) -> None:
        """Count some rows."""
        finite = values[valid & np.isfinite(values)]
        self.rows += len(values)
        self.nulls += int(np.count_nonzero(~valid))
        self.nans += int(np.count_nonzero(valid & np.isnan(values)))
        if finite.size:
            low, high = float(finite.min()), float(finite.max())
            self.minimum = low if self.minimum is None else min(self.minimum, low)
            self.maximum = high if self.maximum is None else max(self.maximum, high)


@dataclass(frozen=True)
class WrittenPart:
    """One file: where it lies and what is in it.

    ``columns`` has a row for each series and label set, in order; ``starts`` says at which row of the file each
    begins, ``lengths`` how many it has, ``first_ms`` and ``last_ms`` when its first and last one are: int64.
    """

    path: str
    columns: pa.RecordBatch = field(repr=False)
    starts: npt.NDArray[np.int64] = field(repr=False)
    lengths: npt.NDArray[np.int64] = field(repr=False)
    first_ms: npt.NDArray[np.int64] = field(repr=False)
    last_ms: npt.NDArray[np.int64] = field(repr=False)

    @property
    def rows(self) -> int:
        """All rows."""
        return int(self.lengths.sum())


def write_float_day(
    paths: Sequence[Path],
    schema: TableSchema,
    metric: str,
    day: dt.date,
    root: Path,
    *,
    sums: ValueSums,
    hide: Hide,
    scratch: Path,
    shift_ms: int = 0,
) -> Iterator[WrittenPart]:
    """Merge the staged files of one day, in the order of their windows, into one file, or several for very many rows.

    ``day`` is that of the staged timestamps with ``shift_ms`` added. Raise ``StoreError`` when a series has an instant
    twice.
    """
    fields = [each for each in data_schema(schema) if each.name not in ("timestamp", "value")]
    flat = ("timestamp", "value")
    merge = plan_merge(paths, schema, metric, fields=fields, flat=flat, hide=hide, scratch=scratch, shift_ms=shift_ms)
    if merge is None:
        return
    begins = np.flatnonzero(begins_series(merge.columns))
    for number, (first, last) in enumerate(cut_parts(merge.lengths, begins, most=PART_ROWS)):
        own = begins[(begins >= first) & (begins < last)] - first
        path = data_path(schema.table, metric, day, number)
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        yield _write_part(merge, slice(first, last), own, schema, root, path, sums)


def cut_parts(lengths: npt.NDArray[np.int64], begins: npt.NDArray[np.int64], *, most: int) -> Iterator[tuple[int, int]]:
    """Yield the first and the last but one segment of each part: whole series, together at most ``most`` rows. Pure.

    ``begins`` are the segments with which a series begins. A series that has more is a part by itself.

    >>> list(cut_parts(np.array([2, 2, 3, 9, 1]), np.array([0, 2, 3, 4]), most=7))
    [(0, 3), (3, 4), (4, 5)]
    """
    before = (np.cumsum(lengths) - lengths)[begins]
    total, at = int(lengths.sum()), 0
    while at < len(begins):
        fits = total <= before[at] + most
        until = len(begins) if fits else max(at + 1, int(np.searchsorted(before, before[at] + most, side="right")) - 1)
        yield int(begins[at]), int(begins[until]) if until < len(begins) else len(lengths)
        at = until


def _write_part(
    merge: Merge,
    part: slice,
    begins: npt.NDArray[np.int64],
    schema: TableSchema,
    root: Path,
    path: str,
    sums: ValueSums,
) -> WrittenPart:
    columns = merge.columns.slice(part.start, part.stop - part.start)
    lengths, owners, wanted = merge.lengths[part], merge.owners[part], data_schema(schema)
    ends = np.cumsum(lengths)
    rows = int(ends[-1])
    firsts = (ends - lengths)[begins]
    lasts = np.append(firsts[1:], rows) - 1
    first_ms, last_ms = np.zeros_like(firsts), np.zeros_like(firsts)
    numbers, instants = np.searchsorted(begins, np.arange(len(lengths)), side="right"), Instants(path)
    writer: pq.ParquetWriter | None = None
    try:
        for begin in range(0, rows, ROW_GROUP_ROWS):
            stop = min(begin + ROW_GROUP_ROWS, rows)
            first = int(np.searchsorted(ends, begin, side="right"))
            last = int(np.searchsorted(ends, stop, side="left")) + 1
            counts = np.minimum(ends[first:last], stop) - np.maximum((ends - lengths)[first:last], begin)
            group = _to_segments(
                show_plain(columns.slice(first, last - first)), counts, merge.take(owners[first:last], counts)
            )
            for edges, found in ((firsts, first_ms), (lasts, last_ms)):
                here = slice(*np.searchsorted(edges, (begin, stop)))
                found[here] = group.timestamps[edges[here] - begin]
            instants.check(group.timestamps, np.repeat(numbers[first:last], counts))
            sums.add(group.values, group.valid)
            if writer is None:
                writer = open_writer(root / path, wanted, value_encoding=choose_value_encoding(group.values))
            writer.write_batch(build_row_group(group, wanted, {}))
    finally:
        if writer:
            writer.close()
    return WrittenPart(path, columns.take(begins), firsts, lasts - firsts + 1, first_ms, last_ms)


def _to_segments(columns: pa.RecordBatch, lengths: npt.NDArray[np.int64], rows: pa.Table) -> Segments:
    values: Any = rows.column("value").combine_chunks()
    timestamps: Any = rows.column("timestamp").combine_chunks()
    return Segments(
        columns,
        lengths,
        timestamps.cast(pa.int64()).to_numpy(),
        values.to_numpy(zero_copy_only=False),
        values.is_valid().to_numpy(zero_copy_only=False),
    )
