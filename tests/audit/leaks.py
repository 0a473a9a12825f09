"""Releases that are broken on purpose, each in one place, with the codes of the findings that it must have.

The manifest and the sums fit what was done, so that nothing but the intended check can find it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.audit.release import SECRET, TOKEN, VALUE, Broken

RAW: Final = "team-made-up"


@dataclass(frozen=True)
class Leak:
    """One way to break a release. ``kind`` is the channel or rule that it belongs to."""

    name: str
    kind: str
    codes: frozenset[str]
    make: Callable[[Broken], object]
    fits: bool = True
    """Whether manifest and sums are made to fit afterwards."""


Make = Callable[[Broken], object]
LEAKS: list[Leak] = []


def leak(kind: str, *codes: str, fits: bool = True) -> Callable[[Make], Make]:
    """Register a way to break a release."""

    def register(make: Make) -> Make:
        LEAKS.append(Leak(make.__name__.replace("_", " "), kind, frozenset(codes), make, fits))
        return make

    return register


def cells(name: str, column: str, text: str, *codes: str) -> None:
    """Register a leak that puts a text into every row of a column that has the value of the first."""

    def make(broken: Broken) -> None:
        def change(values: list[Any]) -> list[Any]:
            return [text if value == values[0] else value for value in values]

        broken.change(column, change)

    LEAKS.append(Leak(name, "cells", frozenset(codes), make))


SHA, MD5 = hashlib.sha256(SECRET.encode()), hashlib.md5(SECRET.encode())  # noqa: S324 - what leaks are made of
UNKEYED = base64.b32encode(SHA.digest()).decode().lower()[:16]

# -- cells
cells("raw value in a cell", "node", f"zzz-{RAW}", "not-in-grammar")
cells("unkeyed SHA-256 in a cell", "node", SHA.hexdigest(), "not-in-grammar", "listed-word")
cells("unkeyed MD5 in a cell", "node", MD5.hexdigest(), "not-in-grammar", "listed-word")
cells("unkeyed digest in the form of a token", "node", f"node_{UNKEYED}", "not-in-inputs", "word-in-token")
cells("token of another epoch", "node", f"node_{TOKEN}", "not-in-inputs")
cells("token of another domain", "node", f"pod_{TOKEN}", "not-in-grammar", "not-in-inputs")
cells("token of 15 characters", "node", f"node_{TOKEN[:-1]}", "not-in-grammar")
cells("token of 17 characters", "node", f"node_{TOKEN}a", "not-in-grammar")
cells("token in upper case", "node", f"node_{TOKEN.upper()}", "not-in-grammar")
cells("raw value behind a token", "node", f"node_{TOKEN}-{RAW}", "not-in-grammar")
cells("address in a cell", "node", "10.0.0.7:9100", "not-in-grammar", "ipv4-address")
cells("word that the vocabulary does not have", "interface", "wg-made-up0", "not-in-grammar")


@leak("cells", "not-in-inputs")
def body_of_one_domain_under_the_prefix_of_another(broken: Broken) -> None:
    first = broken.read().column("namespace")[0].as_py().removeprefix("ns_")
    broken.change("node", lambda nodes: [f"node_{first}" if node == nodes[0] else node for node in nodes])


@leak("cells", "not-in-inputs")
def series_id_of_another_epoch(broken: Broken) -> None:
    broken.change("series_id", lambda ids: [f"s_{TOKEN}" if each == ids[-1] else each for each in ids])


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


# -- rows
@leak("rows", "timestamp-off-grid")
def timestamps_of_scrapes(broken: Broken) -> None:
    broken.change("timestamp", lambda times: [times[0], times[1].replace(microsecond=417_000), *times[2:]])


@leak("rows", "not-sorted")
def rows_in_another_order(broken: Broken) -> None:
    rows = broken.read()
    half = rows.num_rows // 2
    half -= half % 120
    broken.write(pa.concat_tables([rows.slice(half), rows.slice(0, half)]))


@leak("rows", "not-sorted")
def series_index_in_another_order(broken: Broken) -> None:
    rows = broken.read("series")
    order = [1, 0, *range(2, rows.num_rows)]
    broken.write(rows.take(pa.array(order)), "series")


@leak("rows", "not-in-order-of-time")
def rows_of_a_series_in_another_order(broken: Broken) -> None:
    rows = broken.read()
    broken.write(rows.take(pa.array([1, 0, *range(2, rows.num_rows)])))


@leak("rows", "nan-payload")
def message_in_a_nan(broken: Broken) -> None:
    note = np.array([0x7FF8_DEAD_BEEF_0001], dtype=np.uint64).view(np.float64)[0]
    rows = broken.read()
    values = rows.column("value").to_numpy(zero_copy_only=False).copy()
    values[7] = note
    at = rows.schema.get_field_index("value")
    broken.write(rows.set_column(at, rows.schema.field(at), pa.array(values)))


@leak("rows", "sample-twice", "not-in-order-of-time")
def sample_that_stands_twice(broken: Broken) -> None:
    broken.change("timestamp", lambda times: [times[0], times[0], *times[2:]])


@leak("rows", "row-count-differs-from-manifest")
def rows_that_the_manifest_does_not_count(broken: Broken) -> None:
    broken.write(broken.read().slice(0, broken.read().num_rows - 1))


@leak("rows", "times-differ-from-manifest")
def times_of_the_manifest_that_no_row_has(broken: Broken) -> None:
    broken.entry()["min_timestamp"] = "2026-11-01T00:00:30Z"


@leak("rows", "timestamp-outside-release")
def rows_outside_the_span(broken: Broken) -> None:
    broken.manifest["end"] = "2026-11-01T00:30:00Z"


@leak("rows", "rows-of-another-day", "path-differs-from-manifest")
def day_that_no_row_has(broken: Broken) -> None:
    broken.entry()["date"] = "2026-11-02"


@leak("rows", "index-names-other-files")
def index_without_a_file(broken: Broken) -> None:
    rows = broken.read("series")
    broken.write(rows.slice(0, 30), "series")


# -- files
@leak("files", "unlisted-file")
def file_that_nobody_listed(broken: Broken) -> None:
    (broken.folder / "notes.txt").write_text("Nothing to see here.\n")


@leak("files", "unlisted-file")
def hidden_file(broken: Broken) -> None:
    (broken.folder / "data/.part-0.parquet.swp").write_text("Nothing to see here.\n")


@leak("files", "unlisted-file", "not-a-plain-file")
def folder_with_the_name_of_a_team(broken: Broken) -> None:
    (broken.folder / RAW).mkdir()


@leak("files", "not-a-plain-file")
def link_to_a_private_file(broken: Broken) -> None:
    broken.path("license").unlink()
    broken.path("license").symlink_to("/etc/hostname")


@leak("files", "not-a-plain-file")
def second_name_of_a_private_file(broken: Broken) -> None:
    private = broken.folder.with_name(f"{broken.folder.name}.private")
    os.link(broken.path("license"), private)


@leak("files", "path-not-in-grammar")
def file_with_the_name_of_a_team(broken: Broken) -> None:
    broken.add(f"{RAW}.md", b"Nothing to see here.\n", "card")


@leak("files", "path-not-in-grammar")
def role_that_is_not_known(broken: Broken) -> None:
    broken.entry("license")["role"] = "notes"


@leak("files", "path-not-in-grammar")
def role_of_another_file(broken: Broken) -> None:
    broken.entry("license")["role"] = "card"


@leak("files", "changed-file", fits=False)
def bytes_changed_after_all(broken: Broken) -> None:
    content = broken.path("license").read_bytes()
    broken.path("license").write_bytes(content.replace(b"e", b"a", 1))


@leak("files", "missing-file", fits=False)
def file_that_is_gone(broken: Broken) -> None:
    broken.path("license").unlink()


@leak("files", "differs-from-manifest", fits=False)
def line_more_in_the_sums(broken: Broken) -> None:
    broken.write_sums(f"# {RAW}\n")


@leak("files", "sums-differ", fits=False)
def message_in_a_sum(broken: Broken) -> None:
    broken.manifest["totals"]["bytes"] += 1
    broken.write_manifest()
    broken.write_sums()


# -- rules
@leak("rules", "another-policy")
def release_of_another_policy(broken: Broken) -> None:
    broken.manifest["policy_digest"] = "sha256:" + "0" * 64


@leak("rules", "not-in-grammar")
def metric_that_no_schema_has(broken: Broken) -> None:
    broken.manifest["tables"][0]["metrics"].append("made_up_metric_of_a_team")


@leak("rules", "unknown-metric", "index-names-other-files", "not-in-grammar")
def file_of_a_metric_that_no_schema_has(broken: Broken) -> None:
    entry = broken.entry()
    old, new = entry["path"], entry["path"].replace(entry["metric"], "made_up_metric")
    (broken.folder / new).parent.mkdir(parents=True)
    (broken.folder / old).rename(broken.folder / new)
    (broken.folder / old).parent.rmdir()
    (broken.folder / old).parent.parent.rmdir()
    entry["path"], entry["metric"] = new, "made_up_metric"


@leak("rules", "not-in-grammar")
def name_of_the_source_in_clear(broken: Broken) -> None:
    broken.manifest["sources"].append("prometheus-of-team")


@leak("rules", "not-in-inputs")
def token_of_a_source_that_gave_nothing(broken: Broken) -> None:
    broken.manifest["sources"].append(f"src_{TOKEN}")


@leak("rules", "unknown-schema", "differs-from-registry", "unknown-table")
def schema_that_nobody_reviewed(broken: Broken) -> None:
    broken.manifest["tables"][0]["schema_digest"] = "sha256:" + "0" * 64


@leak("rules", "differs-from-registry")
def copy_of_the_schema_with_a_column_more(broken: Broken) -> None:
    name = broken.entry("schema")["path"]
    broken.text(name, lambda text: text.replace('"meaning": "', '"meaning": "Of the team. ', 1))


@leak("rules", "missing-schema")
def copy_of_the_schema_left_out(broken: Broken) -> None:
    entry = broken.entry("schema")
    (broken.folder / entry["path"]).unlink()
    (broken.folder / "schemas").rmdir()
    broken.manifest["files"].remove(entry)


@leak("rules", "not-in-grammar")
def free_text_as_a_reason_of_coverage(broken: Broken) -> None:
    broken.change("reason", lambda reasons: ["broke when the team moved", *reasons[1:]], "coverage")


@leak("rules", "not-in-grammar")
def source_in_clear_in_coverage(broken: Broken) -> None:
    broken.change("source", lambda sources: [RAW, *sources[1:]], "coverage")


# -- texts
def card(name: str, text: str, *codes: str, path: str = "README.md", kind: str = "texts") -> None:
    """Register a leak that adds a text to the card, or to another file."""

    def make(broken: Broken) -> None:
        if path.endswith(".json"):
            add = json.dumps(text)
            broken.text(path, lambda old: old.rstrip().removesuffix("}") + f', "note": {add}}}\n')
        else:
            broken.text(path, lambda old: f"{old}\n{text}\n")

    LEAKS.append(Leak(name, kind, frozenset(codes), make))


card("IPv4 address in the card", "Scraped from 10.0.0.7 every day.", "ipv4-address")
card("IPv6 address in the card", "Scraped from fd00:1:2:3:4:5:6:7 every day.", "ipv6-address")
card("MAC address in the card", "The card aa:bb:cc:dd:ee:ff was replaced.", "mac-address", "ipv6-address")
card("UUID in the card", "Cluster 1b4e28ba-2fa1-41d2-883f-0016d3cca427.", "uuid")
card("e-mail address in the card", "Ask somebody@team.example about it.", "e-mail-address")
card("JWT in the card", "Use eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtYWRlLXVwIn0.c2lnbmF0dXJl to look.", "jwt")
card("token of OpenShift in the card", f"Log in with sha256~{'aB3_' * 8}.", "openshift-token")
card("PEM block in the card", "-----BEGIN PRIVATE KEY-----", "pem-block")
card("bearer token in the card", "Authorization: Bearer abcdef0123456789abcdef", "bearer-token")
card("key of AWS in the card", "AKIAABCDEFGHIJKLMNOP", "aws-key-id")
card("ARN in the card", "arn:aws:iam::123456789012:role/reader", "aws-arn")
card(
    "password in a URL in the card", "http://reader:made-up@prometheus.example/", "url-with-password", "e-mail-address"
)
card("GPU's UUID in the card", "GPU-1b4e28ba- was replaced.", "gpu-uuid")
card("e-mail address in privacy.json", "somebody@team.example", "e-mail-address", path="privacy.json")
card("address in the citation", "# 10.0.0.7", "ipv4-address", path="CITATION.cff")
card("token of another epoch in the card", f"Look at ns_{TOKEN} first.", "not-in-inputs")
card("characters that nobody sees", "The data\u200b\u2062\u200b are good.", "unseen-character")
card("letters that look like others", "Ask the t\u0435am about it.", "look-alike-character")


@leak("texts", "not-utf-8", "unseen-character")
def bytes_that_are_no_text(broken: Broken) -> None:
    with broken.path("card").open("ab") as file:
        file.write(RAW.encode("utf-16"))


@leak("texts", "key-twice")
def json_with_a_key_twice(broken: Broken) -> None:
    broken.text("privacy.json", lambda text: text.replace("{", '{"format_version": "made up", ', 1))


@leak("texts", "not-json")
def json_with_something_behind(broken: Broken) -> None:
    broken.text("quality.json", lambda text: f"{text}{RAW}\n")


# -- words
def hidden(name: str, text: str, *codes: str, path: str = "README.md") -> None:
    card(name, f"Thanks to {text} for it.", *codes, path=path, kind="words")


BLAKE = hashlib.blake2b(SECRET.encode()).digest()
hidden("listed word in the card", SECRET, "listed-word")
hidden("listed word in upper case", SECRET.upper(), "listed-word")
hidden("listed word with other separators", SECRET.replace("-", "_"), "listed-word")
hidden("listed word cut to eight characters", SECRET[:8], "listed-word")
hidden("listed word turned round", SECRET[::-1], "listed-word")
hidden("listed word in hexadecimal", SECRET.encode().hex(), "listed-word")
hidden("listed word URL-encoded", quote(SECRET.replace("-", "%2D"), safe="%"), "listed-word")
hidden("listed word in base64", base64.b64encode(f"x{SECRET}y".encode()).decode(), "listed-word")
hidden("SHA-256 of a listed word in quality.json", SHA.hexdigest(), "listed-word", path="quality.json")
hidden("first twelve characters of its SHA-256", SHA.hexdigest()[:12], "listed-word")
hidden("first eight characters of its MD5", MD5.hexdigest()[:8], "listed-word")
hidden("BLAKE2 of a listed word in base64", base64.b64encode(BLAKE).decode(), "listed-word")
hidden("listed word in privacy.json", SECRET, "listed-word", path="privacy.json")
hidden("label value of the source in the card", VALUE, "label-value")
hidden("label value of the source in hexadecimal", VALUE.encode().hex(), "label-value")
hidden("SHA-256 of a label value of the source", hashlib.sha256(VALUE.encode()).hexdigest(), "label-value")


@leak("words", "listed-word", "unlisted-file")
def listed_word_in_the_name_of_a_file(broken: Broken) -> None:
    (broken.folder / f"{SECRET}.txt").write_text("Nothing to see here.\n")


@leak("words", "listed-word")
def listed_word_escaped_in_json(broken: Broken) -> None:
    escaped = "".join(f"\\u{ord(sign):04x}" for sign in SECRET)
    broken.text("privacy.json", lambda old: old.rstrip().removesuffix("}") + f', "note": "{escaped}"}}\n')
