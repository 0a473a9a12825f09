"""Of servers that watch the same targets one gives a whole metric of a window: the one that has most of it.

Two real servers have gaps in different places; what must come out is the own query_range of the one that is best.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Final, Literal

import pytest

from collector.connection import Access, Connection
from collector.counts import Wanted
from collector.covered import Replica, choose_values
from collector.grid import Grid
from collector.pace import Timing
from collector.promql import Matcher
from collector.reader import Reader, choose_reader
from collector.replicas import Replicas, open_replicas
from collector.server import ServerInfo
from collector.split import Read
from demo.servers import find_free_port, start_prometheus
from schemas.errors import SourceError, UsageError
from schemas.raw import open_raw
from tests.collector.hostile import MINUTE, SECOND, Vectors, assert_equal, from_blocks, from_matrix, to_bits
from tests.collector.misbehaving import Answer, serve
from tests.faults.proxy import answer, cut, proxy
from tests.prometheus.server import CONFIG, RealPrometheus

HOUR: Final = 60 * MINUTE
END: Final = int(time.time() * 1000) // (15 * MINUTE) * (15 * MINUTE)  # noqa: TID251 - the server takes only the last 30 h
START: Final = END - HOUR
GRID: Final = Grid(START, END, 30 * SECOND, 5 * MINUTE, lookback_includes_edge=True)
PATHS: Final[tuple[Literal["remote-read", "http"], ...]] = ("remote-read", "http")
EXTERNAL: Final = ("prometheus_replica", "region")
each_path = pytest.mark.parametrize("path", PATHS)
Path = Literal["remote-read", "http"]


@pytest.fixture(scope="module")
def pair(prometheus: RealPrometheus, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RealPrometheus]]:
    """Two servers of an HA pair, which differ in an external label and in what they missed."""
    with ExitStack() as stack:
        servers = []
        for name in ("r0", "r1"):
            started = start_prometheus(
                prometheus.programs,
                tmp_path_factory.mktemp(name),
                config=CONFIG.replace("prometheus_replica: r0", f"prometheus_replica: {name}"),
                flags=["--web.enable-remote-write-receiver"],
            )
            servers.append(RealPrometheus(stack.enter_context(started), prometheus.programs))
        _write(servers[0], "late_gap", gap=(50, 58))
        _write(servers[1], "late_gap", gap=(10, 12))
        _write(servers[0], "early_gap", gap=(10, 12))
        _write(servers[1], "early_gap", gap=(30, 40))
        for server in servers:
            _write(server, "alike", gap=(20, 30))
        yield servers


@each_path
def test_the_best_covered_replica_serves_a_whole_metric(pair: list[RealPrometheus], path: Path) -> None:
    """Which one that is differs from metric to metric; of equals it is the first that is listed."""
    reader = _open([server.url for server in pair], path)

    for metric, best in (("late_gap", 1), ("early_gap", 0), ("alike", 0)):
        assert_equal(_vectors(reader, metric), _oracle(pair[best], metric))
        assert reader.serving(metric, GRID).replica == best


def test_the_other_windows_of_a_metric_are_decided_by_themselves(pair: list[RealPrometheus]) -> None:
    reader = _open([server.url for server in pair], "remote-read")
    halves = replace(GRID, end_ms=START + HOUR // 2), replace(GRID, start_ms=START + HOUR // 2)

    for half in halves:
        list(reader.read("late_gap", (), half))
        assert reader.serving("late_gap", half).replica == int(half is halves[1])


@pytest.mark.parametrize("inside", [START, END - 1])
def test_the_windows_own_samples_count_and_no_others(pair: list[RealPrometheus], inside: int) -> None:
    """Both ends are right to the millisecond, else a replica would win by what it has of the neighbours."""
    metric = f"edge_{inside}"
    for server, times in ((pair[0], [START - 1, END]), (pair[1], [inside])):
        server.write([({"__name__": metric}, [(moment, to_bits(1.0)) for moment in times])])
    reader = _open([server.url for server in pair], "remote-read")

    list(reader.read(metric, (), GRID))

    assert reader.serving(metric, GRID).replica == 1


@each_path
def test_a_metric_in_parts_comes_from_one_replica(pair: list[RealPrometheus], path: Path) -> None:
    reader = _open([server.url for server in pair], path)

    parts = reader.plan([Wanted("late_gap", (), ("pod",))], GRID, most=3).parts("late_gap")

    assert len(parts) >= 3
    assert_equal(_vectors(reader, "late_gap", parts), _oracle(pair[1], "late_gap"))


def test_a_replica_that_does_not_answer_is_passed_over_and_told_once(
    pair: list[RealPrometheus], caplog: pytest.LogCaptureFixture
) -> None:
    """And not asked for every metric again: each would wait until its time is up."""
    with proxy(pair[1].url) as broken:
        reader = _open([broken.url, pair[0].url], "remote-read")
        broken.fault = lambda _: answer(503)
        broken.asked.clear()

        for metric in ("late_gap", "early_gap", "alike"):
            assert_equal(_vectors(reader, metric), _oracle(pair[0], metric))
            assert reader.serving(metric, GRID).replica == 1
        assert reader.plan([Wanted("alike")], GRID, most=100).parts("alike") == (Read((), 10),)
        assert reader.api.query("vector(1)", at_ms=END)
        assert len(broken.asked) == 1

    told = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [(record.getMessage(), record.__dict__["place"]) for record in told] == [("replica passed over", broken.url)]


def test_a_replica_that_refuses_every_count_is_told_once_too(
    pair: list[RealPrometheus], caplog: pytest.LogCaptureFixture
) -> None:
    """It answers, so it is asked again for each metric; nobody needs to read of that hundreds of times."""
    with proxy(pair[1].url) as refusing:
        reader = _open([refusing.url, pair[0].url], "remote-read")
        refusing.fault = lambda _: answer(422)

        for metric in ("late_gap", "early_gap"):
            assert_equal(_vectors(reader, metric), _oracle(pair[0], metric))

    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1


@each_path
@pytest.mark.parametrize("fault", [cut(0.9), answer(422, b"the made-up text of a server")])
def test_the_next_best_takes_over_from_a_replica_that_fails_while_it_reads(
    pair: list[RealPrometheus], path: Path, fault: object
) -> None:
    """What it had sent until then is forgotten: two replicas are never mixed."""
    with proxy(pair[1].url) as failing:
        reader = _open([pair[0].url, failing.url], path)
        failing.fault = lambda request: fault if request.path.endswith(("/read", "/query_range")) else None  # type: ignore[assignment,return-value]

        assert_equal(_vectors(reader, "late_gap"), _oracle(pair[0], "late_gap"))
        assert reader.serving("late_gap", GRID).replica == 0
        assert [request.path for request in failing.asked][-1].endswith(("/read", "/query_range"))


def test_when_all_fail_it_is_an_error(pair: list[RealPrometheus]) -> None:
    with proxy(pair[0].url) as one, proxy(pair[1].url) as other:
        reader = _open([one.url, other.url], "remote-read")
        one.fault = other.fault = lambda _: answer(503)

        with pytest.raises(SourceError, match="answered 503"):
            list(reader.read("alike", (), GRID))
        with pytest.raises(SourceError, match="answered 503"):
            reader.plan([Wanted("alike")], GRID, most=100).parts("alike")

        one.fault = other.fault = lambda _: None
        assert_equal(_vectors(reader, "alike"), _oracle(pair[0], "alike"))


def test_a_lone_server_is_not_asked_what_it_has() -> None:
    """Whoever has one Prometheus pays nothing for those who have two: one look at ``up`` for each window."""
    with serve(Answer(b'{"status":"success","data":{"resultType":"vector","result":[]}}')) as server:
        reader = _open([server.url], "http", labels=["prometheus_replica"])
        before = len(server.asked)
        for metric in ("a", "b", "c"):
            list(reader.read(metric, (), GRID))
            assert reader.serving(metric, GRID).replica is None

    assert [asked.path.partition("?")[0] for asked in server.asked[before:]] == [
        "/api/v1/query",
        *["/api/v1/query_range"] * 3,
    ]


@each_path
def test_of_replicas_in_one_querier_the_best_covered_serves(prometheus: RealPrometheus, path: Path) -> None:
    """A Thanos without deduplication returns each series once for each replica; together they would be doubles."""
    metric, source = prometheus.new_metric("undeduplicated"), prometheus.new_metric("source")
    for replica, gap in (("one", (20, 40)), ("two*", (5, 8))):
        labels = {"replica": replica, "source": source}
        _write(prometheus, "up", gap=gap, **labels)
        _write(prometheus, metric, gap=gap, **labels)
        _write(prometheus, f"{metric}_b", gap=(1, 3) if replica == "one" else (3, 9), **labels)
    _write(prometheus, metric, gap=(0, 0), source=source, of="a ruler, which has no replica")
    matchers = (Matcher("source", "=", source),)
    reader = _open([prometheus.url], path, labels=["receive_replica", "replica"], matchers=matchers)

    for name, value, number in ((metric, "two*", 1), (f"{metric}_b", "one", 0)):
        selector = f'{name}{{replica=~"|{value.replace("*", ".")}"}}'
        wanted = _oracle(prometheus, selector)
        assert_equal(_vectors(reader, name, matchers=matchers), wanted)
        serving = reader.serving(name, GRID)
        assert serving.replica == number
        assert_equal(_vectors(serving.reader, name, matchers=(*matchers, *serving.matchers)), wanted)
    up = reader.choose("up", matchers, GRID)
    assert len(_vectors(up.reader, "up", matchers=(*matchers, *up.matchers))) == 10
    with pytest.raises(AssertionError, match="one series came twice"):
        _vectors(_open([prometheus.url], path), metric, matchers=matchers)


def test_a_first_server_that_is_down_leaves_the_run_to_the_others(
    pair: list[RealPrometheus], caplog: pytest.LogCaptureFixture
) -> None:
    down = f"http://127.0.0.1:{find_free_port()}"

    reader, info = _open_all([down, pair[0].url, pair[1].url])

    assert info.version == pair[0].version.partition("+")[0]  # what a build calls itself stays out
    assert_equal(_vectors(reader, "early_gap"), _oracle(pair[0], "early_gap"))
    assert reader.serving("early_gap", GRID).replica == 1  # the place in the configuration, not among those that are up
    assert [record.__dict__["place"] for record in caplog.records if record.levelno >= logging.WARNING] == [down]


def test_without_any_server_the_first_ones_failure_is_told(caplog: pytest.LogCaptureFixture) -> None:
    down = [f"http://127.0.0.1:{find_free_port()}" for _ in range(2)]

    with pytest.raises(SourceError, match=f"no connection to {down[0]}"):
        _open_all(down)

    caplog.clear()
    with pytest.raises(SourceError, match=f"no connection to {down[0]}"):
        _open_all(down[:1])
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_replica_with_another_rule_for_the_edge_of_the_lookback_is_passed_over(
    pair: list[RealPrometheus], caplog: pytest.LogCaptureFixture
) -> None:
    """While a pair is brought from 2.x to 3.x, two grids would differ by samples that are just one lookback old."""
    newer = answer(200, b'{"status":"success","data":{"version":"3.5.0"}}', kind="application/json")
    with proxy(pair[1].url, lambda request: newer if request.path.endswith("/buildinfo") else None) as other:
        reader, _ = _open_all([pair[0].url, other.url])

        assert_equal(_vectors(reader, "late_gap"), _oracle(pair[0], "late_gap"))

    reasons = [record.__dict__["reason"] for record in caplog.records if record.getMessage() == "replica passed over"]
    assert reasons == [f"{other.url} has another rule for what a query sees than the first replica"]


def test_a_replica_that_looks_back_farther_is_an_error_of_the_configuration(pair: list[RealPrometheus]) -> None:
    flags = answer(200, b'{"status":"success","data":{"query.lookback-delta":"10m"}}', kind="application/json")
    with (
        proxy(pair[1].url, lambda request: flags if request.path.endswith("/flags") else None) as other,
        pytest.raises(UsageError, match=r"the server's query\.lookback-delta is 10m"),
    ):
        _open_all([pair[0].url, other.url])


def test_who_gave_a_metric_can_be_asked_for_more_of_it(prometheus: RealPrometheus, pair: list[RealPrometheus]) -> None:
    """What is counted of a metric elsewhere must be that of the replica that served."""
    reader = _open([server.url for server in pair], "http")
    assert reader.serving("late_gap", GRID).reader.connection.place == pair[0].url

    list(reader.read("late_gap", (), GRID))
    list(reader.read("early_gap", (), GRID))

    assert reader.serving("late_gap", GRID).reader.connection.place == pair[1].url
    assert reader.serving("early_gap", GRID).reader.connection.place == pair[0].url
    assert reader.choose("late_gap", (), GRID) == reader.serving("late_gap", GRID)


@pytest.mark.parametrize(
    ("groups", "values", "samples"),
    [
        ({("x", "1"): 10, ("y", "1"): 12}, ("y|", "1|"), 12),
        ({("x", "1"): 12, ("y", "1"): 12}, ("x|", "1|"), 12),
        ({("x", "1"): 10, ("x", ""): 5, ("", "1"): 3, ("", ""): 1, ("y", "1"): 12}, ("x|", "1|"), 19),
        ({("x", ""): 9, ("y", "1"): 8}, ("x|", ""), 9),
    ],
)
def test_of_several_replica_labels_one_combination_is_chosen(
    prometheus: RealPrometheus, groups: dict[tuple[str, ...], int], values: tuple[str, str], samples: int
) -> None:
    """With what carries only some of them, or none: that is nobody's double."""
    replica = Replica(0, choose_reader(Connection(Access(prometheus.url)), "http", now_ms=END))

    choice = choose_values(replica, ("a", "b"), groups, number=None)

    assert tuple(open_raw(matcher.value) for matcher in choice.matchers) == values
    assert choice.samples == samples
    inside = [
        group
        for group in groups
        if all(
            re.fullmatch(open_raw(matcher.value), value) for matcher, value in zip(choice.matchers, group, strict=True)
        )
    ]
    assert sum(groups[group] for group in inside) == samples


