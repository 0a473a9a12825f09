"""A run that reads in parts, or from a replica, commits exactly what one plain read would have given."""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from collector import remote_read
from demo.errors import DemoError
from demo.packages import find_programs
from demo.servers import find_free_port, start_prometheus
from jobs.clock import read_clock
from jobs.config import Settings
from jobs.release.audited import run_audit
from jobs.release.build import build_release
from jobs.release.run import run_release
from jobs.snapshot.run import run_snapshot
from jobs.store import open_store
from schemas.commit import CommitRecord
from schemas.errors import PrivacyError, UsageError
from schemas.registry import find_table
from schemas.windows import Window
from tests.jobs.bench import KEY
from tests.prometheus.server import CONFIG, RealPrometheus

REPOSITORY = Path(__file__).parents[2]
QUARTER = timedelta(minutes=15)
CPU, MEMORY, RSS = "container_cpu_usage_seconds_total", "container_memory_working_set_bytes", "container_memory_rss"
GAPS = {("r0", CPU): range(2, 9), ("r1", CPU): range(3, 5), ("r0", MEMORY): range(3, 4), ("r1", MEMORY): range(3, 9)}


@pytest.fixture(scope="module")
def end() -> datetime:
    now = read_clock()
    return now - timedelta(minutes=now.minute % 15, seconds=now.second, microseconds=now.microsecond)


@pytest.fixture(scope="module")
def pair(end: datetime, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RealPrometheus]]:
    """Two replicas that scraped the same containers and missed different minutes."""
    environment = dict(os.environ)  # noqa: TID251 - PROMETHEUS_BIN may name another binary
    with ExitStack() as stack:
        servers = []
        for name in ("r0", "r1"):
            try:
                programs = find_programs(REPOSITORY / ".demo", environment=environment)
                config = CONFIG.replace("prometheus_replica: r0", f"prometheus_replica: {name}")
                flags = ["--web.enable-remote-write-receiver"]
                started = start_prometheus(programs, tmp_path_factory.mktemp(name), config=config, flags=flags)
            except DemoError as error:
                pytest.skip(str(error))
            servers.append(RealPrometheus(stack.enter_context(started), programs))
            servers[-1].write(_series(name, end))
        yield servers


def test_the_best_covered_replica_is_committed_and_named(
    pair: list[RealPrometheus], end: datetime, tmp_path: Path
) -> None:
    record = _collect(_settings(tmp_path, pair[0].url, replicas=(pair[1].url,)), end)

    rows = {metric.metric: metric.rows for metric in record.coverage}
    replicas = {metric.metric: metric.replica for metric in record.coverage}
    assert (replicas[CPU], replicas[MEMORY], replicas[RSS]) == (1, 0, 0)
    for number, metric in ((1, CPU), (0, MEMORY), (0, RSS)):
        matrix = pair[number].query_range(metric, start_ms=_ms(end - QUARTER), end_ms=_ms(end) - 30_000, step_ms=30_000)
        assert rows[metric] == sum(len(series["values"]) for series in matrix) > 0


@pytest.mark.parametrize("read", ["remote-read", "http"])
def test_replicas_give_a_series_one_id_and_parts_give_the_same_rows(
    pair: list[RealPrometheus], end: datetime, tmp_path: Path, read: str
) -> None:
    """Which of them served, and in how many reads, must not show in what is published."""
    found = [
        _rows(_settings(tmp_path / name, url, most=most, read=read), end, RSS)
        for name, url, most in (("a", pair[0].url, 1000), ("b", pair[1].url, 1000), ("c", pair[0].url, 7))
    ]

    assert len(found[0]) == 40 * 30
    assert found[0] == found[1] == found[2]


def test_a_querier_that_shows_two_replicas_is_read_as_one(
    pair: list[RealPrometheus], end: datetime, tmp_path: Path
) -> None:
    """Without deduplication every series would be there twice, under one series_id."""
    for name, metrics in (("a", ("up", CPU)), ("b", ("up", CPU, MEMORY))):
        pair[1].write(
            ({**labels, "prometheus_replica": name, "cluster": "undeduplicated"}, samples)
            for labels, samples in _series("r0" if name == "a" else "r1", end)
            if labels["__name__"] in metrics
        )

    record = _collect(_settings(tmp_path, pair[1].url, match={"cluster": "undeduplicated"}), end)

    found = {metric.metric: (metric.series, metric.replica) for metric in record.coverage if metric.series}
    assert found == {CPU: (40, 1), MEMORY: (40, 0)}


def test_a_run_without_its_first_server_commits_from_the_replica(
    pair: list[RealPrometheus], end: datetime, tmp_path: Path
) -> None:
    down = f"http://127.0.0.1:{find_free_port()}"

    record = _collect(_settings(tmp_path, down, replicas=(pair[1].url,)), end)

    assert [metric.status for metric in record.coverage if metric.metric in (CPU, MEMORY, RSS)] == ["complete"] * 3


