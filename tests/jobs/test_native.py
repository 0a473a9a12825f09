"""Native histograms from a real server through snapshot, release and audit, against what was planted."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import opscommons
from collector import remote_read
from collector.grid import Grid
from demo.errors import DemoError
from demo.packages import find_programs
from demo.servers import start_prometheus
from jobs.clock import read_clock
from jobs.config import Settings
from jobs.release.audited import run_audit
from jobs.release.build import build_release
from jobs.release.run import run_release
from jobs.snapshot.run import run_snapshot
from jobs.snapshot.series import NO_TREATMENT
from jobs.store import open_store
from schemas.commit import CommitRecord, MetricCoverage
from schemas.native import native_schema, staged_native_schema
from schemas.registry import find_table
from schemas.windows import Window
from tests.collector.histogram_chunks import STALE, Histogram, to_bits
from tests.collector.histogram_oracle import Point, assert_like_json, from_json, from_plan
from tests.collector.histogram_wire import Mixed, write_mixed
from tests.jobs.bench import KEY
from tests.prometheus.server import CONFIG, RealPrometheus

REPOSITORY: Final = Path(__file__).parents[2]
QUARTER: Final = timedelta(minutes=15)
STEP: Final = 30_000
LATENCY, AGE = "container_cpu_usage_seconds_total", "container_start_time_seconds"
ALONE, PLAIN = "container_memory_working_set_bytes", "container_memory_rss"
"""Any declared names do: what a series holds, the server decides, not the schema."""
SECRET: Final = "quite-secret-workload"
NAN_WITH_A_MESSAGE: Final = 0x7FF8DEADBEEF0001


@pytest.fixture(scope="module")
def end() -> datetime:
    now = read_clock()
    return now - timedelta(minutes=now.minute % 15, seconds=now.second, microseconds=now.microsecond)


def planted(end: datetime) -> dict[str, Mixed]:
    """Return the series of the metric by their pod: some of histograms, some of floats, some of both."""
    times = range(_ms(end - 2 * QUARTER) - 60_000, _ms(end), 15_000)
    half = _ms(end - QUARTER / 2)

    def grown(n: int, **other: Any) -> Histogram:  # noqa: ANN401 - fields of a histogram
        buckets = {index: n + index for index in (1, 2, 9)}
        return Histogram(buckets, {3: 2}, schema=3, zero_count=n, sum_bits=to_bits(n / 3), **other)

    cases: dict[str, Mixed] = {
        "steady": [(time, grown(n)) for n, time in enumerate(times)],
        "of-floats": [(time, Histogram({0: n + 0.5}, count=n + 0.5)) for n, time in enumerate(times)],
        "became-one": [(time, to_bits(float(n)) if time < half else grown(n)) for n, time in enumerate(times)],
        "was-one": [(time, grown(n) if time < half else to_bits(float(n))) for n, time in enumerate(times)],
        "ended": [
            *((time, grown(n)) for n, time in enumerate(times) if time < half),
            (half, Histogram(sum_bits=STALE)),
        ],
        "messages": [(time, Histogram({1: n + 1}, sum_bits=NAN_WITH_A_MESSAGE)) for n, time in enumerate(times)],
        "plain": [(time, to_bits(float(n))) for n, time in enumerate(times)],
    }
    return {f"{SECRET}-{name}": samples for name, samples in cases.items()}


@pytest.fixture(scope="module")
def server(end: datetime, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealPrometheus]:
    """Yield a Prometheus that takes native histograms and has those planted, or skip with the reason."""
    environment = dict(os.environ)  # noqa: TID251 - PROMETHEUS_BIN may name another binary
    flags = ["--web.enable-remote-write-receiver", "--enable-feature=native-histograms"]
    try:
        programs = find_programs(REPOSITORY / ".demo", environment=environment)
        started = start_prometheus(programs, tmp_path_factory.mktemp("native"), config=CONFIG, flags=flags)
    except DemoError as error:
        pytest.skip(f"Prometheus not available: {error}")
    with started:
        prometheus = RealPrometheus(started, programs)
        write_mixed(prometheus, [(_labels(LATENCY, pod), samples) for pod, samples in planted(end).items()])
        own = planted(end)[f"{SECRET}-steady"]
        write_mixed(prometheus, [(_labels(metric, f"{SECRET}-steady"), own) for metric in (AGE, ALONE)])
        floats = planted(end)[f"{SECRET}-plain"]
        write_mixed(prometheus, [(_labels(PLAIN, f"{SECRET}-plain"), floats)])
        up = [(time, 1) for time in range(_ms(end - 2 * QUARTER), _ms(end), STEP)]
        prometheus.write(({**_labels("up", f"{SECRET}-{pod}"), "job": pod}, up) for pod in ("plain", "steady"))
        yield prometheus


def test_a_window_holds_what_was_planted_each_grid_point_in_one_form(
    server: RealPrometheus, end: datetime, tmp_path: Path
) -> None:
    """The series are told apart by what they hold: their names are gone."""
    settings = _settings(tmp_path, server.url)
    record = _collect(settings, end)

    grid = _grid(end)
    wanted = [from_plan(samples, grid) for samples in planted(end).values()]
    histograms = _histograms(settings, record, LATENCY)
    floats = _floats(settings, record, LATENCY)
    assert _sorted(histograms.values()) == _sorted(_canonical(points) for points, _ in wanted if points)
    assert _sorted(floats.values()) == _sorted(points for _, points in wanted if points)
    both = histograms.keys() & floats.keys()
    assert len(both) == 2
    assert not any(histograms[name].keys() & floats[name].keys() for name in both)
    found = _coverage(record, LATENCY)
    assert (found.series, found.status, found.skipped) == (len(wanted), "complete", {})
    assert found.native_rows == sum(map(len, histograms.values()))
    assert found.rows == found.native_rows + sum(map(len, floats.values()))
    times = range(_ms(end - QUARTER), _ms(end))
    kept = [s for samples in planted(end).values() for time, s in samples if time in times]
    assert found.hours[0].received == sum(isinstance(one, int) or not one.stale for one in kept)


def test_a_staged_file_of_histograms_is_sorted_scanned_and_of_its_schema(
    server: RealPrometheus, end: datetime, tmp_path: Path
) -> None:
    settings = _settings(tmp_path, server.url)
    record = _collect(settings, end)

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
    server: RealPrometheus, end: datetime, tmp_path: Path
) -> None:
    settings = _settings(tmp_path, server.url)
    record = _collect(settings, end, match={"pod": f"{SECRET}-plain"})

    assert [file.form for file in record.files] == ["float"]
    assert not any(each.native_rows or each.skipped for each in record.coverage)
    assert _histograms(settings, record, LATENCY) == {}


def test_a_series_of_an_unknown_form_is_skipped_and_counted_and_the_others_are_there(
    server: RealPrometheus,
    end: datetime,
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
    settings = _settings(tmp_path, server.url)
    record = _collect(settings, end)

    found = _coverage(record, LATENCY)
    assert found.skipped == {"a chunk encoding that is not known": 1}
    assert (found.status, found.series) == ("complete", len(planted(end)) - 1)
    others = {pod: samples for pod, samples in planted(end).items() if not pod.endswith("steady")}
    points = [_canonical(from_plan(samples, _grid(end))[0]) for samples in others.values()]
    assert _sorted(_histograms(settings, record, LATENCY).values()) == _sorted(filter(None, points))
    alone = _coverage(record, ALONE)
    assert (alone.status, alone.reason, alone.rows) == ("empty", "in a form that is not known", 0)
    skipped = [each for each in caplog.records if each.message == "series skipped"]
    assert {getattr(each, "metric", None) for each in skipped} == {LATENCY, AGE, ALONE}
    assert SECRET not in caplog.text + str([vars(each) for each in skipped])


def test_histograms_of_a_metric_whose_values_are_treated_are_not_published(
    server: RealPrometheus, end: datetime, tmp_path: Path
) -> None:
    """An age is published for a start time; what would be that of a histogram nobody has decided."""
    settings = _settings(tmp_path, server.url)
    record = _collect(settings, end)

    found = _coverage(record, AGE)
    assert found.skipped == {NO_TREATMENT: 1}
    assert (found.rows, found.native_rows) == (0, 0)
    assert _histograms(settings, record, AGE) == {}


def test_a_release_holds_what_was_planted_and_what_the_server_answers(
    server: RealPrometheus, end: datetime, tmp_path: Path
) -> None:
    """From two windows, so that series go on from one to the next; built twice, the bytes are the same."""
    settings = _settings(tmp_path, server.url)
    _collect_both(settings, end)

    manifest = run_release(settings, "2026.1.0", clock=read_clock).manifest
    folder = settings.work_dir / "releases/2026.1.0"
    again = build_release(settings, "2026.1.0", choose_span=lambda _: Window(end - 2 * QUARTER, end))

    assert again.manifest == manifest  # with the hash of every file
    files = [file for file in manifest.files if file.role == "native" and file.metric == LATENCY]
    assert {file.table for file in files} == {"container_nh"}
    tables = [pq.read_table(folder / file.path, partitioning=None) for file in files]
    assert all(table.schema == native_schema(find_table("container")) for table in tables)
    found = by_series(row for table in tables for row in _numbered(table))
    grid = _grid(end, windows=2)
    wanted = {pod: from_plan(samples, grid)[0] for pod, samples in planted(end).items()}
    assert _sorted(found.values()) == _sorted(_canonical(points) for points in wanted.values() if points)
    theirs = from_json(server.query_range(LATENCY, start_ms=grid.start_ms, end_ms=grid.end_ms - STEP, step_ms=STEP))
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
    server: RealPrometheus, end: datetime, tmp_path: Path, column: str, value: object, code: str
) -> None:
    settings = _settings(tmp_path, server.url)
    _collect(settings, end)
    folder = build_release(settings, "2026.1.0", choose_span=lambda _: Window(end - QUARTER, end)).folder
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
    server: RealPrometheus, end: datetime, tmp_path: Path
) -> None:
    settings = _settings(tmp_path, server.url)
    _collect(settings, end, match={"pod": f"{SECRET}-steady"})

    result = run_release(settings, "2026.1.0", clock=read_clock)

    assert [(table.table, table.rows) for table in result.manifest.tables] == [("container", 0)]
    assert {file.role for file in result.manifest.files if file.path.startswith("data/")} == {"native"}
    assert (result.folder / "schemas/container.json").exists()


def test_the_client_gives_values_and_histograms_apart(server: RealPrometheus, end: datetime, tmp_path: Path) -> None:
    """Whoever loads a metric gets numbers as ever; who asks for native histograms gets these."""
    settings = _settings(tmp_path, server.url)
    _collect_both(settings, end)
    folder = build_release(settings, "2026.1.0", choose_span=lambda _: Window(end - 2 * QUARTER, end)).folder
    release = opscommons.open(folder, cache=tmp_path / "cache")

    values = release.select(LATENCY).arrow()
    histograms = release.select(LATENCY, native=True)

    wanted = [from_plan(samples, _grid(end, windows=2)) for samples in planted(end).values()]
    assert values.num_rows == sum(len(floats) for _, floats in wanted)
    assert values.schema.names[-1] == "value"
    assert _sorted(by_series(_numbered(histograms.arrow())).values()) == _sorted(
        _canonical(points) for points, _ in wanted if points
    )
    assert histograms.arrow().schema.names == native_schema(find_table("container")).names
    assert release.native_metrics() == release.native_metrics("container") == tuple(sorted((LATENCY, ALONE)))
    assert ALONE not in release.metrics()
    frame = release.load([LATENCY, ALONE], native=True, start=end - QUARTER, columns=["metric", "sum", "pod"])
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


def _labels(metric: str, pod: str) -> dict[str, str]:
    return {"__name__": metric, "case": pod, "namespace": "made-up-space", "pod": pod, "container": "main"}


def _settings(folder: Path, url: str) -> Settings:
    key = folder / "opspub.key"
    key.touch(mode=0o600)
    key.write_text(json.dumps(KEY))
    return Settings.model_validate(
        {
            "source": {"name": "lab", "url": url, "identity": "none", "read": "remote-read"},
            "collection": {"window": "15m", "step": "30s", "settle": "0s", "tables": ["container"]},
            "privacy": {"key_file": key},
            "staging": f"file:{folder}/staging",
            "public": f"file:{folder}/public",
            "work_dir": folder / "work",
        }
    )


def _collect(settings: Settings, end: datetime, *, match: dict[str, str] | None = None) -> CommitRecord:
    """Collect the newest window; return its record."""
    source = settings.source.model_copy(update={"match": match or {}})
    settings = settings.model_copy(update={"source": source})
    result = run_snapshot(settings, clock=read_clock, span=Window(end - QUARTER, end))
    assert (result.commits, result.failures) == (1, [])
    store = open_store(settings.staging, endpoint_url=None)
    (key,) = store.list("commits/lab/")
    return CommitRecord.model_validate_json(store.get(key) or b"")


def _coverage(record: CommitRecord, metric: str) -> MetricCoverage:
    (found,) = [each for each in record.coverage if each.metric == metric]
    return found


def _collect_both(settings: Settings, end: datetime) -> None:
    assert run_snapshot(settings, clock=read_clock, span=Window(end - 2 * QUARTER, end)).commits == 2


def _rows(settings: Settings, record: CommitRecord, metric: str, form: str) -> Iterator[dict[str, Any]]:
    for file in record.files:
        if file.form == form:
            rows = pq.read_table(Path(settings.staging.removeprefix("file:")) / file.path)
            yield from (row for row in _numbered(rows) if row["metric"] == metric)


def _numbered(rows: pa.Table) -> list[dict[str, Any]]:
    """Return rows with their time in milliseconds."""
    at = rows.schema.get_field_index("timestamp")
    return rows.set_column(at, "timestamp", rows.column("timestamp").cast(pa.int64())).to_pylist()


def _histograms(settings: Settings, record: CommitRecord, metric: str) -> dict[str, dict[int, Point]]:
    return by_series(_rows(settings, record, metric, "native"))


def by_series(rows: Iterable[dict[str, Any]]) -> dict[str, dict[int, Point]]:
    """Return rows as the oracle has them, by series and time."""
    found: dict[str, dict[int, Point]] = {}
    for row in rows:
        assert row["timestamp"] not in found.setdefault(row["series_id"], {}), "a sample came twice"
        found[row["series_id"]][row["timestamp"]] = {
            "schema": row["schema"],
            **{name: to_bits(row[name]) for name in ("zero_threshold", "zero_count", "sum", "count")},
            "positive": _buckets(row["positive_spans"], row["positive_counts"]),
            "negative": _buckets(row["negative_spans"], row["negative_counts"]),
            "bounds": row["custom_bounds"],
        }
    return found


def _buckets(spans: list[dict[str, int]], counts: list[float]) -> dict[int, int]:
    indexes: list[int] = []
    for span in spans:
        begin = span["offset"] + (indexes[-1] + 1 if indexes else 0)
        indexes += range(begin, begin + span["length"])
    return dict(zip(indexes, map(to_bits, counts), strict=True))


def _floats(settings: Settings, record: CommitRecord, metric: str) -> dict[str, dict[int, int]]:
    found: dict[str, dict[int, int]] = {}
    for row in _rows(settings, record, metric, "float"):
        found.setdefault(row["series_id"], {})[row["timestamp"]] = to_bits(row["value"])
    return found


def _canonical(points: dict[int, Point]) -> dict[int, Point]:
    """Return planted points as they are published: with one NaN for all."""
    return {
        time: point | {"sum": to_bits(float("nan")) if point["sum"] == NAN_WITH_A_MESSAGE else point["sum"]}
        for time, point in points.items()
    }


def _sorted(series: Any) -> list[str]:  # noqa: ANN401 - anything that can be written down
    return sorted(json.dumps(sorted(points.items())) for points in series)


def _grid(end: datetime, *, windows: int = 1) -> Grid:
    return Grid(_ms(end - windows * QUARTER), _ms(end), STEP, 300_000, lookback_includes_edge=True)


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
