"""Leaks in the rows of a release: names in cells, and rows that tell what they should not."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from tests.audit.release import TOKEN, Broken
from tests.audit.seeding import MD5, RAW, SHA, UNKEYED, cells, leak

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
