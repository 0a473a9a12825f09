"""Merge the sorted runs of a metric as they are read: of each its series and one row group are held, whatever its size.

A run is what one staged file has of one metric. What a release does to a run's labels and times happens here, once,
before the runs are put in order: a run that is no longer sorted then is written anew, sorted, into a scratch folder.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jobs.parquet import sort_rows
from jobs.release.staged import groups_of, series_starts
from schemas.errors import StoreError
from schemas.table import TableSchema

Hide = Callable[[pa.RecordBatch], pa.RecordBatch]
"""Takes the label columns of a run's series and returns what may be shown of them."""
HELD_ROWS: Final = 8_000_000
"""Rows of all runs together that are held at once: 16 bytes each. Of many runs, smaller pieces are held."""
_LEAST_ROWS: Final = 1_024
_ENCODED: Final = pa.dictionary(pa.int32(), pa.string())
_Ints = npt.NDArray[np.int64]


class Cursor:
    """Gives the rows of a run one after another; a file is open only while a piece of it is read."""

    def __init__(self, pieces: Iterator[pa.Table]) -> None:
        self._pieces = pieces
        self._rest: pa.Table | None = None

    def take(self, count: int) -> Iterator[pa.Table]:
        """Yield the next ``count`` rows, in pieces; raise ``StoreError`` when there are fewer."""
        while count:
            if self._rest is None or not self._rest.num_rows:
                self._rest = None  # not held while the next one is read
                self._rest = next(self._pieces, None)
                if self._rest is None:
                    raise StoreError("a staged file has fewer rows than its series say")
                continue
            piece = self._rest.slice(0, count)
            self._rest = self._rest.slice(piece.num_rows)
            count -= piece.num_rows
            yield piece


@dataclass(frozen=True)
class Run:
    """The rows of one metric in a staged file.

    ``columns`` (series_id and labels, strings as dictionaries) and ``lengths`` have an entry for each segment: the
    rows of one series. ``cursor`` gives the other columns, in pieces of up to ``piece_rows``.
    """

    columns: pa.RecordBatch = field(repr=False)
    lengths: _Ints = field(repr=False)
    cursor: Cursor
    piece_rows: int


@dataclass(frozen=True)
class Merge:
    """Runs in one order: ``columns``, ``lengths`` and ``owners`` (the number of its run) are those of each segment."""

    runs: Sequence[Run]
    columns: pa.RecordBatch = field(repr=False)
    lengths: _Ints = field(repr=False)
    owners: _Ints = field(repr=False)

    def take(self, owners: _Ints, counts: _Ints) -> pa.Table:
        """Return the next rows of the next segments: ``counts`` of each, whose runs are ``owners``, in their order."""
        totals = np.bincount(owners, weights=counts, minlength=len(self.runs)).astype(np.int64)
        used = np.flatnonzero(totals)
        pieces = [piece for run in used.tolist() for piece in self.runs[run].cursor.take(int(totals[run]))]
        rows = pa.concat_tables(pieces).combine_chunks()
        if len(used) == 1:
            return rows
        by_run = np.argsort(owners, kind="stable")
        stand = np.empty_like(counts)
        stand[by_run] = np.cumsum(counts[by_run]) - counts[by_run]
        return rows.take(np.repeat(stand - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum()))


