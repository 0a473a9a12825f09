"""A real Prometheus with native histograms planted, and how what was planted looks when it is published."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from collector.grid import Grid
from demo.errors import DemoError
from demo.packages import find_programs
from demo.servers import start_prometheus
from jobs.clock import read_clock
from jobs.config import Settings
from jobs.snapshot.run import run_snapshot
from jobs.store import open_store
from schemas.commit import CommitRecord, MetricCoverage
from schemas.windows import Window
from tests.collector.histogram_chunks import STALE, Histogram, to_bits
from tests.collector.histogram_oracle import Point
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


@pytest.fixture(scope="session")
def native_end() -> datetime:
    """Return where the newest window ends."""
    now = read_clock()
    return now - timedelta(minutes=now.minute % 15, seconds=now.second, microseconds=now.microsecond)


def planted(end: datetime) -> dict[str, Mixed]:
    """Return the series of the metric by their pod: some of histograms, some of floats, some of both."""
    times = range(to_ms(end - 2 * QUARTER) - 60_000, to_ms(end), 15_000)
    half = to_ms(end - QUARTER / 2)

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


@pytest.fixture(scope="session")
def native_server(native_end: datetime, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealPrometheus]:
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
        write_mixed(prometheus, [(labels_of(LATENCY, pod), samples) for pod, samples in planted(native_end).items()])
        own = planted(native_end)[f"{SECRET}-steady"]
        write_mixed(prometheus, [(labels_of(metric, f"{SECRET}-steady"), own) for metric in (AGE, ALONE)])
        floats = planted(native_end)[f"{SECRET}-plain"]
        write_mixed(prometheus, [(labels_of(PLAIN, f"{SECRET}-plain"), floats)])
        up = [(time, 1) for time in range(to_ms(native_end - 2 * QUARTER), to_ms(native_end), STEP)]
        prometheus.write(({**labels_of("up", f"{SECRET}-{pod}"), "job": pod}, up) for pod in ("plain", "steady"))
        yield prometheus


def labels_of(metric: str, pod: str) -> dict[str, str]:
    """Return the labels of a series of one pod."""
    return {"__name__": metric, "case": pod, "namespace": "made-up-space", "pod": pod, "container": "main"}


def settings_of(folder: Path, url: str) -> Settings:
    """Return the settings of a run that keeps everything in a folder."""
    folder.mkdir(exist_ok=True)
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


def collect(settings: Settings, end: datetime, *, match: dict[str, str] | None = None) -> CommitRecord:
    """Collect the newest window; return its record."""
    source = settings.source.model_copy(update={"match": match or {}})
    settings = settings.model_copy(update={"source": source})
    result = run_snapshot(settings, clock=read_clock, span=Window(end - QUARTER, end))
    assert (result.commits, result.failures) == (1, [])
    store = open_store(settings.staging, endpoint_url=None)
    (key,) = store.list("commits/lab/")
    return CommitRecord.model_validate_json(store.get(key) or b"")


def coverage_of(record: CommitRecord, metric: str) -> MetricCoverage:
    """Return how a metric ended."""
    (found,) = [each for each in record.coverage if each.metric == metric]
    return found


def collect_both(settings: Settings, end: datetime) -> None:
    """Collect the newest two windows."""
    assert run_snapshot(settings, clock=read_clock, span=Window(end - 2 * QUARTER, end)).commits == 2


def _rows(settings: Settings, record: CommitRecord, metric: str, form: str) -> Iterator[dict[str, Any]]:
    for file in record.files:
        if file.form == form:
            rows = pq.read_table(Path(settings.staging.removeprefix("file:")) / file.path)
            yield from (row for row in numbered(rows) if row["metric"] == metric)


def numbered(rows: pa.Table) -> list[dict[str, Any]]:
    """Return rows with their time in milliseconds."""
    at = rows.schema.get_field_index("timestamp")
    return rows.set_column(at, "timestamp", rows.column("timestamp").cast(pa.int64())).to_pylist()


def histograms_of(settings: Settings, record: CommitRecord, metric: str) -> dict[str, dict[int, Point]]:
    """Return the histograms of a metric in staging, by series and time."""
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


def floats_of(settings: Settings, record: CommitRecord, metric: str) -> dict[str, dict[int, int]]:
    """Return the floats of a metric in staging as bits, by series and time."""
    found: dict[str, dict[int, int]] = {}
    for row in _rows(settings, record, metric, "float"):
        found.setdefault(row["series_id"], {})[row["timestamp"]] = to_bits(row["value"])
    return found


def canonical(points: dict[int, Point]) -> dict[int, Point]:
    """Return planted points as they are published: with one NaN for all."""
    return {
        time: point | {"sum": to_bits(float("nan")) if point["sum"] == NAN_WITH_A_MESSAGE else point["sum"]}
        for time, point in points.items()
    }


def in_order(series: Any) -> list[str]:  # noqa: ANN401 - anything that can be written down
    """Return series in an order of their own, since their names are gone."""
    return sorted(json.dumps(sorted(points.items())) for points in series)


def grid_of(end: datetime, *, windows: int = 1) -> Grid:
    """Return the grid of the newest windows."""
    return Grid(to_ms(end - windows * QUARTER), to_ms(end), STEP, 300_000, lookback_includes_edge=True)


def to_ms(moment: datetime) -> int:
    """Return milliseconds since 1970."""
    return round(moment.timestamp() * 1000)
