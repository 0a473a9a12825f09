"""What Parquet files hold: exactly the published rows, sorted, and nothing beside them."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.parquet import (
    ROW_GROUP_ROWS,
    Segments,
    build_row_group,
    choose_value_encoding,
    expand_row_groups,
    open_writer,
    sort_rows,
    sort_segments,
)
from jobs.snapshot.runs import RunWriter, begin_run
from schemas.arrow import data_schema, staged_schema
from schemas.registry import find_table
from schemas.table import TableSchema

MODEL_SERVER = find_table("model_server")


def some_segments(
    names: list[str], lengths: list[int], *, table: TableSchema = MODEL_SERVER, start: int = 0
) -> Segments:
    """Series of those names, each with its own namespace, and values that tell series and row apart."""
    schema = data_schema(table)
    columns = []
    fields = [field for field in schema if field.name not in ("timestamp", "value")]
    for field in fields:
        if field.name == "series_id":
            columns.append(pa.array([f"s_{name}" for name in names]))
        elif field.name == "namespace":
            columns.append(pa.array([f"ns_{name}" for name in names]))
        else:
            columns.append(pa.nulls(len(names), field.type))
    rows = sum(lengths)
    return Segments(
        pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields)),
        np.array(lengths),
        np.concatenate([start + np.arange(length) * 30_000 for length in lengths]),
        np.arange(rows, dtype=np.float64) + start,
        np.ones(rows, dtype=np.bool_),
    )


def write(path: Path, segments: Segments) -> None:
    schema = data_schema(MODEL_SERVER)
    with open_writer(path, schema) as writer:
        for batch in expand_row_groups(segments, schema, {}):
            writer.write_batch(batch)


def test_a_dictionary_holds_only_what_its_row_group_shows(tmp_path: Path) -> None:
    """Parquet writes a dictionary page whole: a name that no row shows would leave in the file."""
    path = tmp_path / "part.parquet"
    write(path, some_segments(["b", "a", "c"], [ROW_GROUP_ROWS, 10, ROW_GROUP_ROWS]))

    with pq.ParquetFile(path, read_dictionary=["namespace"]) as file:
        for group in range(file.num_row_groups):
            chunk: Any = file.read_row_group(group, columns=["namespace"]).column(0).chunk(0)
            assert set(chunk.dictionary.to_pylist()) == set(chunk.to_pylist())
        assert file.num_row_groups == 3


def test_nothing_but_columns_is_in_the_footer(tmp_path: Path) -> None:
    path = tmp_path / "part.parquet"
    write(path, some_segments(["a"], [5]))

    metadata = pq.read_metadata(path)

    assert metadata.metadata is None
    assert pq.read_schema(path) == data_schema(MODEL_SERVER)


def test_segments_keep_their_samples_when_sorted() -> None:
    """Sorting moves series, never a sample from one series to another; parts of one series stay in order."""
    segments = some_segments(["b", "a", "b", "c"], [2, 3, 1, 2])

    found = sort_segments(segments, MODEL_SERVER)

    assert found.columns.column("series_id").to_pylist() == ["s_a", "s_b", "s_b", "s_c"]
    assert found.lengths.tolist() == [3, 2, 1, 2]
    assert found.values.tolist() == [2, 3, 4, 0, 1, 5, 6, 7]


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (np.random.default_rng(1).integers(0, 2, 10_000).astype(float), "dictionary"),
        (np.cumsum(np.random.default_rng(1).random(10_000)), "BYTE_STREAM_SPLIT"),
    ],
    ids=["flag", "counter"],
)
def test_the_encoding_fits_the_values(values: "np.ndarray[tuple[int], np.dtype[np.float64]]", wanted: str) -> None:
    """A flag and a counter differ by a factor of ten in their best encodings."""
    assert choose_value_encoding(values) == wanted


def write_run(writer: RunWriter, metric: str, segments: Segments) -> None:
    """Write segments as one sorted run."""
    ordered = sort_segments(segments, MODEL_SERVER)
    writer.begin(begin_run(metric, most_rows=segments.rows, values=segments.values))
    writer.add(build_row_group(ordered, staged_schema(MODEL_SERVER), {"metric": metric}))


def test_runs_are_bounded_sorted_and_complete(tmp_path: Path) -> None:
    """A window of any size is written in files of bounded size, each sorted, that together hold every row."""
    metrics = sorted(metric.name for metric in MODEL_SERVER.metrics)[:3]
    with RunWriter(tmp_path, MODEL_SERVER, file_rows=100) as writer:
        for metric in metrics:
            for names in (["b", "a"], ["c", "0"], ["e", "d"]):
                write_run(writer, metric, some_segments(names, [20, 20]))

    assert sum(writer.files.values()) == 3 * 3 * 40
    assert max(writer.files.values()) <= 100
    for path, rows in writer.files.items():
        read = pq.read_table(path)
        assert read.num_rows == rows
        keys = list(zip(*(read.column(name).to_pylist() for name in ("metric", "namespace", "timestamp")), strict=True))
        assert keys == sorted(keys)
    held = [name for path in writer.files for name in pq.read_table(path, columns=["metric"]).column(0).to_pylist()]
    assert {metric: held.count(metric) for metric in metrics} == dict.fromkeys(metrics, 3 * 40)


def test_values_that_want_one_encoding_share_a_file(tmp_path: Path) -> None:
    """Flags, counters and gauges differ severalfold in their best encodings, and a file has one."""
    metrics = sorted(metric.name for metric in MODEL_SERVER.metrics)[:4]
    rng = np.random.default_rng(1)
    flags, counters = rng.integers(0, 2, 5_000).astype(float), np.cumsum(rng.random(5_000))
    with RunWriter(tmp_path, MODEL_SERVER) as writer:
        for metric, values in zip(metrics, (flags, counters, flags, counters), strict=True):
            write_run(writer, metric, dataclasses.replace(some_segments(["a"], [5_000]), values=values))

    held = [set(pq.read_table(path, columns=["metric"]).column(0).unique().to_pylist()) for path in writer.files]
    assert held == [{metrics[0], metrics[2]}, {metrics[1], metrics[3]}]


@pytest.mark.parametrize("encoded", [False, True])
def test_rows_are_ordered_by_the_sort_key_then_series_with_null_last(encoded: bool) -> None:
    """The order of codes means nothing: it is the tokens that are compared."""
    columns = some_segments(["b", "a", "c", "d"], [1, 1, 1, 1]).columns
    namespaces: Any = pa.array(["ns_z", "ns_y", None, "ns_y"])
    arrays: dict[str, Any] = {**dict(zip(columns.schema.names, columns.columns, strict=True)), "namespace": namespaces}
    if encoded:
        arrays |= {"namespace": namespaces.dictionary_encode()}

    order = sort_rows(pa.RecordBatch.from_pydict(arrays), MODEL_SERVER)

    assert [f"{columns.column('series_id')[row]}" for row in order] == ["s_a", "s_d", "s_b", "s_c"]


def test_numbers_that_are_equal_leave_the_order_to_the_next_column() -> None:
    """A CPU's number is an integer: taken by its place it would never be equal, and modes stood in any order."""
    node = find_table("node")
    names = [field.name for field in data_schema(node) if field.name not in ("timestamp", "value")]
    given: dict[str, Any] = {
        "series_id": ["s_d", "s_c", "s_b", "s_a"],
        "cpu": pa.array([1, 1, None, 0], pa.int32()),
        "mode": [*"yxzz"],
    }
    columns = pa.RecordBatch.from_pydict({name: given.get(name, ["-"] * 4) for name in names})

    order = sort_rows(columns, node)

    assert [given["series_id"][row] for row in order] == ["s_a", "s_c", "s_d", "s_b"]