def test_raw_timestamps_are_those_of_the_scrapes_and_are_never_released(
    pair: list[RealPrometheus], end: datetime, tmp_path: Path
) -> None:
    """The phase of a scrape tells the target; whoever keeps it for himself must not publish it by mistake."""
    settings = _settings(tmp_path, pair[0].url)
    raw = settings.model_copy(update={"collection": settings.collection.model_copy(update={"timestamps": "raw"})})
    odd = _ms(end - timedelta(minutes=7)) + 1_234
    labels = {"namespace": "team-raw", "pod": "p-raw", "container": "main", "node": "n-0"}
    pair[0].write([({"__name__": "container_processes", **labels}, [(odd, 0), (odd + 20_000, 0)])])

    rows = _rows(raw, end, "container_processes")

    stored = pair[0].read_raw("container_processes", _ms(end - QUARTER), _ms(end) - 1)
    assert sorted(_ms(row[1]) for row in rows) == [odd, odd + 20_000] == [at for at, _ in stored[0][1]]  # type: ignore[arg-type]
    with pytest.raises(PrivacyError, match=r"timestamps is raw.*nothing is released from them"):
        run_release(raw, "2026.1.0", clock=read_clock)
    built = build_release(raw, "2026.1.0", choose_span=lambda _: Window(end - QUARTER, end))
    findings = run_audit(raw, built.folder, now=read_clock()).findings
    assert "timestamp-off-grid" in {finding.code for finding in findings}


def test_raw_timestamps_want_remote_read(pair: list[RealPrometheus], end: datetime, tmp_path: Path) -> None:
    """The query API puts samples on a grid, or hides where a series ended."""
    settings = _settings(tmp_path, pair[0].url, read="http")
    raw = settings.model_copy(update={"collection": settings.collection.model_copy(update={"timestamps": "raw"})})

    with pytest.raises(UsageError, match=r"wanted source\.read: remote-read"):
        _collect(raw, end)


def test_metrics_that_the_server_does_not_have_are_not_asked_for(
    pair: list[RealPrometheus], end: datetime, tmp_path: Path
) -> None:
    """Most of the tables' metrics are absent from any one cluster; a request for each would be most of a run."""
    asked: list[str] = []
    settings = _settings(tmp_path, pair[0].url)
    read = remote_read.read_series

    def listen(connection: Any, metric: str, *rest: Any) -> Any:  # noqa: ANN401 - handed on
        asked.append(metric)
        return read(connection, metric, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(remote_read, "read_series", listen)
        record = _collect(settings, end)

    entries = {metric.metric: metric for metric in record.coverage}
    declared = {metric.name for metric in find_table("container").metrics}
    assert set(entries) == declared
    assert {CPU, MEMORY, RSS} <= set(asked)
    assert "container_network_receive_bytes_total" in declared - set(asked)
    assert (entries["container_network_receive_bytes_total"].status, entries[CPU].status) == ("empty", "complete")


def _series(name: str, end: datetime) -> Iterator[tuple[dict[str, str], list[tuple[int, int]]]]:
    times = range(_ms(end - timedelta(minutes=30)), _ms(end), 30_000)
    yield {"__name__": "up", "job": "made-up"}, [(moment, 0) for moment in times]
    for metric in (CPU, MEMORY, RSS):
        missed = {_ms(end - QUARTER) // 60_000 + minute for minute in GAPS.get((name, metric), ())}
        kept = [(moment, moment) for moment in times if moment // 60_000 not in missed]
        for n in range(40):
            pod = {"namespace": f"team-{n % 5}", "pod": f"p-{n}", "container": "main", "node": f"n-{n % 3}"}
            yield {"__name__": metric, **pod}, kept


def _settings(folder: Path, url: str, *, most: int = 1000, read: str = "auto", **source: Any) -> Settings:  # noqa: ANN401 - any key
    folder.mkdir(exist_ok=True)
    key = folder / "opspub.key"
    key.touch(mode=0o600)
    key.write_text(json.dumps(KEY))
    return Settings.model_validate(
        {
            "source": {"name": "lab", "url": url, "identity": "none", "read": read, "retries": 0, **source},
            "collection": {"window": "15m", "step": "30s", "settle": "0s", "tables": ["container"]},
            "limits": {"max_series_per_read": most},
            "privacy": {"key_file": key},
            "staging": f"file:{folder}/staging",
            "work_dir": folder / "work",
        }
    )


def _collect(settings: Settings, end: datetime) -> CommitRecord:
    result = run_snapshot(settings, clock=read_clock, span=Window(end - QUARTER, end))
    assert (result.commits, result.failures) == (1, [])
    (path,) = Path(settings.staging.removeprefix("file:")).rglob("commits/**/*.json")
    return CommitRecord.model_validate_json(path.read_bytes())


def _rows(settings: Settings, end: datetime, metric: str) -> list[tuple[object, ...]]:
    record = _collect(settings, end)
    tables = [
        pq.read_table(open_store(settings.staging, endpoint_url=None).url.removeprefix("file:") + "/" + file.path)
        for file in record.files
    ]
    return sorted(tuple(row.values()) for table in tables for row in table.to_pylist() if row["metric"] == metric)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
