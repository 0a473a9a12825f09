"""How this project writes Parquet: sorted segments in, files out whose every channel holds only what is published.

A segment is a stretch of rows of one series with the same labels: its labels stand once, its samples behind one
another. Dictionaries are built for each row group from the values that occur in it, since Parquet writes a
dictionary page whole; neither the Arrow schema nor any metadata goes into the footer.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.native import FLOAT_LEAVES
from schemas.table import TableSchema

ROW_GROUP_ROWS: Final = 30_000
"""A reader who wants one series of one day fetches one row group; smaller ones cost bytes and footer."""
STAGED_LEVEL: Final = 1
"""The zstd level of staged files: half the time of level 3 for a few hundredths more bytes, but not in releases."""
PLAIN: Final = "PLAIN"
_ENCODINGS: Final = ("dictionary", "BYTE_STREAM_SPLIT", PLAIN)


@dataclass(frozen=True)
class Segments:
    """Sorted or unsorted segments. ``columns`` has a row a segment (series_id and labels); samples are flat.

    ``lengths`` is int64 [segments]; ``timestamps`` int64 (ms), ``values`` float64 and ``valid`` bool have one
    entry for every row, segment after segment, and sum(lengths) in all.
    """

    columns: pa.RecordBatch
    lengths: npt.NDArray[np.int64]
    timestamps: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    valid: npt.NDArray[np.bool_]

    @property
    def rows(self) -> int:
        """How many samples there are."""
        return len(self.timestamps)


def sort_segments(segments: Segments, table: TableSchema) -> Segments:
    """Return the segments by the table's sort key, then series_id; segments of one series keep their order."""
    keys: list[tuple[str, Literal["ascending", "descending"]]] = [
        (name, "ascending") for name in (*table.sort_key, "series_id")
    ]
    order = pc.sort_indices(segments.columns, sort_keys=keys).to_numpy()
    if bool((order[1:] > order[:-1]).all()):
        return segments
    lengths = segments.lengths[order]
    moved_by = (np.cumsum(segments.lengths) - segments.lengths)[order] - (np.cumsum(lengths) - lengths)
    rows = np.repeat(moved_by, lengths)
    rows += np.arange(segments.rows)
    return Segments(
        segments.columns.take(pa.array(order)),
        lengths,
        segments.timestamps[rows],
        segments.values[rows],
        segments.valid[rows],
    )


def sort_rows(columns: pa.RecordBatch, table: TableSchema) -> npt.NDArray[np.int64]:
    """Return the order of series by the table's sort key, then series_id; null comes last. Columns may be encoded."""
    ranks = [_rank(columns.column(name)) for name in (*table.sort_key, "series_id")]
    return np.lexsort(ranks[::-1])


def _rank(column: Any) -> npt.NDArray[np.int64]:  # noqa: ANN401 - any Arrow array
    if not pa.types.is_dictionary(column.type):
        return pc.rank(column, tiebreaker="dense").to_numpy().astype(np.int64)  # null comes last
    places = _places(pc.sort_indices(column.dictionary).to_numpy())
    codes: npt.NDArray[np.int32] = column.indices.fill_null(len(column.dictionary)).to_numpy()
    return places[codes]


