"""Staged runs of native histograms merged into released files: order, row groups, and how much is held."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.parquet import ROW_GROUP_ROWS, build_group
from jobs.release import native
from jobs.release.native import write_native_day
from jobs.snapshot.runs import RunStart, RunWriter
from schemas.errors import StoreError
from schemas.native import VALUE_COLUMNS, VALUE_FIELDS, native_schema, staged_native_schema
from schemas.registry import find_table

TABLE: Final = find_table("model_server")
METRIC, OTHER = "vllm:num_requests_running", "vllm:num_requests_waiting"
DAY: Final = dt.date(2026, 11, 1)
START: Final = 1_793_491_200_000


def write_run(
    writer: RunWriter, metric: str, names: Sequence[str], rows: int, *, start: int = START, buckets: int = 2
) -> None:
    """Write one run with these series, each of so many rows; counts tell series and row apart."""
    fields = [each for each in native_schema(TABLE) if each.name not in ("timestamp", *VALUE_COLUMNS)]
    given = {"series_id": [f"s_{name}" for name in names], "namespace": [f"ns_{name}" for name in names]}
    columns: list[Any] = [
        pa.array(given[each.name]) if each.name in given else pa.nulls(len(names), each.type) for each in fields
    ]
    total = rows * len(names)
    counts = [[ord(name[0]) * 1_000_000.0 + row] * buckets for name in names for row in range(rows)]
    spans = [[{"offset": 1, "length": buckets}]] * total
    values: dict[str, Any] = {
        "timestamp": [start + row * 30_000 for _ in names for row in range(rows)],
        "schema": [3] * total,
        **dict.fromkeys(("zero_threshold", "zero_count", "sum", "count"), [1.0] * total),
        "positive_spans": spans,
        "positive_counts": counts,
        **dict.fromkeys(("negative_spans", "negative_counts", "custom_bounds"), [[]] * total),
    }
    schema = staged_native_schema(TABLE)
    arrays = {name: pa.array(column, schema.field(name).type) for name, column in values.items()}
    batch = pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))
    writer.begin(RunStart(metric, total, encoding=None))
    writer.add(build_group(batch, np.full(len(names), rows), arrays, schema, {"metric": metric}))


def stage(folder: Path, metric: str, names: Sequence[str], rows: int, **other: int) -> Path:
    """Write one staged file, with another metric before and behind."""
    folder.mkdir()
    with RunWriter(folder, TABLE) as writer:
        write_run(writer, metric, names, rows, **other)
        write_run(writer, OTHER, ["x"], 3)
    (path,) = writer.files
    return path


def as_is(folder: Path) -> dict[str, Any]:
    """Nothing is hidden, and runs that must be sorted are written into the folder."""
    return {"hide": lambda columns: columns, "scratch": folder}


def test_series_of_several_windows_and_runs_stand_together_by_time(tmp_path: Path) -> None:
    paths = [
        stage(tmp_path / "0", METRIC, ["a", "c"], 20),
        stage(tmp_path / "1", METRIC, ["b"], 20),
        stage(tmp_path / "2", METRIC, ["a", "b", "d"], 20, start=START + 600_000),
    ]

    made = write_native_day(paths, TABLE, METRIC, DAY, tmp_path, **as_is(tmp_path))

    assert made is not None
    path = tmp_path / made.path
    rows = pq.read_table(path, partitioning=None)
    assert made.path.startswith("data/model_server_nh/metric=vllm%3Anum_requests_running/date=2026-11-01/")
    assert (made.rows, made.first_ms, made.last_ms) == (120, START, START + 39 * 30_000)
    assert rows.schema == native_schema(TABLE)
    keys = [(row["namespace"], row["timestamp"]) for row in rows.to_pylist()]
    assert keys == sorted(keys)
    assert len(set(keys)) == 120
    assert rows.column("positive_counts").to_pylist() == [
        [ord(name) * 1_000_000.0 + row] * 2 for name in "aabbcd" for row in range(20)
    ]
    assert write_native_day(paths, TABLE, "vllm:num_requests_swapped", DAY, tmp_path, **as_is(tmp_path)) is None


def test_histograms_move_in_time_as_values_do(tmp_path: Path) -> None:
    """``shift_ms`` moves rows, the extremes that the manifest tells, and nothing else."""
    paths = [stage(tmp_path / "0", METRIC, ["a", "b"], 20)]
    week = 7 * 86_400_000

    as_it_was = write_native_day(paths, TABLE, METRIC, DAY, tmp_path / "as-it-was", **as_is(tmp_path))
    moved = write_native_day(
        paths, TABLE, METRIC, DAY + dt.timedelta(weeks=1), tmp_path / "moved", **as_is(tmp_path), shift_ms=week
    )

    assert as_it_was is not None
    assert moved is not None
    assert moved.path == as_it_was.path.replace("date=2026-11-01", "date=2026-11-08")
    assert (moved.first_ms, moved.last_ms) == (as_it_was.first_ms + week, as_it_was.last_ms + week)
    before, after = (
        pq.read_table(tmp_path / folder / made.path, partitioning=None).to_pylist()
        for folder, made in (("as-it-was", as_it_was), ("moved", moved))
    )
    assert [row | {"timestamp": row["timestamp"] + dt.timedelta(weeks=1)} for row in before] == after


def test_row_groups_are_cut_by_rows_and_by_buckets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader fetches whole row groups, so one of many buckets has fewer rows."""
    paths = [stage(tmp_path / "0", METRIC, ["a", "b"], ROW_GROUP_ROWS - 10)]

    made = write_native_day(paths, TABLE, METRIC, DAY, tmp_path, **as_is(tmp_path))
    assert made is not None
    by_rows = _group_rows(tmp_path / made.path)
    monkeypatch.setattr(native, "GROUP_BUCKETS", 1 << 14)
    made = write_native_day(
        [stage(tmp_path / "1", METRIC, "abcdefgh", 60, buckets=64)],
        TABLE,
        METRIC,
        DAY,
        tmp_path,
        **as_is(tmp_path),
    )
    assert made is not None

    assert by_rows == [ROW_GROUP_ROWS, ROW_GROUP_ROWS - 20]
    assert _group_rows(tmp_path / made.path) == [300, 180]  # series stay whole where they can
    with pq.ParquetFile(tmp_path / made.path, read_dictionary=["namespace"]) as file:
        column: Any = file.read_row_group(1, columns=["namespace"]).column(0).chunk(0)
        assert column.dictionary.to_pylist() == ["ns_f", "ns_g", "ns_h"]


