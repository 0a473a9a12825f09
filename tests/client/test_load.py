"""What load and select give, against the planted values."""

from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import opscommons as oc
from opscommons._instants import Instant
from opscommons._selection import Where
from tests.client.builders import Planted, Table, flip_byte, instant, series_id, tables

POINTS = 288


def planted_values(name: str) -> dict[tuple[str, datetime], float | None]:
    (metric,) = (metric for table in tables() for metric in table.metrics if metric.name == name)
    return {
        (series_id(name, number), instant(point)): metric.value(number, point)
        for number in range(len(metric.series))
        for point in range(POINTS)
    }


@pytest.mark.parametrize("table", tables(), ids=lambda table: table.name)
def test_load_gives_exactly_what_was_planted(store: Path, table: Table) -> None:
    for metric in table.metrics:
        loaded = oc.open(store).select(metric.name).arrow()

        keys = zip(loaded["series_id"].to_pylist(), loaded["timestamp"].to_pylist(), strict=True)
        assert dict(zip(keys, loaded["value"].to_pylist(), strict=True)) == planted_values(metric.name)
        assert loaded.column_names == ["timestamp", "series_id", *table.labels, "value"]


def test_the_long_frame_has_plain_types(store: Path) -> None:
    df = oc.open(store).load(["node_load1", "DCGM_FI_DEV_GPU_UTIL"])

    assert list(df.columns) == [
        *("metric", "timestamp", "series_id", "node", "cpu", "mode", "kernel"),
        *("gpu", "namespace", "pod", "workload_kind", "value"),
    ]
    assert str(df["timestamp"].dtype) == "datetime64[ms, UTC]"
    assert str(df["gpu"].dtype) == "Int32"
    assert str(df["node"].dtype) == "category"
    assert df["value"].dtype == np.float64
    assert list(df["metric"].unique()) == ["node_load1", "DCGM_FI_DEV_GPU_UTIL"]
    assert df[df["metric"] == "node_load1"]["namespace"].isna().all()


def test_one_name_has_no_metric_column_and_a_list_always_has(store: Path) -> None:
    """The shape follows from the call, not from how many names happen to be in the list."""
    release = oc.open(store)

    assert "metric" not in release.load("node_load1").columns
    assert list(release.load(["node_load1"])["metric"].unique()) == ["node_load1"]


@pytest.mark.parametrize(
    ("start", "end", "count"),
    [
        (None, None, POINTS),
        ("2026-11-22T01:00", "2026-11-22T02:00", 6),
        ("2026-11-22T01:00:00.0001Z", "2026-11-22T02:00:00.0001Z", 6),
        ("2026-11-22T02:00+01:00", "2026-11-22T03:00+01:00", 6),
        (datetime(2026, 11, 22, 1), datetime(2026, 11, 22, 2, tzinfo=UTC), 6),  # noqa: DTZ001 - naive is UTC
        (datetime(2026, 11, 22, 2, tzinfo=timezone(timedelta(hours=1))), "2026-11-22T02:00", 6),
        (pd.Timestamp("2026-11-22T01:00Z"), pd.Timestamp("2026-11-22T02:00Z"), 6),
        (date(2026, 11, 23), None, 144),
        (None, "2026-11-23", 144),
        ("2026-11-22T23:50", "2026-11-23T00:10", 2),
        ("2030-01-01", None, 0),
    ],
)
def test_spans_are_half_open(store: Path, start: Instant, end: Instant, count: int) -> None:
    df = oc.open(store).load("vllm:num_requests_running", start=start, end=end)

    assert len(df) == count
    assert list(df.columns) == ["timestamp", "series_id", "namespace", "pod", "value"]


def test_only_files_that_overlap_are_read(store: Path) -> None:
    release = oc.open(store)

    assert [file.date for file in release.select("node_load1", start="2026-11-23").files] == [date(2026, 11, 23)]
    assert [file.date for file in release.select("node_load1", end="2026-11-23").files] == [date(2026, 11, 22)]
    assert len(release.select("node_load1", end="2026-11-23T00:00:00.001").files) == 2
    assert release.select("node_load1").bytes == sum(file.bytes for file in release.select("node_load1").files)


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ({"namespace": "ns_x"}, 2 * POINTS),
        ({"namespace": ["ns_x", "ns_z"]}, 4 * POINTS),
        ({"namespace": {"ns_x"}, "pod": ("pod_x1", "pod_y1")}, POINTS),
        ({"namespace": pd.Series(["ns_y"])}, 2 * POINTS),
        ({"namespace": "ns_nobody"}, 0),
        ({"namespace": []}, 0),
        ({"namespace": None}, 0),
        ({"value": 0.0}, 1),
    ],
)
def test_where_keeps_rows_with_these_labels(store: Path, where: Where, rows: int) -> None:
    assert len(oc.open(store).load("container_memory_working_set_bytes", where=where)) == rows


