"""The physical columns of native histograms, and what readers make of them."""

from __future__ import annotations

from pathlib import Path

import duckdb
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.arrow import data_schema
from schemas.native import VALUE_COLUMNS, native_name, native_schema, staged_native_schema
from schemas.table import LabelColumn
from tests.schemas.builders import a_column, a_table

ROW = {
    "timestamp": 1_795_460_400_000,
    "series_id": "s",
    "room": "r",
    "oven": None,
    "mode": None,
    "schema": 3,
    "zero_threshold": 2.0**-128,
    "zero_count": 1.0,
    "sum": 7.5,
    "count": 10.0,
    "positive_spans": [{"offset": -2, "length": 2}, {"offset": 4, "length": 1}],
    "positive_counts": [3.0, 1.0, 5.0],
    "negative_spans": [],
    "negative_counts": [],
    "custom_bounds": [],
}


def test_a_histogram_stands_where_the_value_of_other_tables_does() -> None:
    plain, native = data_schema(a_table()), native_schema(a_table())

    assert native_name("oven") == "oven_nh"
    assert native.names[:5] == plain.names[:5] == ["timestamp", "series_id", "room", "oven", "mode"]
    assert native.names[5:] == list(ROW)[5:]
    assert set(native.names[5:]) == VALUE_COLUMNS
    assert staged_native_schema(a_table()).names == ["metric", *native.names]


def test_only_labels_may_be_null() -> None:
    """A bucket that is null would be neither empty nor counted."""
    assert [field.name for field in native_schema(a_table()) if field.nullable] == ["room", "oven", "mode"]


@pytest.mark.parametrize("name", sorted(VALUE_COLUMNS))
def test_a_label_with_the_name_of_a_field_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"column {name}: the format itself takes that name"):
        LabelColumn.model_validate(a_column(name, vocabulary="modes"))


def test_a_table_with_the_name_of_anothers_native_histograms_is_refused() -> None:
    with pytest.raises(ValueError, match="names that end in _nh are those of native histograms"):
        a_table(table="oven_nh")


def test_a_file_is_read_back_by_the_readers_that_people_use(tmp_path: Path) -> None:
    """Lists of structs and unsigned numbers are where readers of Parquet differ."""
    schema = native_schema(a_table())
    path = tmp_path / "part-0.parquet"
    batch = pa.Table.from_pylist([ROW, ROW | {"series_id": "t", "positive_spans": [], "positive_counts": []}], schema)

    pq.write_table(batch, path, compression="zstd", store_schema=False)

    assert pq.read_table(path).cast(schema).equals(batch)
    found = duckdb.connect().execute("select * from read_parquet(?) where series_id = 's'", [str(path)]).fetchall()[0]
    spans, counts, small = (found[schema.names.index(name)] for name in ("positive_spans", "positive_counts", "schema"))
    assert (spans, counts, small) == (ROW["positive_spans"], ROW["positive_counts"], 3)
    frame = polars.read_parquet(path)
    assert frame["positive_spans"].to_list() == [ROW["positive_spans"], []]
    assert frame["schema"].to_list() == [3, 3]
    assert pq.read_table(path).to_pandas()["positive_counts"][0].tolist() == ROW["positive_counts"]