def test_a_file_that_is_not_sorted_is_sorted_first(tmp_path: Path) -> None:
    """Merging it as it is would give a series the rows of another; what hides labels may leave it so."""
    paths = [
        stage(tmp_path / "0", METRIC, ["b", "a"], 5),
        stage(tmp_path / "1", METRIC, ["c", "a"], 5, start=START + 600_000),
    ]

    made = write_native_day(paths, TABLE, METRIC, DAY, tmp_path, **as_is(tmp_path))

    assert made is not None
    rows = pq.read_table(tmp_path / made.path, partitioning=None)
    assert rows.column("namespace").to_pylist() == [f"ns_{name}" for name in "aabc" for _ in range(5)]
    found: list[Any] = rows.column("positive_counts").to_pylist()
    assert [counts[0] for counts in found] == [ord(name) * 1_000_000.0 + row for name in "aabc" for row in range(5)]


def test_a_window_that_came_twice_is_refused(tmp_path: Path) -> None:
    """Every histogram of it would be counted twice."""
    paths = [stage(tmp_path / name, METRIC, ["a"], 5) for name in "01"]

    with pytest.raises(StoreError, match="twice or out of order"):
        write_native_day(paths, TABLE, METRIC, DAY, tmp_path, **as_is(tmp_path))


def test_numbers_are_never_dictionaries_of_a_staged_file(tmp_path: Path) -> None:
    """Counts differ from row to row; written with a dictionary they take twice the bytes."""
    path = stage(tmp_path / "0", METRIC, ["a"], 10)

    group = pq.read_metadata(path).row_group(0)
    leaves = {group.column(index).path_in_schema: group.column(index) for index in range(group.num_columns)}
    numbers = [leaf for name, leaf in leaves.items() if name.split(".")[0] in VALUE_COLUMNS]
    assert len(numbers) == len(VALUE_FIELDS) + 2  # spans are two leaves each
    assert not any(leaf.has_dictionary_page for leaf in numbers)
    assert "BYTE_STREAM_SPLIT" in leaves["positive_counts.list.element"].encodings


def _group_rows(path: Path) -> list[int]:
    metadata = pq.read_metadata(path)
    return [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
