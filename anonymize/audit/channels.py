"""Every channel of a Parquet file through which a string can leave: not only its rows.

A dictionary page may hold values that no row shows; statistics and the page index hold values in clear; the
footer holds key-value metadata, base64 included. All are read here, from the finished file.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

WRITER: Final = re.compile(r"parquet-cpp-arrow version \d+\.\d+\.\d+")
"""What the writing library says of itself in every file."""
_PRINTABLE: Final = re.compile(rb"[\x20-\x7e]{4,}")


@dataclass(frozen=True, slots=True)
class Channel:
    """The distinct strings of one channel. ``column`` is set for what must follow the grammar of a column."""

    name: str
    strings: frozenset[str] = field(repr=False)
    column: str | None = None


def read_channels(path: Path) -> Iterator[Channel]:
    """Yield every channel of a Parquet file; the strings of a column come in several parts."""
    with pq.ParquetFile(path) as file:
        metadata, schema = file.metadata, file.schema_arrow
    yield Channel("column names", frozenset(schema.names))
    yield Channel("key-value metadata", frozenset(_metadata_strings(metadata)))
    yield Channel("created_by", frozenset({metadata.created_by}))
    yield Channel("page index and footer", frozenset(_tail_strings(path, metadata)))
    yield from _statistics(metadata)
    texts = [column.name for column in schema if pa.types.is_string(column.type)]
    with pq.ParquetFile(path, read_dictionary=texts) as file:
        for name in texts:  # one column at a time: its row groups side by side, memory for one
            yield from _dictionary_and_cells(name, file.read(columns=[name]).column(name))


def _dictionary_and_cells(name: str, column: "pa.ChunkedArray[Any]") -> Iterator[Channel]:
    for chunk in column.chunks:
        assert isinstance(chunk, pa.DictionaryArray)  # noqa: S101 - read_dictionary promises it
        entries = chunk.dictionary
        yield Channel("dictionary page", _distinct(entries), name)
        used = entries.take(chunk.indices.unique().drop_null())
        yield Channel("cells", _distinct(used), name)


def _distinct(texts: "pa.Array[Any]") -> frozenset[str]:
    return frozenset(text for text in texts.to_pylist() if text is not None)


def _metadata_strings(metadata: pq.FileMetaData) -> Iterator[str]:
    for key, value in (metadata.metadata or {}).items():
        for raw in (key, value):
            yield raw.decode("latin-1")
            try:
                yield base64.b64decode(raw, validate=True).decode("latin-1")
            except binascii.Error:
                continue


def _statistics(metadata: pq.FileMetaData) -> Iterator[Channel]:
    for group in range(metadata.num_row_groups):
        for index in range(metadata.num_columns):
            column = metadata.row_group(group).column(index)
            statistics = column.statistics
            if statistics is not None and statistics.has_min_max:
                found = {value for value in (statistics.min, statistics.max) if isinstance(value, str)}
                if found:
                    yield Channel("statistics", frozenset(found), column.path_in_schema)


def _tail_strings(path: Path, metadata: pq.FileMetaData) -> Iterator[str]:
    """Yield the printable runs of all that lies behind the last data page: page index and footer."""
    end_of_pages = 4
    for group in range(metadata.num_row_groups):
        for index in range(metadata.num_columns):
            column = metadata.row_group(group).column(index)
            begin = column.dictionary_page_offset or column.data_page_offset
            end_of_pages = max(end_of_pages, begin + column.total_compressed_size)
    with path.open("rb") as file:
        file.seek(end_of_pages)
        for run in _PRINTABLE.findall(file.read()):
            yield run.decode("ascii")
