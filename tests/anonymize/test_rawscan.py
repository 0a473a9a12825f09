"""The search for raw values finds them in every channel of a finished file."""

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from anonymize.audit.grammar import build_grammar
from anonymize.audit.rawscan import scan_staged
from schemas.arrow import staged_schema
from schemas.raw import Raw
from schemas.registry import find_table, read_policy

TABLE = find_table("model_server")
GRAMMAR = build_grammar(TABLE, read_policy("default"))
RAW = "team-made-up"
TOKEN = "a2b3c4d5e6f7a2b3"


def rows(**changed: Any) -> pa.Table:  # noqa: ANN401 - a column as pyarrow takes it
    """Two rows of a staged file that the grammar knows; columns may be changed."""
    plain: dict[str, Any] = {
        "metric": [TABLE.metrics[0].name] * 2,
        "timestamp": [0, 30_000],
        "series_id": [f"s_{TOKEN}"] * 2,
        "namespace": [f"ns_{TOKEN}"] * 2,
        "pod": [f"pod_{TOKEN}"] * 2,
        "value": [1.0, 2.0],
    }
    schema = staged_schema(TABLE)
    arrays = []
    for field in schema:
        given = {**plain, **changed}.get(field.name)
        if given is None:
            arrays.append(pa.nulls(2, field.type))
        else:
            arrays.append(given if isinstance(given, pa.Array) else pa.array(given, field.type))
    return pa.table(arrays, names=schema.names)


def in_a_cell(path: Path) -> None:
    pq.write_table(rows(namespace=[RAW, f"ns_{TOKEN}"]), path, store_schema=False)


def inside_a_longer_cell(path: Path) -> None:
    pq.write_table(rows(namespace=[f"x-{RAW}-y", f"ns_{TOKEN}"]), path, store_schema=False)


def in_a_dictionary_that_no_row_shows(path: Path) -> None:
    hidden = pa.DictionaryArray.from_arrays(pa.array([0, 0], pa.int32()), pa.array([f"ns_{TOKEN}", RAW]))
    pq.write_table(rows(namespace=hidden), path, store_schema=False)


def in_a_dictionary_of_a_later_row_group(path: Path) -> None:
    hidden = pa.DictionaryArray.from_arrays(pa.array([0, 0], pa.int32()), pa.array([f"ns_{TOKEN}", RAW]))
    clean = pa.DictionaryArray.from_arrays(pa.array([0, 0], pa.int32()), pa.array([f"ns_{TOKEN}"]))
    encoded = rows(namespace=clean)
    with pq.ParquetWriter(path, encoded.schema, store_schema=False) as writer:
        writer.write_table(encoded)
        writer.write_table(rows(namespace=hidden))


def in_key_value_metadata(path: Path) -> None:
    pq.write_table(rows().replace_schema_metadata({"team": RAW}), path)


def in_base64_in_the_footer(path: Path) -> None:
    encoded = base64.b64encode(RAW.encode()).decode()
    pq.write_table(rows().replace_schema_metadata({"note": encoded}), path)


def in_a_column_name(path: Path) -> None:
    pq.write_table(rows().rename_columns([*rows().schema.names[:-1], RAW]), path, store_schema=False)


CHANNELS = [
    in_a_cell,
    inside_a_longer_cell,
    in_a_dictionary_that_no_row_shows,
    in_a_dictionary_of_a_later_row_group,
    in_key_value_metadata,
    in_base64_in_the_footer,
    in_a_column_name,
]


def scan(path: Path, *, names: tuple[str, ...] = ("run-0.parquet",)) -> list[str]:
    found = scan_staged(path, place="file", names=names, raw_values=Raw("values", {RAW}), grammar=GRAMMAR)
    return [str(finding) for finding in found]


@pytest.mark.parametrize("leak", CHANNELS, ids=lambda leak: leak.__name__)
def test_a_raw_value_is_found_in_every_channel(leak: Callable[[Path], None], tmp_path: Path) -> None:
    """Findings name the place and never the value: a log must be safe to share."""
    path = tmp_path / "run-0.parquet"
    leak(path)

    found = scan(path)

    assert any("raw-value" in finding for finding in found)
    assert RAW not in "".join(found)


