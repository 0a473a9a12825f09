"""``opspub plan`` says what the next run would take, from counts of what is planted in a real server."""

import json
import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from demo.errors import DemoError
from demo.packages import find_programs
from demo.servers import start_prometheus
from jobs.clock import read_clock
from jobs.estimate import DividedMetric, Estimate, TableEstimate, render_estimate
from schemas.registry import find_table
from tests.faults.proxy import proxy
from tests.jobs.bench import Bench
from tests.prometheus.server import CONFIG, RealPrometheus

REPOSITORY = Path(__file__).parents[2]
QUARTER = timedelta(minutes=15)
LARGE, SMALL = "container_cpu_usage_seconds_total", "container_memory_rss"
TABLE = find_table("container")
METRICS = len(TABLE.metrics)
NAMESPACES = ("payroll-of-the-boss", "team-a", "team-b", "team-c")


@pytest.fixture(scope="module")
def end() -> datetime:
    now = read_clock()
    return now - timedelta(minutes=now.minute % 15, seconds=now.second, microseconds=now.microsecond)


@pytest.fixture(scope="module")
def planted(end: datetime, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealPrometheus]:
    """A server with 40 series of one metric, 4 of another, and ten that the table does not want."""
    environment = dict(os.environ)  # noqa: TID251 - PROMETHEUS_BIN may name another binary
    try:
        programs = find_programs(REPOSITORY / ".demo", environment=environment)
        started = start_prometheus(
            programs, tmp_path_factory.mktemp("planted"), config=CONFIG, flags=["--web.enable-remote-write-receiver"]
        )
    except DemoError as error:
        pytest.skip(str(error))
    with started as server:
        planted = RealPrometheus(server, programs)
        last = int(end.timestamp() * 1000)
        times = [(moment, 0) for moment in range(last - 3_600_000, last, 60_000)]
        names: list[dict[str, str]] = [{"__name__": "up", "job": "made-up"}]
        for n in range(40):
            pod = {"namespace": NAMESPACES[n % 4], "pod": f"p-{n}"}
            names.append({"__name__": LARGE, "container": "main", **pod})
            names += [{"__name__": SMALL, "container": "main", **pod}] if n < 4 else []
            names += [{"__name__": LARGE, **pod}] if n < 10 else []
        planted.write((labels, times) for labels in names)
        yield planted


def test_a_plan_says_what_the_next_run_takes_and_reads_no_samples(
    bench: Bench, planted: RealPrometheus, end: datetime
) -> None:
    with proxy(planted.url) as watched:
        found = _plan(bench, watched.url, end, limits={"max_series_per_read": 100})

    assert (found["windows"], found["commits"], found["read_path"]) == (2, 2, "remote-read")
    (table,) = found["tables"]
    assert (table["series"], table["samples"], table["reads"]) == (44, 44 * 30 * 2, METRICS)
    assert found["requests"] == 2 * (METRICS + len({metric.match for metric in TABLE.metrics}))
    assert found["samples"] == table["samples"]
    assert 0 < found["prometheus_cpu_seconds"] < 1
    assert table["divided"] == []
    for request in watched.asked:
        counts = request.mentions("count") or not request.mentions("container_")
        assert counts or request.path == "/api/v1/labels"
    assert not bench.made()


@pytest.mark.parametrize("read", ["remote-read", "http"])
def test_a_plan_shows_how_a_large_metric_is_divided(
    bench: Bench, planted: RealPrometheus, end: datetime, read: str
) -> None:
    found = _plan(bench, planted.url, end, limits={"max_series_per_read": 20}, read=read)

    (table,) = found["tables"]
    assert table["divided"] == [
        {"metric": LARGE, "series": 40, "reads": 2, "labels": ["namespace"], "largest": 20},
    ]
    assert (table["series"], table["reads"]) == (44, METRICS + 1)


def test_a_plan_tells_names_of_labels_and_never_their_values(
    bench: Bench, planted: RealPrometheus, end: datetime
) -> None:
    _configure(bench, planted.url, limits={"max_series_per_read": 20})
    span = ("--start", f"{end - 2 * QUARTER:%FT%TZ}", "--end", f"{end:%FT%TZ}")

    people, machines = bench.run("plan", *span), bench.run("plan", *span, "--json")

    assert f"{LARGE}: 40 series in 2 reads, divided by namespace" in people.out.splitlines()
    assert people.code == machines.code == 0
    for value in (*NAMESPACES, "p-1", "made-up"):
        assert value not in people.out + people.err + machines.out + machines.err


def test_a_metric_that_no_label_divides_is_told() -> None:
    """The operator should know before the server does."""
    divided = DividedMetric("up", 90, 1, (), 90)
    table = TableEstimate("node", 1, 90, 10_800, 32_400, 1, 2, 0.002, (divided,))
    lines = render_estimate(Estimate("a", "b", 1, 1, 2, 10_800, 32_400, 0.002, "http", 50, (table,)))

    assert [line for line in lines if line.startswith("up: ")] == [
        "up: 90 series in 1 reads",
        "up: a read of 90 series is over limits.max_series_per_read 50, and no label divides it",
    ]


def test_nothing_due_is_one_line() -> None:
    assert list(render_estimate(Estimate(None, None, 0, 0, 0, 0, 0, 0.0, "http", 50, ()))) == [
        "0 windows are due, 0 commits, 0 requests by http"
    ]


def _plan(bench: Bench, url: str, end: datetime, **changed: Any) -> dict[str, Any]:  # noqa: ANN401 - any key
    _configure(bench, url, **changed)
    ran = bench.run("plan", "--json", "--start", f"{end - 2 * QUARTER:%FT%TZ}", "--end", f"{end:%FT%TZ}")
    assert (ran.code, ran.err) == (0, "")
    found: dict[str, Any] = json.loads(ran.out)
    return found


def _configure(bench: Bench, url: str, *, limits: dict[str, Any], read: str = "auto") -> None:
    bench.set("source", url=url, read=read)
    bench.set("collection", tables=["container"], window="15m", step="30s", settle="0s", max_catch_up="1h")
    bench.set("limits", **limits)
