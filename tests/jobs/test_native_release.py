"""Native histograms in a release: what was planted and what the server answers, audited, and as readers get them."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import opscommons
from jobs.clock import read_clock
from jobs.release.audited import run_audit
from jobs.release.build import build_release
from jobs.release.run import run_release
from jobs.snapshot.series import NO_TREATMENT
from schemas.native import native_schema
from schemas.registry import find_table
from schemas.windows import Window
from tests.collector.histogram_oracle import assert_like_json, from_json, from_plan
from tests.jobs.native import (
    AGE,
    ALONE,
    LATENCY,
    NAN_WITH_A_MESSAGE,
    PLAIN,
    QUARTER,
    SECRET,
    STEP,
    by_series,
    canonical,
    collect,
    collect_both,
    grid_of,
    in_order,
    numbered,
    planted,
    settings_of,
)
from tests.prometheus.server import RealPrometheus


def test_a_release_holds_what_was_planted_and_what_the_server_answers(
    native_server: RealPrometheus, native_end: datetime, tmp_path: Path
) -> None:
    """From two windows, so that series go on from one to the next; built twice, the bytes are the same."""
    settings = settings_of(tmp_path, native_server.url)
    collect_both(settings, native_end)

    manifest = run_release(settings, "2026.1.0", clock=read_clock).manifest
    folder = settings.work_dir / "releases/2026.1.0"
    again = build_release(settings, "2026.1.0", choose_span=lambda _: Window(native_end - 2 * QUARTER, native_end))

    assert again.manifest == manifest  # with the hash of every file
    files = [file for file in manifest.files if file.role == "native" and file.metric == LATENCY]
    assert {file.table for file in files} == {"container_nh"}
    tables = [pq.read_table(folder / file.path, partitioning=None) for file in files]
    assert all(table.schema == native_schema(find_table("container")) for table in tables)
    found = by_series(row for table in tables for row in numbered(table))
    grid = grid_of(native_end, windows=2)
    wanted = {pod: from_plan(samples, grid)[0] for pod, samples in planted(native_end).items()}
    assert in_order(found.values()) == in_order(canonical(points) for points in wanted.values() if points)
    theirs = from_json(
        native_server.query_range(LATENCY, start_ms=grid.start_ms, end_ms=grid.end_ms - STEP, step_ms=STEP)
    )
    for pod, points in wanted.items():
        assert_like_json(points, theirs[pod], pod)
    assert [table.table for table in manifest.tables] == ["container"]
    assert manifest.totals.rows == sum(file.rows or 0 for file in manifest.files if file.role in ("data", "native"))
    quality = json.loads((folder / "quality.json").read_text())["tables"]["container"]["metrics"]
    assert quality[LATENCY]["native_rows"] == sum(file.rows or 0 for file in files)
    assert quality[AGE]["series_windows_skipped"] == {NO_TREATMENT: 2}
    for path in folder.rglob("*"):
        assert path.is_dir() or SECRET.encode() not in path.read_bytes()


@pytest.mark.parametrize(
    ("column", "value", "code"),
    [
        ("sum", np.uint64(NAN_WITH_A_MESSAGE).view(np.float64), "nan-payload"),
        ("positive_counts", [np.uint64(NAN_WITH_A_MESSAGE).view(np.float64)] * 3, "nan-payload"),
        ("positive_counts", [1.0, 2.0], "spans-differ-from-counts"),
        ("positive_counts", [1.0, 0.0, 2.0], "spans-differ-from-counts"),
        ("negative_spans", [{"offset": 0, "length": 4}], "spans-differ-from-counts"),
        ("timestamp", 1_795_456_800_001, "timestamp-off-grid"),
        ("pod", f"{SECRET}-steady", "not-in-grammar"),
    ],
)
def test_the_audit_finds_what_no_histogram_has(
    native_server: RealPrometheus, native_end: datetime, tmp_path: Path, column: str, value: object, code: str
) -> None:
    settings = settings_of(tmp_path, native_server.url)
    collect(settings, native_end)
    folder = build_release(settings, "2026.1.0", choose_span=lambda _: Window(native_end - QUARTER, native_end)).folder
    assert run_audit(settings, folder, now=read_clock()).findings == ()
    (path,) = folder.glob(f"data/container_nh/metric={ALONE}/*/*.parquet")
    rows = pq.read_table(path, partitioning=None)

    at = rows.schema.get_field_index(column)
    values = [value, *rows.column(column).to_pylist()[1:]]
    changed = rows.set_column(at, rows.schema.field(column), pa.array(values, rows.schema.field(column).type))
    pq.write_table(changed, path, store_schema=False)

    findings = run_audit(settings, folder, now=read_clock()).findings
    assert code in {finding.code for finding in findings}
    assert SECRET not in str(findings)


def test_a_release_of_histograms_alone_says_whose_they_are(
    native_server: RealPrometheus, native_end: datetime, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path, native_server.url)
    collect(settings, native_end, match={"pod": f"{SECRET}-steady"})

    result = run_release(settings, "2026.1.0", clock=read_clock)

    assert [(table.table, table.rows) for table in result.manifest.tables] == [("container", 0)]
    assert {file.role for file in result.manifest.files if file.path.startswith("data/")} == {"native"}
    assert (result.folder / "schemas/container.json").exists()
    card = (result.folder / "README.md").read_text()
    assert "data/container_nh/**/*.parquet" in card
    assert "data/container/**/*.parquet" not in card
    assert "native histograms, in the place of such samples |" in card


def test_the_client_gives_values_and_histograms_apart(
    native_server: RealPrometheus, native_end: datetime, tmp_path: Path
) -> None:
    """Whoever loads a metric gets numbers as ever; who asks for native histograms gets these."""
    settings = settings_of(tmp_path, native_server.url)
    collect_both(settings, native_end)
    folder = build_release(
        settings, "2026.1.0", choose_span=lambda _: Window(native_end - 2 * QUARTER, native_end)
    ).folder
    release = opscommons.open(folder, cache=tmp_path / "cache")

    values = release.select(LATENCY).arrow()
    histograms = release.select(LATENCY, native=True)

    wanted = [from_plan(samples, grid_of(native_end, windows=2)) for samples in planted(native_end).values()]
    assert values.num_rows == sum(len(floats) for _, floats in wanted)
    assert values.schema.names[-1] == "value"
    assert in_order(by_series(numbered(histograms.arrow())).values()) == in_order(
        canonical(points) for points, _ in wanted if points
    )
    assert histograms.arrow().schema.names == native_schema(find_table("container")).names
    assert release.native_metrics() == release.native_metrics("container") == tuple(sorted((LATENCY, ALONE)))
    assert ALONE not in release.metrics()
    frame = release.load([LATENCY, ALONE], native=True, start=native_end - QUARTER, columns=["metric", "sum", "pod"])
    assert set(frame["metric"]) == {LATENCY, ALONE}
    assert histograms.polars().height == histograms.duckdb().count("*").fetchall()[0][0] == histograms.arrow().num_rows
    with pytest.raises(opscommons.UnknownMetric, match="native histograms"):
        release.load(PLAIN, native=True)
    for wrong in ({"rate": True}, {"layout": "wide"}):
        with pytest.raises(opscommons.BadRequest, match="native histograms have no"):
            release.load(LATENCY, native=True, **wrong)
    copied = release.download(tmp_path / "copy", metrics=[ALONE])
    assert [path.name for path in (tmp_path / "copy/data").iterdir()] == ["container_nh"]
    assert copied.files > 1
