"""Native histograms from a real server into the staging store, against what was planted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from collector import native, remote_read
from collector.histograms import decode_histograms
from jobs.snapshot.series import NO_TREATMENT
from schemas.native import staged_native_schema
from schemas.registry import find_table
from tests.collector.histogram_oracle import from_plan
from tests.jobs.native import (
    AGE,
    ALONE,
    LATENCY,
    NAN_WITH_A_MESSAGE,
    QUARTER,
    SECRET,
    canonical,
    collect,
    coverage_of,
    floats_of,
    grid_of,
    histograms_of,
    in_order,
    planted,
    settings_of,
    to_ms,
)
from tests.prometheus.server import RealPrometheus


def test_a_window_holds_what_was_planted_each_grid_point_in_one_form(
    native_server: RealPrometheus, native_end: datetime, tmp_path: Path
) -> None:
    """The series are told apart by what they hold: their names are gone."""
    settings = settings_of(tmp_path, native_server.url)
    record = collect(settings, native_end)

    grid = grid_of(native_end)
    wanted = [from_plan(samples, grid) for samples in planted(native_end).values()]
    histograms = histograms_of(settings, record, LATENCY)
    floats = floats_of(settings, record, LATENCY)
    assert in_order(histograms.values()) == in_order(canonical(points) for points, _ in wanted if points)
    assert in_order(floats.values()) == in_order(points for _, points in wanted if points)
    both = histograms.keys() & floats.keys()
    assert len(both) == 2
    assert not any(histograms[name].keys() & floats[name].keys() for name in both)
    found = coverage_of(record, LATENCY)
    assert (found.series, found.status, found.skipped) == (len(wanted), "complete", {})
    assert found.native_rows == sum(map(len, histograms.values()))
    assert found.rows == found.native_rows + sum(map(len, floats.values()))
    times = range(to_ms(native_end - QUARTER), to_ms(native_end))
    kept = [s for samples in planted(native_end).values() for time, s in samples if time in times]
    assert found.hours[0].received == sum(isinstance(one, int) or not one.stale for one in kept)


def test_a_staged_file_of_histograms_is_sorted_scanned_and_of_its_schema(
    native_server: RealPrometheus, native_end: datetime, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path, native_server.url)
    record = collect(settings, native_end)

    (file,) = [each for each in record.files if each.form == "native"]
    path = Path(settings.staging.removeprefix("file:")) / file.path
    rows = pq.read_table(path)
    assert rows.schema == staged_native_schema(find_table("container"))
    names = ("metric", *find_table("container").sort_key, "series_id", "timestamp")
    keys = [tuple(row[name] for name in names) for row in rows.to_pylist()]
    assert keys == sorted(keys)
    assert len(keys) == file.rows
    assert (file.raw_scan.hits, file.raw_scan.searched > 5) == (0, True)
    content = path.read_bytes()
    assert SECRET.encode() not in content
    assert (NAN_WITH_A_MESSAGE).to_bytes(8, "little") not in content
    with pq.ParquetFile(path, read_dictionary=["pod"]) as opened:
        for group in range(opened.num_row_groups):
            column: Any = opened.read_row_group(group, columns=["pod"]).column(0).chunk(0)
            assert set(column.dictionary.to_pylist()) == set(column.to_pylist())


def test_a_window_without_histograms_says_nothing_of_them(
    native_server: RealPrometheus, native_end: datetime, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path, native_server.url)
    record = collect(settings, native_end, match={"pod": f"{SECRET}-plain"})

    assert [file.form for file in record.files] == ["float"]
    assert not any(each.native_rows or each.skipped for each in record.coverage)
    assert histograms_of(settings, record, LATENCY) == {}


def test_a_series_of_an_unknown_form_is_skipped_and_counted_and_the_others_are_there(
    native_server: RealPrometheus,
    native_end: datetime,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What a later Prometheus may send; it must neither stop the window nor pass for something else."""
    join = remote_read.join_series

    def change(parts: Any) -> Iterator[Any]:  # noqa: ANN401 - handed on
        for labels, given in join(parts):
            chunks: list[Any] = given
            if ("pod", f"{SECRET}-steady") in labels and ("__name__", "up") not in labels:
                for each in chunks:
                    each.type = 9
            yield labels, chunks

    monkeypatch.setattr(remote_read, "join_series", change)
    settings = settings_of(tmp_path, native_server.url)
    record = collect(settings, native_end)

    found = coverage_of(record, LATENCY)
    assert found.skipped == {"a chunk encoding that is not known": 1}
    assert (found.status, found.series) == ("complete", len(planted(native_end)) - 1)
    others = {pod: samples for pod, samples in planted(native_end).items() if not pod.endswith("steady")}
    points = [canonical(from_plan(samples, grid_of(native_end))[0]) for samples in others.values()]
    assert in_order(histograms_of(settings, record, LATENCY).values()) == in_order(filter(None, points))
    alone = coverage_of(record, ALONE)
    assert (alone.status, alone.reason, alone.rows) == ("empty", "in a form that is not known", 0)
    skipped = [each for each in caplog.records if each.message == "series skipped"]
    assert {getattr(each, "metric", None) for each in skipped} == {LATENCY, AGE, ALONE}
    assert SECRET not in caplog.text + str([vars(each) for each in skipped])


def test_a_series_that_goes_on_in_the_next_block_is_counted_once(
    native_server: RealPrometheus, native_end: datetime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block ends when it is full, wherever that is: the same rows and counts must come of blocks of any size."""
    wanted = collect(settings_of(tmp_path / "wide", native_server.url), native_end)
    small = partial(decode_histograms, block_buckets=60)  # a few rows
    monkeypatch.setattr(native, "decode_histograms", small)
    settings = settings_of(tmp_path / "narrow", native_server.url)

    record = collect(settings, native_end)

    assert record.coverage == wanted.coverage
    grid = grid_of(native_end)
    points = [canonical(from_plan(samples, grid)[0]) for samples in planted(native_end).values()]
    assert in_order(histograms_of(settings, record, LATENCY).values()) == in_order(filter(None, points))
    (file,) = [each for each in record.files if each.form == "native"]
    path = Path(settings.staging.removeprefix("file:")) / file.path
    assert pq.read_metadata(path).num_row_groups > 25


def test_histograms_of_a_metric_whose_values_are_treated_are_not_published(
    native_server: RealPrometheus, native_end: datetime, tmp_path: Path
) -> None:
    """An age is published for a start time; what would be that of a histogram nobody has decided."""
    settings = settings_of(tmp_path, native_server.url)
    record = collect(settings, native_end)

    found = coverage_of(record, AGE)
    assert found.skipped == {NO_TREATMENT: 1}
    assert (found.rows, found.native_rows) == (0, 0)
    assert histograms_of(settings, record, AGE) == {}