@given(
    codes=st.lists(st.integers(-1, 5), min_size=1, max_size=30),
    lengths=st.lists(st.integers(1, 4), min_size=30, max_size=30),
)
def test_a_row_group_shows_what_its_segments_hold(codes: list[int], lengths: list[int]) -> None:
    """Codes are made dense and repeated; no value may move to another series, and none that is unused may stay."""
    segments = some_segments([str(n) for n in range(len(codes))], lengths[: len(codes)])
    values = [f"ns_{n}" for n in range(6)]
    namespaces: Any = pa.DictionaryArray.from_arrays(
        pa.array([None if code < 0 else code for code in codes], pa.int32()), pa.array(values)
    )
    at = segments.columns.schema.get_field_index("namespace")
    arrays = [namespaces if n == at else column for n, column in enumerate(segments.columns.columns)]
    columns = pa.RecordBatch.from_arrays(arrays, names=segments.columns.schema.names)

    group = build_row_group(dataclasses.replace(segments, columns=columns), data_schema(MODEL_SERVER), {})

    group.validate(full=True)
    wanted = [None if code < 0 else values[code] for code, n in zip(codes, lengths, strict=False) for _ in range(n)]
    found: Any = group.column("namespace")
    assert found.to_pylist() == wanted
    assert sorted(found.dictionary.to_pylist()) == sorted({value for value in wanted if value is not None})
