"""By the query API a metric is asked for in answers that the server can give, and comes out whole.

Limits are those of a real server where it has them; the oracle is its own query_range, asked by plain urllib.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.client import LONGEST_IN_URL, QueryApi
from collector.connection import Access, Connection
from collector.grid import Grid
from collector.http_read import MAX_POINTS, REQUEST_SAMPLES, plan_spans, read_series
from collector.promql import Matcher, match_any
from demo.servers import start_prometheus
from schemas.errors import PartialResult, SourceError
from schemas.raw import open_raw
from tests.collector.hostile import MINUTE, SECOND, assert_equal, from_blocks, from_matrix, named_cases
from tests.collector.misbehaving import Answer, Asked, serve
from tests.prometheus.server import CONFIG, RealPrometheus

HOUR: Final = 60 * MINUTE
LOOKBACK: Final = 5 * MINUTE
END: Final = int(time.time() * 1000) // (15 * MINUTE) * (15 * MINUTE)  # noqa: TID251 - the server takes only the last 30 h
START: Final = END - HOUR
GRID: Final = Grid(START, END, 30 * SECOND, LOOKBACK, lookback_includes_edge=True)
SMALL: Final = Grid(0, 300_000, 30_000, LOOKBACK, lookback_includes_edge=True)
MAX_SAMPLES: Final = 200
TOO_MANY_SAMPLES: Final = "query processing would load too many samples into memory in query execution"


@pytest.fixture(scope="module")
def strict(prometheus: RealPrometheus, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealPrometheus]:
    """A server whose queries may hold few samples; it has the hostile cases."""
    flags = ["--web.enable-remote-write-receiver", f"--query.max-samples={MAX_SAMPLES}"]
    folder = tmp_path_factory.mktemp("strict")
    with start_prometheus(prometheus.programs, folder, config=CONFIG, flags=flags) as server:
        strict = RealPrometheus(server, prometheus.programs)
        _write(strict, "hostile")
        yield strict


@given(points=st.integers(1, 100_000), series=st.integers(0, 10_000_000))
@settings(max_examples=300, derandomize=True, deadline=None, database=None)
def test_spans_follow_each_other_and_stay_below_both_limits(points: int, series: int) -> None:
    spans = plan_spans(points, series)

    assert [first for first, _ in spans] == [0, *(last for _, last in spans[:-1])]
    assert spans[-1][1] == points
    for first, last in spans:
        assert 0 < last - first <= MAX_POINTS
        assert (last - first) * series <= REQUEST_SAMPLES or last - first == 1


@pytest.mark.parametrize("series", [1, 1_000_000, REQUEST_SAMPLES])
def test_series_that_come_in_many_answers_are_joined_in_order(prometheus: RealPrometheus, series: int) -> None:
    """Each answer holds only the series that live in its span: one of them begins or ends a series' part."""
    metric = prometheus.new_metric("joined")
    _write(prometheus, metric)
    wanted = from_matrix(prometheus.query_range(metric, start_ms=START, end_ms=END - 1, step_ms=GRID.step_ms))

    blocks = list(read_series(_api(prometheus.url), metric, (), GRID, series=series))

    assert_equal(from_blocks(blocks, GRID), wanted)
    for block in blocks:
        some = np.arange(len(block), dtype=np.int64)[1::2]
        assert block.decode(some).lengths.tolist() == block.decode_all().lengths[1::2].tolist()
        assert (block.most >= block.decode_all().lengths).all()


def test_what_the_server_refuses_as_too_much_is_asked_for_in_halves(strict: RealPrometheus) -> None:
    """The count said that it would fit; the server's own limit knows better."""
    wanted: dict[str, dict[str, Any]] = {}
    for span in range(START, END, 4 * 30 * SECOND):
        for series in strict.query_range("hostile", start_ms=span, end_ms=span + 90 * SECOND, step_ms=30 * SECOND):
            wanted.setdefault(json.dumps(series["metric"]), {**series, "values": []})["values"] += series["values"]
    with pytest.raises(OSError, match="422"):
        strict.query_range("hostile", start_ms=START, end_ms=END - 1, step_ms=30 * SECOND)

    found = from_blocks(read_series(_api(strict.url), "hostile", (), GRID), GRID)

    assert len(found) > 10
    assert_equal(found, from_matrix(wanted.values()))


