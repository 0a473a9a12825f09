"""What Parquet files hold: exactly the published rows, sorted, and nothing beside them."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.parquet import (
    ROW_GROUP_ROWS,
    Segments,
    choose_value_encoding,
    concat_segments,
    expand_row_groups,
    open_writer,
    sort_segments,
)
from jobs.release.staged import read_segments
from jobs.snapshot.runs import RunWriter
from schemas.arrow import data_schema
from schemas.errors import SourceError
from schemas.registry import find_table
from schemas.table import TableSchema

MODEL_SERVER = find_table("model_server")
METRIC = MODEL_SERVER.metrics[0].name


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
    first, second = some_segments(["b", "a"], [2, 3]), some_segments(["b", "c"], [1, 2], start=1_000_000)

    found = sort_segments(concat_segments([first, second]), MODEL_SERVER)

    assert found.columns.column("series_id").to_pylist() == ["s_a", "s_b", "s_b", "s_c"]
    assert found.lengths.tolist() == [3, 2, 1, 2]
    assert found.values.tolist() == [2, 3, 4, 0, 1, 1_000_000, 1_000_001, 1_000_002]


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


def test_runs_are_bounded_sorted_and_complete(tmp_path: Path) -> None:
    """A window of any size is written in pieces of bounded size, each sorted, that together hold every row."""
    metrics = sorted(metric.name for metric in MODEL_SERVER.metrics)[:2]
    with RunWriter(tmp_path, MODEL_SERVER, run_rows=100) as writer:
        for metric in metrics:
            writer.begin_metric(metric)
            for number in range(5):
                writer.add(some_segments([f"{9 - number}", f"{number}x"], [20, 20]))
            writer.end_metric()

    assert sum(writer.files.values()) == 2 * 5 * 40
    assert max(writer.files.values()) <= 140
    for path, rows in writer.files.items():
        read = pq.read_table(path)
        assert read.num_rows == rows
        keys = list(zip(*(read.column(name).to_pylist() for name in ("metric", "namespace", "timestamp")), strict=True))
        assert keys == sorted(keys)
    for metric in metrics:
        assert sum(part.rows for part in read_segments(writer.files, MODEL_SERVER, metric)) == 5 * 40


def test_two_series_with_one_identity_are_refused(tmp_path: Path) -> None:
    """Two replicas of one server must not be interleaved into a series that never was."""
    with RunWriter(tmp_path, MODEL_SERVER) as writer:
        writer.begin_metric(METRIC)
        writer.add(some_segments(["a"], [3]))

        with pytest.raises(SourceError, match="replica labels"):
            writer.add(some_segments(["a"], [3]))