HIDDEN = {
    "upper case": RAW.upper(),
    "hexadecimal": RAW.encode().hex(),
    "base64 in something longer": base64.b64encode(f"x{RAW}!".encode()).decode(),
    "URL-encoded": RAW.replace("-", "%2D"),
    "SHA-256": hashlib.sha256(RAW.encode()).hexdigest(),
    "first characters of its MD5": hashlib.md5(RAW.encode()).hexdigest()[:12],  # noqa: S324 - what leaks are made of
}


@pytest.mark.parametrize("text", HIDDEN.values(), ids=HIDDEN)
def test_a_raw_value_is_found_in_another_form(text: str, tmp_path: Path) -> None:
    """A digest without a key is no pseudonym: whoever guesses the name knows it."""
    path = tmp_path / "run-0.parquet"
    pq.write_table(rows(namespace=[text, f"ns_{TOKEN}"]), path, store_schema=False)

    found = scan(path)

    assert any("raw-value-encoded" in finding for finding in found)
    assert text not in "".join(found)


@pytest.mark.parametrize("column", ["namespace", "value"])
def test_pages_that_cannot_be_read_are_a_finding(column: str, tmp_path: Path) -> None:
    """What nobody can read may hold anything; the search fails closed."""
    path = tmp_path / "run-0.parquet"
    pq.write_table(rows(), path, store_schema=False)
    metadata = pq.read_metadata(path)
    at = next(n for n in range(metadata.num_columns) if metadata.schema.column(n).path == column)
    chunk = metadata.row_group(0).column(at)
    content = bytearray(path.read_bytes())
    begin = chunk.dictionary_page_offset or chunk.data_page_offset
    content[begin : begin + 4] = b"\xff" * 4
    path.write_bytes(bytes(content))

    assert any("unreadable pages" in finding for finding in scan(path))


def test_a_raw_value_in_a_file_name_is_found(tmp_path: Path) -> None:
    path = tmp_path / "run-0.parquet"
    pq.write_table(rows(), path, store_schema=False)

    assert scan(path, names=(f"{RAW}.parquet",))


def test_a_clean_file_has_no_findings(tmp_path: Path) -> None:
    path = tmp_path / "run-0.parquet"
    pq.write_table(rows(), path, store_schema=False)

    assert scan(path) == []


def test_chance_inside_a_token_is_no_finding(tmp_path: Path) -> None:
    """Sixteen random characters hold a short name now and then; the whole token is what counts."""
    path = tmp_path / "run-0.parquet"
    pq.write_table(rows(), path, store_schema=False)

    found = scan_staged(path, place="file", names=(), raw_values=Raw("values", {TOKEN[3:9]}), grammar=GRAMMAR)

    assert found == []


def test_a_raw_value_that_looks_like_a_token_is_found(tmp_path: Path) -> None:
    """A tenant may choose a name in the shape of a token; as a whole it is compared all the same."""
    path = tmp_path / "run-0.parquet"
    pq.write_table(rows(), path, store_schema=False)

    assert scan_staged(path, place="file", names=(), raw_values=Raw("values", {f"ns_{TOKEN}"}), grammar=GRAMMAR)
    assert scan_staged(path, place="file", names=(), raw_values=Raw("values", {TOKEN}), grammar=GRAMMAR)


def test_an_address_is_found_although_a_public_word_is_a_part_of_it(tmp_path: Path) -> None:
    """Public words are never cut out of the text: what is left of an address would not be found."""
    path = tmp_path / "run-0.parquet"
    pq.write_table(rows().replace_schema_metadata({"at": "10.0.0.1/main"}), path)

    assert scan_staged(path, place="file", names=(), raw_values=Raw("values", {"10.0.0.1"}), grammar=GRAMMAR)


@pytest.mark.parametrize("word", ["schema", "arrow", "parquet", "deadbeef"])
def test_what_the_writer_says_of_itself_is_no_finding(word: str, tmp_path: Path) -> None:
    """A tenant called arrow would otherwise stop every run: the writing library names itself in every file."""
    path = tmp_path / "run-0.parquet"
    pq.write_table(rows(), path, store_schema=False)
    names = ("run-0.parquet", "0123deadbeef4567.parquet")

    assert scan_staged(path, place="file", names=names, raw_values=Raw("values", {word}), grammar=GRAMMAR) == []