def plan_merge(
    paths: Sequence[Path],
    schema: TableSchema,
    metric: str,
    *,
    fields: Sequence["pa.Field[Any]"],
    flat: Sequence[str],
    hide: Hide,
    scratch: Path,
    shift_ms: int = 0,
    held_rows: int = HELD_ROWS,
) -> Merge | None:
    """Return the merge of what staged files have of one metric; ``None`` if none has it.

    ``paths`` come in the order of their windows; within a window any order gives the same result. ``fields`` are the
    columns that a series has once, ``flat`` the names of the others. Timestamps become ``shift_ms`` later.
    """
    runs = [run for path in paths if (run := _open_run(path, metric, fields, flat, shift_ms)) is not None]
    if not runs:
        return None
    columns = _join([hide(run.columns) for run in runs])
    lengths = np.concatenate([run.lengths for run in runs])
    owners = np.repeat(np.arange(len(runs), dtype=np.int64), [len(run.lengths) for run in runs])
    order = sort_rows(columns, schema)
    by_run = np.split(order[np.argsort(owners[order], kind="stable")], np.cumsum([len(run.lengths) for run in runs]))
    piece_rows = max(_LEAST_ROWS, held_rows // len(runs))
    is_much = sum(run.piece_rows for run in runs) > held_rows
    first = 0
    for number, run in enumerate(runs):
        wanted, path = by_run[number] - first, scratch / f"{number}.arrow"
        first += len(run.lengths)
        if not bool((wanted[1:] > wanted[:-1]).all()):
            runs[number] = _sort_run(run, wanted, path, piece_rows=piece_rows)
        elif is_much and run.piece_rows > piece_rows:
            runs[number] = _keep_run(run, path, run.cursor.take(int(run.lengths.sum())), piece_rows=piece_rows)
    return Merge(tuple(runs), columns.take(order), lengths[order], owners[order])


def show_plain(columns: pa.RecordBatch) -> pa.RecordBatch:
    """Return the columns with strings as strings: a row group's dictionary has them in the order of its rows."""
    arrays: list[Any] = [
        column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column for column in columns.columns
    ]
    return pa.RecordBatch.from_arrays(arrays, names=columns.schema.names)


def begins_series(columns: pa.RecordBatch) -> npt.NDArray[np.bool_]:
    """Return, for each segment in order, whether it begins a series or a series goes on under other labels."""
    changed = np.zeros(columns.num_rows, dtype=np.bool_)
    changed[:1] = True
    for column in columns.columns:
        encoded: Any = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        codes = encoded.indices.fill_null(-1).to_numpy()
        changed[1:] |= codes[1:] != codes[:-1]
    return changed


@dataclass
class Instants:
    """Sees to it that every series has each instant once, in order: a window that came twice would double it."""

    path: str
    _series: int = -1
    _newest_ms: int = 0

    def check(self, timestamps: _Ints, series: _Ints) -> None:
        """Look at the next rows of a file, and the number of the series of each; raise ``StoreError``."""
        steps = np.diff(timestamps, prepend=self._newest_ms)
        same = np.diff(series, prepend=self._series) == 0
        if bool((same & (steps <= 0)).any()):
            raise StoreError(
                f"staged files have instants of a series twice or out of order, found while {self.path} was written; "
                "wanted each window of a table once"
            )
        self._series, self._newest_ms = int(series[-1]), int(timestamps[-1])


def _open_run(
    path: Path, metric: str, fields: Sequence["pa.Field[Any]"], flat: Sequence[str], shift_ms: int
) -> Run | None:
    texts = [each.name for each in fields if pa.types.is_string(each.type)]
    with pq.ParquetFile(path, read_dictionary=texts) as file:
        groups = groups_of(file, metric)
        if not groups:
            return None
        names = [each.name for each in fields if each.name in file.schema_arrow.names]
        found, counts, most = [], [], 0
        for number in groups:
            rows = file.read_row_group(number, columns=names).unify_dictionaries().combine_chunks()
            starts, lengths = series_starts(rows)
            found.append(rows.take(starts))
            counts.append(lengths)
            most = max(most, rows.num_rows)
    series = pa.concat_tables(found).unify_dictionaries().combine_chunks()
    starts, _ = series_starts(series)  # a series may go on in the next row group
    series = series.take(starts).combine_chunks()
    columns: list[Any] = [
        series.column(each.name).chunk(0) if each.name in names else pa.nulls(len(starts), _encoded(each.type))
        for each in fields
    ]
    return Run(
        pa.RecordBatch.from_arrays(columns, names=[each.name for each in fields]),
        np.add.reduceat(np.concatenate(counts), starts),
        Cursor(_shift(_read_group(path, number, flat), shift_ms) for number in groups),
        most,
    )


def _read_group(path: Path, number: int, names: Sequence[str]) -> pa.Table:
    with pq.ParquetFile(path) as file:
        return file.read_row_group(number, columns=list(names))


def _shift(rows: pa.Table, shift_ms: int) -> pa.Table:
    """Return rows with their timestamps so much later."""
    if not shift_ms:
        return rows
    at, times = rows.schema.get_field_index("timestamp"), rows.column("timestamp")
    moved: Any = pc.add(times.cast(pa.int64()), shift_ms)
    return rows.set_column(at, rows.schema.field(at), moved.cast(times.type))


def _encoded(kind: Any) -> Any:  # noqa: ANN401 - an Arrow type
    return _ENCODED if pa.types.is_string(kind) else kind


def _join(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """Return the batches behind one another, with one dictionary a column."""
    return pa.Table.from_batches(batches).unify_dictionaries().combine_chunks().to_batches()[0]


def _sort_run(run: Run, order: _Ints, path: Path, *, piece_rows: int) -> Run:
    """Return a run with its segments in ``order``. Its rows are in memory meanwhile: those of one staged file."""
    lengths = run.lengths[order]
    moved_by = (np.cumsum(run.lengths) - run.lengths)[order] - (np.cumsum(lengths) - lengths)
    at = np.repeat(moved_by, lengths) + np.arange(lengths.sum())
    rows = pa.concat_tables(run.cursor.take(int(lengths.sum()))).combine_chunks()
    taken = (rows.take(at[begin : begin + piece_rows]) for begin in range(0, len(at), piece_rows))
    return _keep_run(run, path, taken, piece_rows=piece_rows)


def _keep_run(run: Run, path: Path, pieces: Iterator[pa.Table], *, piece_rows: int) -> Run:
    """Return a run that is read from a scratch file in pieces of up to so many rows."""
    writer: pa.RecordBatchFileWriter | None = None
    count = 0
    for piece in pieces:
        writer = writer or pa.ipc.new_file(str(path), piece.schema)
        batches = piece.combine_chunks().to_batches(max_chunksize=piece_rows)
        for batch in batches:
            writer.write_batch(batch)
        count += len(batches)
    assert writer  # noqa: S101 - no run is empty
    writer.close()
    return replace(run, cursor=Cursor(_read_batch(path, number) for number in range(count)), piece_rows=piece_rows)


def _read_batch(path: Path, number: int) -> pa.Table:
    with pa.OSFile(str(path), "r") as file, pa.ipc.open_file(file) as reader:
        return pa.Table.from_batches([reader.get_batch(number)])
