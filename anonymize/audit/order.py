"""The order of a file's rows, row group by row group: sorted by tokens, each series forward in time, each sample once.

Order could tell what tokens hide. Memory holds a row group, and three numbers for each run of rows of one series.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

Ints = npt.NDArray[np.int64]


def read_groups(path: Path, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Yield some columns of a file, row group by row group; strings come encoded."""
    with pq.ParquetFile(path, read_dictionary=list(columns)) as file:
        for number in range(file.num_row_groups):
            yield file.read_row_group(number, columns=list(columns))


class RowOrder:
    """Takes the row groups of one file: ``timestamp``, ``series_id`` and labels. It is sorted by ``keys``."""

    def __init__(self, keys: Sequence[str]) -> None:
        self.unsorted = 0
        """Rows that follow one which sorts after them, null being the last."""
        self.backward = 0
        """Rows of a series with the same labels that are no later than the one before."""
        self._keys = keys
        self._last: pa.Table | None = None
        self._repeated: list[Ints] = []
        self._runs: list[tuple[Ints, Ints, Ints]] = []

    def add(self, rows: pa.Table) -> None:
        """Take the next row group."""
        if not rows.num_rows:
            return
        begin = 0 if self._last is None else 1
        joined = rows if self._last is None else pa.concat_tables([self._last, rows])
        joined = joined.unify_dictionaries().combine_chunks()
        self._last = joined.slice(joined.num_rows - 1)
        self.unsorted += count_unsorted(joined, self._keys)
        times = to_ms(joined)
        same = np.ones(max(len(times) - 1, 0), dtype=np.bool_)
        for name in joined.schema.names:
            if name != "timestamp":
                same &= np.diff(_codes(joined.column(name))) == 0
        self.backward += int(np.count_nonzero(same & (np.diff(times) <= 0)))
        series = name_series(joined)
        self._repeated.append(np.unique(series[1:][same & (np.diff(times) == 0)]))
        starts = np.flatnonzero(np.concatenate(([True], ~same[begin:]))) + begin  # runs end where a row group does
        ends = np.append(starts[1:], len(times)) - 1
        self._runs.append((series[starts], times[starts], times[ends]))

    def find_suspects(self) -> Ints:
        """Return the numbers of the series that may have a sample twice: two of their runs share some time."""
        if not self._runs:
            return np.zeros(0, dtype=np.int64)
        series, first, last = (np.concatenate(part) for part in zip(*self._runs, strict=True))
        order = np.lexsort((first, series))
        series, first, last = series[order], first[order], last[order]
        overlap = (series[1:] == series[:-1]) & (first[1:] <= last[:-1])
        return np.unique(np.concatenate([series[1:][overlap], *self._repeated]))


def count_doubled(path: Path, suspects: Ints) -> int:
    """Return how many samples of some series stand in a file once more than they should."""
    if not len(suspects):
        return 0
    found: list[tuple[Ints, Ints]] = []
    for rows in read_groups(path, ("timestamp", "series_id")):
        series = name_series(rows)
        wanted = np.isin(series, suspects)
        found.append((series[wanted], to_ms(rows)[wanted]))
    series, times = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.lexsort((times, series))
    return int(np.count_nonzero((np.diff(series[order]) == 0) & (np.diff(times[order]) == 0)))


def count_unsorted(rows: pa.Table, keys: Sequence[str], *, within: str | None = None) -> int:
    """Return how many rows follow one that sorts after them, null being the last; ``within`` starts the order anew."""
    equal = np.ones(max(rows.num_rows - 1, 0), dtype=np.bool_)
    if within:
        equal = np.diff(_codes(rows.column(within))) == 0
    unsorted = 0
    for name in keys:
        encoded = encode(rows.column(name))
        order = pc.sort_indices(encoded.dictionary).to_numpy()
        places = np.empty(len(order) + 1, dtype=np.int64)
        places[order] = np.arange(len(order))
        places[-1] = len(order)
        step = np.diff(places[encoded.indices.fill_null(len(order)).to_numpy()])
        unsorted += int(np.count_nonzero(equal & (step < 0)))
        equal &= step == 0
    return unsorted


def to_ms(rows: pa.Table) -> Ints:
    """Return the timestamps of rows in milliseconds."""
    stamps: Any = rows.column("timestamp").combine_chunks()
    times: Ints = stamps.cast(pa.int64()).to_numpy()
    return times


def name_series(rows: pa.Table) -> Ints:
    """Return a number for the series of each row, the same in all row groups of this process."""
    encoded = encode(rows.column("series_id"))
    numbers = np.array([hash(name) for name in encoded.dictionary.to_pylist()], dtype=np.int64)
    named: Ints = numbers[encoded.indices.to_numpy()]
    return named


def _codes(column: Any) -> npt.NDArray[np.int32]:  # noqa: ANN401 - any Arrow column
    codes: npt.NDArray[np.int32] = encode(column).indices.fill_null(-1).to_numpy()
    return codes


def encode(column: Any) -> Any:  # noqa: ANN401 - a column, and its dictionary array
    """Return a column as one dictionary array."""
    whole = column.combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        whole = whole.chunk(0) if whole.num_chunks else pa.array([], whole.type)
    return whole if pa.types.is_dictionary(whole.type) else whole.dictionary_encode()
