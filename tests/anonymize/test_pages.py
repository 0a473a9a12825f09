"""Reading pages by hand sees what the library's reader sees, and more: headers, and entries that no row shows."""

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anonymize.audit.channels import NUMBER_HEADERS, Channel, read_channels
from anonymize.audit.pages import ChunkStrings, read_chunk

TEXTS = st.lists(st.none() | st.text(max_size=12), min_size=1, max_size=60)


def write(path: Path, table: pa.Table, **options: Any) -> Path:  # noqa: ANN401 - whatever the writer takes
    chosen: dict[str, Any] = {"store_schema": False, "compression": "zstd"} | options
    pq.write_table(table, path, **chosen)
    return path


def chunk_of(path: Path) -> tuple[bytes, str]:
    """Return the bytes of the first column chunk of a file, and how it is compressed."""
    column = pq.read_metadata(path).row_group(0).column(0)
    begin = column.dictionary_page_offset or column.data_page_offset
    return path.read_bytes()[begin : begin + column.total_compressed_size], column.compression


def read(path: Path) -> ChunkStrings:
    content, codec = chunk_of(path)
    return read_chunk(memoryview(content), codec, is_text=True)


def strings(path: Path, name: str) -> set[str]:
    return {text for channel in read_channels(path) if channel.name == name for text in channel.strings}


@given(texts=TEXTS, codec=st.sampled_from(["zstd", "snappy", "none"]), version=st.sampled_from(["1.0", "2.0"]))
@settings(max_examples=60, derandomize=True)
def test_the_entries_are_the_strings_of_the_column(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str | None], codec: str, version: str
) -> None:
    path = tmp_path_factory.mktemp("pages") / "a.parquet"
    write(path, pa.table({"a": pa.array(texts, pa.string())}), compression=codec, data_page_version=version)

    found = read(path)

    assert found.coded
    assert {entry.decode() for entry in found.entries} == {text for text in texts if text is not None}


def test_data_pages_that_hold_strings_themselves_are_told_and_read(tmp_path: Path) -> None:
    """A writer gives up a dictionary that grows too large; the rest of the strings then stand in the data pages."""
    texts = [f"value-{n:06}" for n in range(20_000)]
    grown = write(tmp_path / "grown.parquet", pa.table({"a": texts}), dictionary_pagesize_limit=4096)
    plain = write(tmp_path / "plain.parquet", pa.table({"a": texts}), use_dictionary=False)

    assert not read(grown).coded
    assert not read(plain).coded
    for path in (grown, plain):
        assert strings(path, "dictionary page") | strings(path, "cells") == set(texts)


def test_statistics_in_page_headers_are_seen(tmp_path: Path) -> None:
    """Without a page index the writer puts the least and the largest string of a page into its header."""
    path = write(tmp_path / "a.parquet", pa.table({"a": ["b", "a", "c"]}), write_page_index=False)

    assert {b"a", b"c"} <= set(read(path).headers)
    assert strings(path, "page headers") == {"a", "c"}


def test_a_text_among_the_headers_of_numbers_is_seen(tmp_path: Path) -> None:
    """A column of numbers has no grammar; a string hidden as one of its statistics must show all the same."""
    path = write(tmp_path / "a.parquet", pa.table({"a": pa.array([b"somebody's name"], pa.binary(15))}))

    assert strings(path, NUMBER_HEADERS) == {"somebody's name"}
    numbers = write(tmp_path / "b.parquet", pa.table({"a": [1.0, 2.0], "b": [1, 2]}))
    assert Channel(NUMBER_HEADERS, frozenset()) in list(read_channels(numbers))
    assert not strings(numbers, NUMBER_HEADERS)


def test_what_is_no_column_chunk_is_refused_whatever_it_is(tmp_path: Path) -> None:
    """An auditor that crashes, hangs or reads on past the end would not be one."""
    content, codec = chunk_of(write(tmp_path / "a.parquet", pa.table({"a": [f"v{n % 7}" for n in range(500)]})))
    whole = read_chunk(memoryview(content), codec, is_text=True)
    refused = 0
    for seed in range(3_000):
        rng = random.Random(seed)
        bent = bytearray(content[: rng.randrange(1, len(content) + 1)])
        for _ in range(rng.randrange(3)):
            bent[rng.randrange(len(bent))] = rng.randrange(256)
        try:
            read_chunk(memoryview(bytes(bent)), codec, is_text=True)
        except ValueError:
            refused += 1

    assert refused > 1_000
    assert len(whole.entries) == 7
