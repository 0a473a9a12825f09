"""The audit finds an instant in another time than the release's, wherever it stands. Shipped metrics have none."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from anonymize.audit.instants import InstantSearch, check_instants
from schemas.manifest import Manifest, ReleaseFile, ReleaseInfo, Totals
from schemas.registry import find_table, shipped_tables
from schemas.table import Metric
from schemas.timeline import TimeMode

START = datetime(2011, 3, 6, tzinfo=UTC)
HOUR = timedelta(hours=1)
NOW = 1_790_000_000.0
"""Seconds since 1970 of an instant in 2026."""
INSTANTS = re.compile(
    r"_created$|start_time|_timestamp|boot_time|_last_\w*(time|timestamp|update)|completion_time|resource_version|"
    r"_time$|expir|^ALERTS_FOR_STATE$"
)
"""Names by which exporters call an instant."""
DURATIONS = re.compile(r"(_bucket|_sum|_count|_total)$")


def find_instants(metric: Metric, series: Any, values: Any) -> int:  # noqa: ANN401 - arrays
    """Return what is found when rows come one by one, which is what they give in one piece."""
    whole, single = InstantSearch(metric), InstantSearch(metric)
    whole.add(series, values)
    for at in range(len(values)):
        single.add(series[at : at + 1], values[at : at + 1])
    assert single.found == whole.found
    return whole.found


def a_metric(kind: str = "gauge", unit: str = "seconds", **fields: Any) -> Metric:  # noqa: ANN401 - any field
    return Metric.model_validate(
        {"name": "m", "type": kind, "unit": unit, "exporter": "made up", "meaning": "Made up for tests."} | fields
    )


def a_release(folder: Path, role: str, path: str, *, time: TimeMode = "shifted", **fields: Any) -> Manifest:  # noqa: ANN401
    """A manifest of one hour with one file."""
    manifest = Manifest(
        release=ReleaseInfo(version="2026.11.0", title="t", license="CC-BY-4.0", maintainer="m", contact="c"),
        provenance="simulated",
        created=START + 2 * HOUR,
        start=START,
        end=START + HOUR,
        step_ms=30_000,
        time=time,
        sources=(),
        key_id="k_0",
        policy="default",
        policy_digest="sha256:0",
        tables=(),
        totals=Totals(files=1, bytes=0, data_bytes=0, rows=0, series=0),
        files=(ReleaseFile(path=path, role=role, bytes=0, sha256="0", **fields),),
    )
    (folder / "manifest.json").write_text(manifest.model_dump_json())
    return manifest


def codes(folder: Path, manifest: Manifest) -> set[str]:
    tables = {"job": find_table("job")}
    return {finding.code for finding in check_instants(folder, manifest, tables)}


@pytest.mark.parametrize("table", shipped_tables(), ids=lambda table: f"{table.table}-{table.version}")
def test_no_shipped_metric_publishes_an_instant(table: Any) -> None:  # noqa: ANN401
    """A start to the second is unique for nearly every workload, and tells the shift of all other times."""
    for metric in table.metrics:
        if INSTANTS.search(metric.name) and not DURATIONS.search(metric.name):
            assert metric.value == "age", f"{table.table}: {metric.name} is {metric.value}; wanted age"


def test_the_names_by_which_instants_go_are_known() -> None:
    known = {metric.name for table in shipped_tables() for metric in table.metrics if metric.value == "age"}

    assert {name for name in known if not INSTANTS.search(name)} == set()
    assert {"kube_pod_start_time", "kube_cronjob_status_last_schedule_time", "container_start_time_seconds"} <= known


@pytest.mark.parametrize("scale", [1, 1e3, 1e6, 1e9])
def test_an_instant_in_a_gauge_of_seconds_is_found_in_any_unit(scale: float) -> None:
    series, values = np.arange(3), np.array([86_400.0, NOW * scale, np.nan])

    assert find_instants(a_metric(), series, values) == 1


@pytest.mark.parametrize(
    ("metric", "values"),
    [
        (a_metric(), [3.15e8, 86_400.0]),  # ten years
        (a_metric(unit="microseconds"), [NOW, NOW]),  # half an hour
        (a_metric(unit="bytes"), [NOW, NOW]),
        (a_metric("counter", "count"), [NOW, NOW + 1]),
        (a_metric("counter", "seconds"), [NOW, NOW + 1]),
        (a_metric(unit="count"), [NOW, 12.0]),
        (a_metric(unit="count", value="bucket"), [1.5 * 2**30, 1.5 * 2**30]),
    ],
)
def test_large_numbers_that_are_no_instants_pass(metric: Metric, values: list[float]) -> None:
    """An audit that cries wolf stops honest releases."""
    series = np.repeat(np.arange(4), 2)

    assert find_instants(metric, series, np.array(values * 4)) == 0


@pytest.mark.parametrize("unit", ["count", "1", "code", "seconds"])
@pytest.mark.parametrize("kind", ["counter", "untyped"])
def test_an_instant_that_is_declared_as_something_else_is_found(kind: str, unit: str) -> None:
    series = np.repeat(np.arange(4), 2)
    values = np.repeat(NOW + np.arange(4) * 100.0, 2)

    assert find_instants(a_metric(kind, unit), series, values) == 8


def test_a_file_with_an_instant_is_a_finding(tmp_path: Path) -> None:
    path = "data/job/metric=kube_job_status_start_time/date=2011-03-06/part-0.parquet"
    (tmp_path / path).parent.mkdir(parents=True)
    pq.write_table(pa.table({"series_id": ["a", "b"], "value": [NOW, 60.0]}), tmp_path / path)

    manifest = a_release(tmp_path, "data", path, table="job", metric="kube_job_status_start_time")

    assert codes(tmp_path, manifest) == {"start-like-value"}


@pytest.mark.parametrize(
    ("hour", "found"),
    [
        (START, set()),
        (START + timedelta(minutes=30), {"hour-off-grid"}),
        (START + HOUR, {"hour-outside-release"}),
        (START - HOUR, {"hour-outside-release"}),
        (datetime(2026, 11, 1, tzinfo=UTC), {"hour-outside-release"}),
    ],
)
def test_hours_of_the_coverage_are_those_of_the_release(hour: datetime, found: set[str], tmp_path: Path) -> None:
    hours = pa.array([hour], pa.timestamp("ms", tz="UTC"))
    pq.write_table(pa.table({"hour": hours}), tmp_path / "coverage.parquet")

    assert codes(tmp_path, a_release(tmp_path, "coverage", "coverage.parquet")) == found


@pytest.mark.parametrize(
    ("instant", "found"),
    [
        (START, set()),
        (START + timedelta(seconds=1), {"timestamp-off-grid"}),
        (START + timedelta(weeks=800), {"timestamp-outside-release"}),
    ],
)
def test_instants_of_a_series_index_are_those_of_the_release(
    instant: datetime, found: set[str], tmp_path: Path
) -> None:
    times = pa.array([instant], pa.timestamp("ms", tz="UTC"))
    pq.write_table(pa.table({"first_timestamp": times, "last_timestamp": times}), tmp_path / "s.parquet")

    assert codes(tmp_path, a_release(tmp_path, "series", "s.parquet", table="job")) == found


@pytest.mark.parametrize("time", ["shifted", "relative", "calendar"])
@pytest.mark.parametrize("text", ["since 2026-11-01", '{"start": "2026-11-01T00:00:00+00:00"}', "2026-11-01"])
def test_a_day_of_the_calendar_in_a_text_is_found_in_moved_time(text: str, time: TimeMode, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(f"From 2011-03-06 on; 1234-99-99; {text}.\n")

    found = codes(tmp_path, a_release(tmp_path, "card", "README.md", time=time))

    assert found == ({"day-outside-release"} if time != "calendar" else set())


def test_a_span_off_the_grid_is_found(tmp_path: Path) -> None:
    manifest = a_release(tmp_path, "card", "README.md").model_copy(update={"start": START + timedelta(seconds=7)})

    assert "span-off-grid" in codes(tmp_path, manifest)