def test_where_matches_numbers_and_absent_labels(store: Path) -> None:
    release = oc.open(store)

    assert set(release.load("DCGM_FI_DEV_GPU_UTIL", where={"gpu": 1})["workload_kind"]) == {"notebook"}
    assert len(release.load("node_cpu_seconds_total", where={"kernel": None})) == 4 * POINTS
    assert len(release.load("node_cpu_seconds_total", where={"mode": ["idle", None]})) == 2 * POINTS
    with pytest.raises(oc.BadRequest, match=r"where\['gpu'\] is 'first', wanted values of type int32"):
        release.load("DCGM_FI_DEV_GPU_UTIL", where={"gpu": "first"})


def test_a_metric_whose_table_lacks_the_column_has_no_matching_rows(store: Path) -> None:
    df = oc.open(store).load(["node_load1", "DCGM_FI_DEV_GPU_UTIL"], where={"gpu": 0})

    assert set(df["metric"]) == {"DCGM_FI_DEV_GPU_UTIL"}


def test_columns_are_given_in_the_order_asked_for(store: Path) -> None:
    release = oc.open(store)

    assert list(release.load("node_load1", columns=["value", "node"]).columns) == ["value", "node"]
    assert list(release.load("node_load1", columns=["metric", "value"]).columns) == ["metric", "value"]
    rates = release.load("node_cpu_seconds_total", columns=["value"], rate=True)
    assert list(rates.columns) == ["value"]
    assert rates["value"].max() == pytest.approx(0.4)


def test_unknown_names_suggest_the_nearest(store: Path) -> None:
    release = oc.open(store)

    with pytest.raises(oc.UnknownMetric, match="nearest: container_memory_working_set_bytes") as caught:
        release.load("container_memory_workingset_bytes")
    assert caught.value.nearest == ("container_memory_working_set_bytes",)
    with pytest.raises(oc.UnknownMetric, match="nearest: node_cpu_seconds_total"):
        release.load("node_cpu")
    with pytest.raises(oc.UnknownTable, match="nearest: container"):
        release.series("containers")
    with pytest.raises(oc.UnknownTable):
        release.metrics("pods")
    with pytest.raises(oc.UnknownColumn, match=r"no column 'name_space' in table container; nearest: namespace"):
        release.load("container_memory_working_set_bytes", where={"name_space": "ns_x"})
    with pytest.raises(oc.UnknownColumn, match="nearest: node"):
        release.load("node_load1", columns=["nod"])
    with pytest.raises(LookupError):
        release.load("nothing like it")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"start": "yesterday"}, "'yesterday' is no instant; wanted ISO 8601"),
        ({"start": "2026-11-23", "end": "2026-11-22"}, "is not before end"),
        ({"layout": "tall"}, "layout is 'tall', wanted 'long' or 'wide'"),
        ({"metrics": []}, "wanted a name or a list of names"),
    ],
)
def test_what_cannot_be_asked_is_said(store: Path, asked: dict[str, Any], message: str) -> None:
    with pytest.raises(oc.BadRequest, match=message):
        oc.open(store).load(**({"metrics": "node_load1"} | asked))


def test_rates_are_the_increase_per_second(store: Path) -> None:
    """60 per ten minutes are 0.1 per second; after the planted reset the counter stands at 30."""
    df = oc.open(store).load("node_cpu_seconds_total", rate=True)
    first = df[df["series_id"] == series_id("node_cpu_seconds_total", 0)]["value"].to_numpy()

    assert np.isnan(first[0])
    assert first[1:100] == pytest.approx(np.full(99, 0.1))
    assert first[100] == pytest.approx(30 / 600)
    assert first[101:] == pytest.approx(np.full(187, 0.1))
    assert (df.groupby("series_id", observed=True)["value"].count() == POINTS - 1).all()