def test_a_limit_that_one_point_exceeds_is_told_with_what_to_do(strict: RealPrometheus) -> None:
    strict.write(({"__name__": "wide", "n": str(n)}, [(END - MINUTE, 0)]) for n in range(MAX_SAMPLES + 50))
    grid = Grid(END - 2 * MINUTE, END, 30 * SECOND, LOOKBACK, lookback_includes_edge=True)

    with pytest.raises(
        SourceError, match=r"refuses even one grid point .* set limits.max_series_per_read lower"
    ) as told:
        list(read_series(_api(strict.url), "wide", (), grid))

    assert TOO_MANY_SAMPLES not in str(told.value)


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (422, TOO_MANY_SAMPLES),
        (400, "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution"),
        (
            422,
            "the query exceeded the maximum number of chunks (limit: 2000000 chunks) (err-mimir-max-chunks-per-query)",
        ),
        (422, "the query time range exceeds the limit (query length: 721h0m0s, limit: 720h0m0s)"),
        (422, "exceeded series limit: rpc error: limit 10 violated (got 11)"),
        (422, "cannot select more than -search.maxSamplesPerQuery=1000000000 samples"),
        (413, "the response is too large, its maximum is 10MB"),
    ],
)
def test_every_servers_way_to_say_too_much_is_understood(status: int, text: str) -> None:
    refused = Answer(json.dumps({"status": "error", "error": text}).encode(), status=status)
    answers = iter([refused, refused])

    with serve(lambda _: next(answers, _matrix([]))) as server:
        assert list(read_series(_api(server.url), "up", (), SMALL)) == []

    assert [_points(asked) for asked in server.asked] == [10, 5, 2, 3, 5]


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (400, "invalid parameter query: 1:1: parse error: unexpected end of input"),
        (422, "expanding series: open: no such file or directory"),
        (429, "too many outstanding requests"),
        (429, "the request has been rejected because the tenant exceeded the request rate limit, set to 10 requests/s"),
        (503, "query timed out in expression evaluation"),
    ],
)
def test_what_would_fail_at_any_length_is_not_asked_for_in_halves(status: int, text: str) -> None:
    with (
        serve(Answer(json.dumps({"status": "error", "error": text}).encode(), status=status)) as server,
        pytest.raises(SourceError, match=f"answered {status}"),
    ):
        list(read_series(_api(server.url), "up", (), SMALL))

    assert len(server.asked) == 1


@pytest.mark.parametrize("more", [{"warnings": ["made-up"]}, {"isPartial": True}])
@pytest.mark.parametrize("series", [0, REQUEST_SAMPLES])
def test_an_answer_that_says_it_is_not_whole_is_partial_data(more: dict[str, object], series: int) -> None:
    """Thanos says it behind the data, VictoriaMetrics before; what had arrived until then is not all."""
    with serve(_matrix([_series("a", 1)], **more)) as server, pytest.raises(PartialResult, match="data are missing"):
        list(read_series(_api(server.url), "up", (), Grid(0, 120_000, 30_000, LOOKBACK, True), series=series))


def test_remarks_of_prometheus_3_do_no_harm() -> None:
    answer = _matrix([_series("a", 3)], infos=["PromQL info: metric might not be a counter"], warnings=[])

    with serve(answer) as server:
        (block,) = read_series(_api(server.url), "up", (), SMALL)

    assert block.decode_all().lengths.tolist() == [3]


def test_one_series_twice_in_an_answer_is_refused() -> None:
    """Joined, one of the two would overwrite the other."""
    answers = iter([_matrix([_series("a", 1), _series("a", 1)])])
    grid = Grid(0, 60_000, 30_000, LOOKBACK, lookback_includes_edge=True)

    with (
        serve(lambda _: next(answers, _matrix([]))) as server,
        pytest.raises(SourceError, match="did not answer as Prometheus does"),
    ):
        list(read_series(_api(server.url), "up", (), grid, series=REQUEST_SAMPLES))


def test_a_long_selector_is_sent_as_a_form_and_selects_the_same(prometheus: RealPrometheus) -> None:
    """Gateways cut addresses of more than a few kilobytes."""
    metric = prometheus.new_metric("form")
    _write(prometheus, metric)
    names = [*named_cases(START, END, LOOKBACK), *(f"nobody-{n}" for n in range(400))]
    matcher = match_any("case", names[1:])
    assert len(open_raw(matcher.value)) > LONGEST_IN_URL

    found = from_blocks(read_series(_api(prometheus.url), metric, [matcher], GRID), GRID)
    others = from_blocks(read_series(_api(prometheus.url), metric, [Matcher("case", "=", names[0])], GRID), GRID)

    wanted = prometheus.query_range(metric, start_ms=START, end_ms=END - 1, step_ms=GRID.step_ms)
    assert_equal(found | others, from_matrix(wanted))
    assert len(others) == 1
    with serve(_matrix([])) as server:
        list(read_series(_api(server.url), metric, [matcher], GRID))
    assert [asked.path for asked in server.asked] == ["/api/v1/query_range"]


def _api(url: str) -> QueryApi:
    return QueryApi(Connection(Access(url, retries=0)))


def _write(prometheus: RealPrometheus, metric: str) -> None:
    cases = named_cases(START, END, LOOKBACK)
    for turn in range(max(map(len, cases.values()))):
        batches = [(name, batches[turn]) for name, batches in cases.items() if turn < len(batches) and batches[turn]]
        prometheus.write([({"__name__": metric, "case": name}, batch) for name, batch in batches])


def _series(name: str, samples: int) -> dict[str, object]:
    return {"metric": {"__name__": "up", "n": name}, "values": [[30 * n, "1"] for n in range(samples)]}


def _matrix(result: Sequence[object], **more: Any) -> Answer:  # noqa: ANN401 - JSON
    answer = {"status": "success", "data": {"resultType": "matrix", "result": result}, **more}
    return Answer(json.dumps(answer, separators=(",", ":")).encode())


def _points(asked: Asked) -> int:
    times = parse_qs(urlsplit(asked.path).query)
    return round((float(times["end"][-1]) - float(times["start"][-1])) / 30) + 1