def test_a_replica_shows_no_label_values(prometheus: RealPrometheus) -> None:
    reader = _open([prometheus.url], "http", matchers=[Matcher("cluster", "=", "payroll")])

    assert "payroll" not in repr(reader)


def _open(urls: Sequence[str], path: Path, *, labels: Sequence[str] = (), matchers: Sequence[Matcher] = ()) -> Replicas:
    timing = Timing(sleep=lambda _: None)
    readers = [choose_reader(Connection(Access(url, retries=0), timing), path, now_ms=END) for url in urls]
    return Replicas([Replica(place, reader) for place, reader in enumerate(readers)], labels=labels, matchers=matchers)


def _open_all(urls: Sequence[str]) -> tuple[Replicas, ServerInfo]:
    timing = Timing(sleep=lambda _: None)
    accesses = [Access(url, retries=0) for url in urls]
    return open_replicas(accesses, "auto", lookback=timedelta(minutes=5), now_ms=END, timing=timing)


def _write(prometheus: RealPrometheus, metric: str, *, gap: tuple[int, int], **labels: str) -> None:
    """Write ten series of a sample each 30 s, but for the minutes of the gap."""
    missed = range(START + gap[0] * MINUTE, START + gap[1] * MINUTE)
    times = [moment for moment in range(START - 5 * MINUTE, END, 30 * SECOND) if moment not in missed]
    prometheus.write(
        ({"__name__": metric, "pod": f"p-{n}", **labels}, [(moment, to_bits(n + moment / 7)) for moment in times])
        for n in range(10)
    )


def _vectors(
    reader: Reader, metric: str, parts: Sequence[Read] = (Read(),), matchers: Sequence[Matcher] = ()
) -> Vectors:
    return from_blocks(reader.read(metric, matchers, GRID, parts), GRID, without=(*EXTERNAL, "replica"))


def _oracle(prometheus: RealPrometheus, selector: str) -> Vectors:
    matrix = prometheus.query_range(selector, start_ms=START, end_ms=END - 1, step_ms=GRID.step_ms)
    for series in matrix:
        series["metric"].pop("replica", None)
    return from_matrix(matrix)