def _places(order: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return at which place of an order each entry comes; one more that comes last stands for null."""
    places = np.empty(len(order) + 1, dtype=np.int64)
    places[order] = np.arange(len(order))
    places[-1] = len(order)
    return places


def expand_row_groups(
    segments: Segments, schema: pa.Schema, constants: dict[str, str], *, group_rows: int = ROW_GROUP_ROWS
) -> Iterator[pa.RecordBatch]:
    """Yield sorted segments as batches of one row group each; ``constants`` are columns with one value."""
    ends = np.cumsum(segments.lengths)
    for begin in range(0, segments.rows, group_rows):
        stop = min(begin + group_rows, segments.rows)
        first = int(np.searchsorted(ends, begin, side="right"))
        last = int(np.searchsorted(ends, stop, side="left")) + 1
        counts = np.minimum(ends[first:last], stop) - np.maximum((ends - segments.lengths)[first:last], begin)
        part = Segments(
            segments.columns.slice(first, last - first),
            counts,
            segments.timestamps[begin:stop],
            segments.values[begin:stop],
            segments.valid[begin:stop],
        )
        yield build_row_group(part, schema, constants)


def build_row_group(segments: Segments, schema: pa.Schema, constants: dict[str, str]) -> pa.RecordBatch:
    """Return the rows of some segments, none of them empty, as one row group; strings through dictionaries."""
    mask = None if segments.valid.all() else ~segments.valid
    values = {
        "timestamp": pa.array(segments.timestamps).view(schema.field("timestamp").type),
        "value": pa.array(segments.values, mask=mask),
    }
    return build_group(segments.columns, segments.lengths, values, schema, constants)


def build_group(
    columns: pa.RecordBatch,
    lengths: npt.NDArray[np.int64],
    values: Mapping[str, "pa.Array[Any]"],
    schema: pa.Schema,
    constants: Mapping[str, str],
) -> pa.RecordBatch:
    """Return one row group: the columns of some segments by their lengths, none of them 0, beside flat ``values``."""
    arrays: list[Any] = []
    for field in schema:
        if field.name in values:
            arrays.append(values[field.name])
        elif field.name in constants:
            zeros: Any = pa.array(np.zeros(lengths.sum(), dtype=np.int32))
            arrays.append(pa.DictionaryArray.from_arrays(zeros, pa.array([constants[field.name]]), safe=False))
        else:
            arrays.append(_spread(columns.column(field.name), lengths))
    return pa.RecordBatch.from_arrays(arrays, schema=_encoded(schema))


def _spread(column: Any, lengths: npt.NDArray[np.int64]) -> Any:  # noqa: ANN401 - any Arrow array, same out
    """Repeat a column's values by segment; strings through a sorted dictionary of exactly those that occur.

    As it comes, a dictionary has the order in which the source named things, which is that of their raw names.
    """
    if pa.types.is_string(column.type):
        column = column.dictionary_encode()
    if not pa.types.is_dictionary(column.type):
        return column.take(pa.array(np.repeat(np.arange(len(column), dtype=np.int32), lengths)))
    codes = column.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    used, compact = np.unique(codes, return_inverse=True)
    nulls = bool(len(used)) and used[0] == -1
    if nulls:
        used, compact = used[1:], compact - 1
    values = column.dictionary.take(pa.array(used))
    order = pc.sort_indices(values).to_numpy()
    places = _places(order).astype(np.int32)
    places[-1] = -1  # null
    spread = np.repeat(places[compact], lengths)
    indices: Any = pa.array(spread, mask=spread < 0 if nulls else None)
    return pa.DictionaryArray.from_arrays(indices, values.take(pa.array(order)), safe=False)


def open_writer(path: Path, schema: pa.Schema, *, value_encoding: str = "BYTE_STREAM_SPLIT") -> pq.ParquetWriter:
    """Open a Parquet file for the batches of ``expand_row_groups``: sorted, strings as dictionaries."""
    return pq.ParquetWriter(path, _encoded(schema), **_options(schema, value_encoding))


def open_staged_writer(path: Path, schema: pa.Schema, *, value_encoding: str | None) -> pq.ParquetWriter:
    """Open a staged file: read once, by row groups of one metric, so quick to write and without needless statistics."""
    options = _options(schema, value_encoding or PLAIN) | {
        "compression_level": STAGED_LEVEL,
        "write_page_index": False,
        "max_rows_per_page": 1 << 20,
        "write_statistics": ["metric"],  # those of a dictionary column take as long as writing it
    }
    return pq.ParquetWriter(path, _encoded(schema), **options)


def _encoded(schema: pa.Schema) -> pa.Schema:
    """Return the schema of batches on their way into a file: strings as dictionaries; a reader sees strings."""
    return pa.schema(
        [
            field.with_type(pa.dictionary(pa.int32(), pa.string())) if pa.types.is_string(field.type) else field
            for field in schema
        ]
    )


def _options(schema: pa.Schema, value_encoding: str = "PLAIN") -> dict[str, Any]:
    dictionaries = [field.name for field in schema if pa.types.is_string(field.type)]
    encodings = {field.name: "DELTA_BINARY_PACKED" for field in schema if pa.types.is_timestamp(field.type)}
    if value_encoding == "dictionary":
        dictionaries.append("value")
    elif "value" in schema.names:
        encodings["value"] = value_encoding
    if "positive_counts" in schema.names:  # native histograms: a fifth fewer bytes than plain ones, half of coded ones
        encodings |= dict.fromkeys(FLOAT_LEAVES, "BYTE_STREAM_SPLIT")
    return {
        "compression": "zstd",
        "compression_level": 3,
        "use_dictionary": dictionaries,
        "column_encoding": encodings,
        "store_schema": False,
        "write_page_index": True,
        "write_statistics": True,
    }


def choose_value_encoding(values: npt.NDArray[np.float64], *, level: int = 3) -> str:
    """Return the encoding in which a sample of the values is smallest: counters, gauges and flags differ."""
    schema = pa.schema([pa.field("value", pa.float64())])
    batch = pa.RecordBatch.from_arrays([pa.array(values[:ROW_GROUP_ROWS])], schema=schema)
    sizes = {}
    for encoding in _ENCODINGS:
        sink = pa.BufferOutputStream()
        options = _options(schema, encoding) | {"compression_level": level}
        with pq.ParquetWriter(sink, schema, **options) as writer:
            writer.write_batch(batch)
        sizes[encoding] = sink.getvalue().size
    return min(_ENCODINGS, key=lambda encoding: sizes[encoding])


def open_table_writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """Open a file for a table of strings and numbers that is written piece by piece, each a row group or several."""
    return pq.ParquetWriter(path, schema, **_options(schema))


class GatheredTable:
    """A file of strings and numbers that comes in pieces: less than a row group is held, and no rows make no file."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.rows = 0
        self._path = path
        self._rest = schema.empty_table()
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._rest.num_rows and not exception[0]:
            self._write(self._rest)
        if self._writer:
            self._writer.close()

    def add(self, rows: pa.Table) -> None:
        """Add rows behind all before them."""
        self.rows += rows.num_rows
        rest = pa.concat_tables([self._rest, rows])
        whole = rest.num_rows // ROW_GROUP_ROWS * ROW_GROUP_ROWS
        for begin in range(0, whole, ROW_GROUP_ROWS):
            self._write(rest.slice(begin, ROW_GROUP_ROWS))
        self._rest = rest.slice(whole)

    def _write(self, rows: pa.Table) -> None:
        if self._writer is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = open_table_writer(self._path, rows.schema)
        self._writer.write_table(rows.combine_chunks(), row_group_size=ROW_GROUP_ROWS)
