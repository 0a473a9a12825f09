"""Series are counted before they are read, and the reads that follow are small, complete and disjoint.

What is in a real server is planted by remote write; the oracle is its own query_range, asked by plain urllib.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Final, Literal

import pytest

from collector.connection import Access, Connection
from collector.counts import Wanted, list_wanted
from collector.grid import Grid
from collector.promql import Matcher
from collector.reader import Reader, choose_reader
from collector.split import Read
from schemas.errors import SourceError
from schemas.registry import find_table
from tests.collector.hostile import MINUTE, SECOND, Vectors, assert_equal, from_blocks, from_matrix, to_bits
from tests.collector.misbehaving import Answer, serve
from tests.faults.proxy import answer, proxy
from tests.prometheus.server import EXTERNAL_LABELS, RealPrometheus

HOUR: Final = 60 * MINUTE
END: Final = int(time.time() * 1000) // (15 * MINUTE) * (15 * MINUTE)  # noqa: TID251 - the server takes only the last 30 h
GRID: Final = Grid(END - HOUR, END, 30 * SECOND, 5 * MINUTE, lookback_includes_edge=True)
PATHS: Final[tuple[Literal["remote-read", "http"], ...]] = ("remote-read", "http")
MOST: Final = 25
STRANGE: Final = ['say "hi"', "back\\slash", "new\nline", "a.*b", "a|b", "(", "ümläut \U0001f680", " ", "^$"]


@pytest.fixture(scope="module")
def metric(prometheus: RealPrometheus) -> str:
    """A metric in its worst shape: one large namespace, strange names, series that come, go, or have no namespace."""
    metric = prometheus.new_metric("divided")
    whole = (GRID.start_ms - MINUTE, END)
    spans: list[tuple[dict[str, str], tuple[int, int]]] = []
    spans += [({"namespace": "large", "pod": f"p-{n}", "uid": str(n)}, whole) for n in range(60)]
    spans += [({"namespace": name, "pod": f"q-{n}"}, whole) for name in STRANGE for n in range(3)]
    spans += [({"namespace": f"team-{n % 12}", "uid": str(n)}, whole) for n in range(40)]
    spans += [({"pod": f"alone-{n}"}, whole) for n in range(8)]
    spans += [({"namespace": "gone", "uid": str(n)}, (GRID.start_ms - MINUTE, END - HOUR // 2)) for n in range(10)]
    spans += [({"namespace": "born", "uid": str(n)}, (END - HOUR // 2, END)) for n in range(10)]
    spans += [({"namespace": "never counted"}, (END - 40 * MINUTE, END - 30 * MINUTE))]
    prometheus.write(
        ({"__name__": metric, **labels}, [(t, to_bits(float(number))) for t in range(*span, MINUTE)])
        for number, (labels, span) in enumerate(spans)
    )
    return metric


@pytest.mark.parametrize("path", PATHS)
def test_the_parts_of_a_metric_are_the_metric(
    prometheus: RealPrometheus, metric: str, path: Literal["remote-read", "http"]
) -> None:
    reader = _open(prometheus.url, path)
    wanted = from_matrix(prometheus.query_range(metric, start_ms=GRID.start_ms, end_ms=END - 1, step_ms=GRID.step_ms))

    parts = _plan(reader, metric)

    assert len(parts) > len(wanted) // MOST
    assert_equal(_vectors(reader, metric, parts), wanted)
    assert_equal(_vectors(reader, metric, [Read()]), wanted)


@pytest.mark.parametrize("path", PATHS)
def test_no_read_returns_more_series_than_the_limit(
    prometheus: RealPrometheus, metric: str, path: Literal["remote-read", "http"]
) -> None:
    """Also of a namespace that alone is larger than the limit: it is divided again, by pod."""
    reader = _open(prometheus.url, path)

    parts = _plan(reader, metric)

    returned = [sum(map(len, reader.read(metric, (), GRID, [part]))) for part in parts]
    assert max(returned) <= MOST
    assert sum(returned) == sum(part.series or 0 for part in parts) + 1  # one lives between both counts
    assert max(len(part.matchers) for part in parts) == 2


def test_a_label_that_nobody_declared_is_found_where_the_declared_ones_do_not_help(prometheus: RealPrometheus) -> None:
    metric = prometheus.new_metric("undeclared")
    prometheus.write(({"__name__": metric, "zone": f"z{n}"}, [(END - MINUTE, to_bits(1.0))]) for n in range(2 * MOST))

    parts = _plan(_open(prometheus.url, "remote-read"), metric)

    assert [part.series for part in parts] == [MOST, MOST]
    assert {matcher.name for part in parts for matcher in part.matchers} == {"zone"}


def test_series_are_counted_under_the_matchers_of_their_source_and_metric(
    prometheus: RealPrometheus, metric: str
) -> None:
    matchers = (Matcher("namespace", "!=", "large"), Matcher("pod", "!=", ""))

    (part,) = _open(prometheus.url, "http").plan([Wanted(metric, matchers)], GRID, most=1000).parts(metric)

    assert part == Read((), 3 * len(STRANGE) + 8)


def test_both_ends_of_a_window_count(prometheus: RealPrometheus) -> None:
    """Whatever is restarted within the hour is there twice, and read twice."""
    metric = prometheus.new_metric("restarted")
    times = range(GRID.start_ms - MINUTE, END - HOUR // 2, MINUTE)
    prometheus.write(
        ({"__name__": metric, "namespace": str(n)}, [(t, to_bits(1.0)) for t in (times if n < 20 else (END - 1,))])
        for n in range(34)
    )

    parts = _plan(_open(prometheus.url, "remote-read"), metric)

    assert sorted(part.series or 0 for part in parts) == [34 - MOST, MOST]


def test_a_metric_far_below_the_limit_is_counted_once(prometheus: RealPrometheus, metric: str) -> None:
    """Each count costs the server a fifth of a read."""
    with proxy(prometheus.url) as watched:
        plan = _open(watched.url, "http").plan([Wanted(metric)], GRID, most=1000)
        watched.asked.clear()
        assert plan.parts(metric) == (Read((), 145),)

    assert [request.path for request in watched.asked] == ["/api/v1/query"]


def test_a_table_is_counted_by_one_query_for_all_metrics_with_the_same_matchers() -> None:
    """A query for each metric would be hundreds an hour."""
    table = find_table("container")
    with serve(_vector([])) as server:
        reader = _open(server.url, "http")
        plan = reader.plan(list_wanted(table, ()), GRID, most=50_000)
        found = [plan.parts(metric.name) for metric in table.metrics]

    assert found == [(Read((), 0),)] * len(table.metrics)
    assert len(server.asked) == len({metric.match for metric in table.metrics}) < len(table.metrics)


def test_a_long_list_of_metrics_is_asked_in_pieces_and_as_a_form() -> None:
    """An address of many thousand characters ends at a gateway."""
    wanted = [Wanted(f"a_metric_with_a_name_of_some_length_{n:04d}") for n in range(300)]
    with serve(_vector([])) as server:
        plan = _open(server.url, "http").plan(wanted, GRID, most=10)
        assert {plan.parts(each.metric) for each in wanted} == {(Read((), 0),)}

    assert 2 <= len(server.asked) <= 6
    assert max(len(asked.path) for asked in server.asked) < 8_000


def test_what_ends_a_window_begins_the_next_and_is_counted_once(prometheus: RealPrometheus, metric: str) -> None:
    """A backlog of windows that follow each other costs one count each."""
    answers = _vector([{"metric": {"__name__": metric}, "value": [0, "9"]}])

    with serve(answers) as server:
        reader = _open(server.url, "http")
        for hour in range(3):
            grid = Grid(
                END + hour * HOUR, END + (hour + 1) * HOUR, 30 * SECOND, 5 * MINUTE, lookback_includes_edge=True
            )
            assert reader.plan([Wanted(metric)], grid, most=17).parts(metric) == (Read((), 9),)

    ends = [asked.path for asked in server.asked if "+or+" not in asked.path]
    assert len(ends) == len(set(ends)) == 4


def test_a_metric_that_cannot_be_counted_costs_no_other(prometheus: RealPrometheus, metric: str) -> None:
    """Together they fail for the sake of one; by itself each shows whose fault it is."""
    refused = answer(422, b"the made-up text of a server")
    with proxy(prometheus.url, lambda request: refused if request.mentions("beyond_counting") else None) as failing:
        reader = _open(failing.url, "http")
        plan = reader.plan([Wanted("beyond_counting"), Wanted(metric)], GRID, most=1000)

        with pytest.raises(SourceError, match="answered 422"):
            plan.parts("beyond_counting")
        assert plan.parts(metric) == (Read((), 145),)


@pytest.mark.parametrize(
    "result", [[{}], [7], [{"metric": {}, "value": []}], [{"metric": {}, "value": [1, "many"]}], [{"metric": None}]]
)
def test_a_count_that_is_none_is_a_source_error(result: list[object]) -> None:
    with serve(_vector(result)) as server, pytest.raises(SourceError, match="did not answer as Prometheus does"):
        _open(server.url, "http").plan([Wanted("up")], GRID, most=10).parts("up")


def test_a_plan_shows_no_label_values() -> None:
    wanted = Wanted("up", (Matcher("cluster", "=", "payroll"),))

    assert "payroll" not in repr(wanted)


def _open(url: str, path: Literal["remote-read", "http"]) -> Reader:
    return choose_reader(Connection(Access(url, retries=0)), path, now_ms=END)


def _plan(reader: Reader, metric: str) -> Sequence[Read]:
    return reader.plan([Wanted(metric, (), ("namespace", "container"))], GRID, most=MOST).parts(metric)


def _vectors(reader: Reader, metric: str, parts: Sequence[Read]) -> Vectors:
    without = EXTERNAL_LABELS if reader.path == "remote-read" else ()
    return from_blocks(reader.read(metric, (), GRID, parts), GRID, without=without)


def _vector(result: Sequence[object]) -> Answer:
    return Answer(json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode())