def test_gauges_have_no_rate(store: Path) -> None:
    release = oc.open(store)

    pd.testing.assert_frame_equal(release.load("node_load1", rate=True), release.load("node_load1"))


def test_wide_has_one_column_per_series(store: Path) -> None:
    names = ["node_load1", "container_memory_working_set_bytes"]
    wide = oc.open(store).load(names, layout="wide", start="2026-11-22T06:00", end="2026-11-23T06:00")

    assert wide.shape == (144, 8)
    assert wide.columns.names == ["metric", "series_id"]
    assert str(wide.index.dtype) == "datetime64[ms, UTC]"
    assert wide.index.name == "timestamp"
    assert wide.index.is_monotonic_increasing
    for name in names:
        for (series, moment), value in planted_values(name).items():
            if moment in wide.index:
                assert wide.loc[moment, (name, series)] == value
    assert wide["node_load1"].shape == (144, 2)


def test_wide_rates_and_headings(store: Path) -> None:
    wide = oc.open(store).load(
        ["node_cpu_seconds_total", "node_load1"], layout="wide", rate=True, columns=["node", "mode"]
    )

    assert wide.columns.names == ["metric", "series_id", "node", "mode"]
    user = wide.loc[:, (wide.columns.get_level_values("mode") == "user")]
    assert user.iloc[1:100].to_numpy() == pytest.approx(np.tile([0.2, 0.4], (99, 1)))
    assert wide["node_load1"].iloc[-1].tolist() == [287 / 8, 1 + 287 / 8]


def test_nothing_found_keeps_the_shape(store: Path) -> None:
    release = oc.open(store)

    for rate in (False, True):
        empty = release.load("node_cpu_seconds_total", start="2030-01-01", rate=rate)
        full = release.load("node_cpu_seconds_total")
        assert empty.empty
        assert empty.dtypes.map(str).to_dict() == full.dtypes.map(str).to_dict()
    assert release.load(["node_load1"], layout="wide", where={"node": "node_z"}).shape == (0, 0)


def test_nulls_are_missing_values(store: Path) -> None:
    """A device that answers "not supported" has a null, never a zero."""
    df = oc.open(store).load("DCGM_FI_DEV_GPU_UTIL")

    assert df["value"].isna().sum() == 2


def test_every_form_holds_the_same_samples(store: Path) -> None:
    selection = oc.open(store).select("vllm:num_requests_running", start="2026-11-23")

    arrow = selection.arrow()
    assert isinstance(arrow, pa.Table)
    assert arrow.num_rows == 144
    total = selection.pandas()["value"].sum()
    assert selection.polars()["value"].sum() == total
    assert selection.duckdb().aggregate("sum(value)").fetchall() == [(total,)]


def test_a_duckdb_connection_may_be_given(store: Path) -> None:
    import duckdb

    with duckdb.connect() as connection:
        samples = oc.open(store).select(["node_load1"]).duckdb(connection)
        found = samples.filter("node = 'node_b'").aggregate("count(*), min(value), any_value(metric)").fetchall()

    assert found == [(POINTS, 1.0, "node_load1")]


def test_a_damaged_local_file_is_named(planted: Planted) -> None:
    path = planted.paths()[0]
    (planted.folder / path).write_bytes((planted.folder / path).read_bytes()[:-100])

    with pytest.raises(oc.CorruptFile, match=r"part-0\.parquet in .* has \d+ bytes, wanted \d+") as caught:
        oc.open(planted.folder).load("node_cpu_seconds_total")
    assert caught.value.paths == (path,)


def test_a_local_file_with_a_broken_page_is_named(planted: Planted) -> None:
    path = planted.paths()[1]
    flip_byte(planted.folder / path, at=30)
    flip_byte(planted.folder / path, at=5)

    with pytest.raises(oc.CorruptFile, match="cannot be read and has other bytes") as caught:
        oc.open(planted.folder).load("node_cpu_seconds_total")
    assert caught.value.paths == (path,)


def test_an_absent_local_file_is_named(planted: Planted) -> None:
    (planted.folder / planted.paths()[0]).unlink()

    with pytest.raises(oc.MissingFile, match="bring it: opscommons download"):
        oc.open(planted.folder).load("node_cpu_seconds_total")
