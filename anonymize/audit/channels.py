"""Every channel of a Parquet file through which a string can leave: not only its rows.

A dictionary page may hold values that no row shows; statistics and the page index hold values in clear; the
footer holds key-value metadata, base64 included. All are read here, from the finished file.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from anonymize.audit.layout import read_footer, read_page_index
from anonymize.audit.pages import read_chunk

WRITER: Final = re.compile(r"parquet-cpp-arrow version \d+\.\d+\.\d+")
"""What the writing library says of itself in every file."""
NUMBER_HEADERS: Final = "page headers of numbers"
"""What is longer than a number in the page headers of a column that holds numbers: there must be none."""
TAIL: Final = "page index and footer"
UNREADABLE: Final = "unreadable pages"
"""Its one string is in no grammar, so that it ends as a finding."""
_NUMBER_BYTES: Final = 8
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
        metadata = file.metadata
        yield Channel("column names", frozenset(file.schema_arrow.names))
    yield Channel("key-value metadata", frozenset(_metadata_strings(metadata)))
    yield Channel("created_by", frozenset({metadata.created_by}))
    yield from _page_index(path, metadata)
    yield Channel(TAIL, frozenset(_tail_strings(path, metadata)))
    yield from _statistics(metadata)
    for index in range(metadata.num_columns):
        yield from _pages(path, metadata, index)


def _pages(path: Path, metadata: pq.FileMetaData, index: int) -> Iterator[Channel]:
    """Yield what the pages of one column hold: page headers, dictionaries, and cells that no dictionary holds."""
    leaf = metadata.schema.column(index)
    is_text = leaf.physical_type == "BYTE_ARRAY"
    entries: set[bytes] = set()
    headers: set[bytes] = set()
    coded = True
    with path.open("rb") as file:
        for group in range(metadata.num_row_groups):
            column = metadata.row_group(group).column(index)
            file.seek(column.dictionary_page_offset or column.data_page_offset)
            chunk = memoryview(file.read(column.total_compressed_size))
            try:
                found = read_chunk(chunk, column.compression, is_text=is_text)
            except ValueError:  # what cannot be read may hold anything
                yield Channel(UNREADABLE, frozenset({UNREADABLE}), leaf.path if is_text else None)
                return
            entries.update(found.entries)
            headers.update(found.headers)
            coded = coded and found.coded
    if not is_text:
        yield Channel(NUMBER_HEADERS, _texts(raw for raw in headers if len(raw) > _NUMBER_BYTES))
        return
    yield Channel("page headers", _texts(headers), leaf.path)
    yield Channel("dictionary page", _texts(entries), leaf.path)
    if not coded:  # strings that stand in the data pages themselves
        with pq.ParquetFile(path) as opened:
            cells = opened.read(columns=[leaf.path]).column(leaf.path)
        yield Channel("cells", frozenset(text for text in cells.unique().to_pylist() if text is not None), leaf.path)


def _texts(raw: Iterable[bytes]) -> frozenset[str]:
    return frozenset(each.decode("utf-8", "replace") for each in raw)


def _metadata_strings(metadata: pq.FileMetaData) -> Iterator[str]:
    for key, value in (metadata.metadata or {}).items():
        for raw in (key, value):
            yield raw.decode("latin-1")
            try:
                yield base64.b64decode(raw, validate=True).decode("latin-1")
            except binascii.Error:
                continue


def _page_index(path: Path, metadata: pq.FileMetaData) -> Iterator[Channel]:
    """Yield the least and greatest values of pages, which stand in clear behind all pages."""
    texts = {
        metadata.schema.column(index).path
        for index in range(metadata.num_columns)
        if metadata.schema.column(index).physical_type == "BYTE_ARRAY"
    }
    try:
        for parts, values in read_page_index(path, read_footer(path)):
            column = ".".join(parts)
            if column in texts:
                yield Channel("page index", _texts(values - {b""}), column)  # of a page of nulls
            elif long := _texts(raw for raw in values if len(raw) > _NUMBER_BYTES):
                yield Channel(NUMBER_HEADERS, long)
    except (ValueError, KeyError):  # what cannot be read may hold anything
        yield Channel(UNREADABLE, frozenset({UNREADABLE}))


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
