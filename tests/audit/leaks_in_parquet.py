"""Leaks in Parquet where no row shows them: dictionaries, statistics, footers, bytes that nothing covers."""

from __future__ import annotations

import base64
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.audit.release import TOKEN, Broken
from tests.audit.seeding import RAW, leak


# -- dictionaries and statistics
def encoded(broken: Broken, extra: str, *, nulled: bool = False) -> Any:  # noqa: ANN401 - a table
    """Return the rows with a node column whose dictionary holds one more entry."""
    rows = broken.read()
    column = rows.column("node").combine_chunks().dictionary_encode()
    entries = pa.array([*column.dictionary.to_pylist(), extra])
    indices = column.indices
    if nulled:
        indices = pa.array([None, *indices.to_pylist()[1:]], pa.int32())
    at = rows.schema.get_field_index("node")
    return rows.set_column(at, "node", pa.DictionaryArray.from_arrays(indices, entries))


@leak("dictionary", "not-in-grammar")
def filtered_value_in_a_dictionary_only(broken: Broken) -> None:
    broken.write(encoded(broken, RAW))


@leak("dictionary", "not-in-grammar")
def filtered_value_in_a_dictionary_without_statistics(broken: Broken) -> None:
    broken.write(encoded(broken, RAW), write_statistics=False, write_page_index=False)


@leak("dictionary", "not-in-grammar")
def filtered_value_in_the_dictionary_of_a_later_row_group(broken: Broken) -> None:
    rows = encoded(broken, RAW)
    at = rows.schema.get_field_index("node")
    clean = broken.read().column("node").slice(0, 120).combine_chunks().dictionary_encode()
    with pq.ParquetWriter(broken.path(), rows.schema, store_schema=False, write_page_index=True) as writer:
        writer.write_table(rows.slice(0, 120).set_column(at, "node", clean))
        writer.write_table(rows.slice(120))


@leak("dictionary", "not-in-inputs")
def token_of_another_epoch_in_a_dictionary_only(broken: Broken) -> None:
    broken.write(encoded(broken, f"node_{TOKEN}"))


def same_length(text: str) -> bytes:
    """Return a raw name as long as a token is."""
    return f"{RAW}-{'x' * len(text)}"[: len(text)].encode()


@leak("statistics", "not-in-grammar")
def raw_value_in_statistics_only(broken: Broken) -> None:
    least = min(broken.read().column("node").to_pylist())
    broken.tail(least.encode(), same_length(least), last=True)


@leak("page index", "not-in-grammar")
def raw_value_in_the_page_index_only(broken: Broken) -> None:
    least = min(broken.read().column("node").to_pylist())
    broken.tail(least.encode(), same_length(least), last=False)


# -- footer and layout
@leak("footer", "metadata-in-footer")
def raw_value_in_key_value_metadata(broken: Broken) -> None:
    broken.write(broken.read().replace_schema_metadata({"team-of-this": RAW}), store_schema=True)


@leak("footer", "metadata-in-footer")
def raw_value_in_base64_in_the_footer(broken: Broken) -> None:
    note = base64.b64encode(RAW.encode()).decode()
    broken.write(broken.read().replace_schema_metadata({"note-of-team": note}), store_schema=True)


@leak("footer", "metadata-in-footer")
def raw_value_in_field_metadata_within_the_arrow_schema(broken: Broken) -> None:
    rows = broken.read()
    at = rows.schema.get_field_index("node")
    field = rows.schema.field(at).with_metadata({"was": RAW})
    broken.write(rows.cast(rows.schema.set(at, field)), store_schema=True)


@leak("footer", "metadata-in-footer")
def metadata_of_pandas(broken: Broken) -> None:
    about = json.dumps({"index_columns": [RAW], "columns": []})
    broken.write(broken.read().replace_schema_metadata({"pandas": about}), store_schema=True)


@leak("footer", "unknown-writer")
def writer_with_the_name_of_a_machine(broken: Broken) -> None:
    broken.tail(b"parquet-cpp-arrow version", b"parquet-of-team-wombat 1.", last=True)


@leak("columns", "columns-differ-from-schema")
def raw_column_beside_the_token(broken: Broken) -> None:
    rows = broken.read()
    broken.write(rows.append_column("namespace_raw", pa.array([RAW] * rows.num_rows)))


@leak("columns", "columns-differ-from-schema", "unreadable-rows")
def column_with_another_name(broken: Broken) -> None:
    rows = broken.read()
    broken.write(rows.rename_columns([RAW if name == "node" else name for name in rows.schema.names]))


@leak("columns", "columns-differ-from-schema", "unreadable-rows")
def number_column_that_holds_text(broken: Broken) -> None:
    rows = broken.read()
    at = rows.schema.get_field_index("value")
    broken.write(rows.set_column(at, "value", pa.array([RAW] * rows.num_rows)))


@leak("layout", "bytes-between-pages")
def bytes_between_pages_and_footer(broken: Broken) -> None:
    content = broken.path().read_bytes()
    begin = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    broken.path().write_bytes(content[:begin] + RAW.encode() + content[begin:])


@leak("layout", "bytes-behind-footer")
def bytes_behind_the_footer(broken: Broken) -> None:
    content = broken.path().read_bytes()
    size = int.from_bytes(content[-8:-4], "little") + len(RAW)
    broken.path().write_bytes(content[:-8] + RAW.encode() + size.to_bytes(4, "little") + content[-4:])


@leak("layout", "unreadable-parquet", "unreadable-rows")
def archive_behind_the_end(broken: Broken) -> None:
    with broken.path().open("ab") as file:
        file.write(b"PK\x05\x06" + RAW.encode())


@leak("layout", "unreadable-parquet", "unreadable-rows")
def text_in_the_place_of_parquet(broken: Broken) -> None:
    broken.path().write_text(RAW)
