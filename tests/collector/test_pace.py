"""How long a server is left alone: by tables of failures and latencies, and through a proxy that grows slow.

No test waits or measures: the clock and the sleep are made up.
"""

from __future__ import annotations

import math
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.connection import Access, Connection
from collector.pace import (
    LONGEST_PAUSE_SECONDS,
    LONGEST_RETRY_AFTER_SECONDS,
    LONGEST_WAIT_SECONDS,
    Attempts,
    Pace,
    Timing,
    parse_retry_after,
    pause_before_retry,
    wait_for_slow_server,
)
from schemas.errors import DeadlineReached
from tests.collector.fake_time import FakeTime
from tests.faults.proxy import Reply, Request, answer, proxy
from tests.prometheus.server import RealPrometheus

NOON = "Sun, 01 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("attempt", "retry_after", "draw", "wanted"),
    [
        (1, None, 0.0, 0.0),  # full jitter begins at nothing
        (1, None, 0.99, 0.99),
        (2, None, 0.99, 1.98),
        (3, None, 0.5, 2.0),
        (60, None, 0.5, LONGEST_PAUSE_SECONDS / 2),  # 2 ** 60 seconds would be the age of the universe
        (1, 7.0, 0.0, 7.0),
        (1, 7.0, 0.5, 7.5),  # many clients were told the same
        (2, 0.0, 0.5, 1.0),
        (1, 86_400.0, 0.0, LONGEST_RETRY_AFTER_SECONDS),
    ],
)
def test_a_pause_doubles_and_honours_what_the_server_asked_for(
    attempt: int, retry_after: float | None, draw: float, wanted: float
) -> None:
    assert pause_before_retry(attempt, retry_after=retry_after, draw=draw) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("value", "date", "wanted"),
    [
        (None, NOON, None),
        ("0", None, 0.0),
        (" 120 ", None, 120.0),
        ("Sun, 01 Nov 2026 12:00:30 GMT", NOON, 30.0),
        ("Sun, 01 Nov 2026 11:00:00 GMT", NOON, 0.0),
        ("Sun, 01 Nov 2026 12:00:30 GMT", None, None),  # without the server's clock nobody knows how long that is
        ("Sun, 01 Nov 2026 12:00:30 GMT", "noon", None),
        ("soon", NOON, None),
        ("-5", NOON, None),
        ("1.5", NOON, None),
        ("", NOON, None),
        ("9" * 400, None, math.inf),
    ],
)
def test_retry_after_comes_as_seconds_or_as_a_date(value: str | None, date: str | None, wanted: float | None) -> None:
    assert parse_retry_after(value, date=date) == wanted


def test_attempts_end_with_their_number() -> None:
    clock = FakeTime(draw=0.5)
    attempts = Attempts("a read", clock.timing, retries=3)

    assert [attempts.wait_for_next(None) for _ in range(4)] == [True, True, True, False]
    assert sum(clock.slept) == pytest.approx(0.5 + 1.0 + 2.0)  # and none after the last


def test_a_pause_that_would_outlast_the_run_ends_it_at_once() -> None:
    """Sleeping until the deadline would only keep the next run waiting."""
    clock = FakeTime(end=20.0)

    with pytest.raises(DeadlineReached):
        Attempts("a read", clock.timing, retries=3).wait_for_next(30.0)

    assert clock.slept == []


def test_a_run_that_is_told_to_stop_does_not_sleep_on() -> None:
    """A pod that is asked to end has half a minute; a pause may be longer than that."""
    clock = FakeTime()
    told_at = 2.0
    timing = Timing(lambda: 0.0 if clock.now >= told_at else math.inf, lambda: clock.now, clock.sleep)

    with pytest.raises(DeadlineReached):
        timing.pause(60.0)

    assert clock.now == told_at


@pytest.mark.parametrize(
    ("latencies", "wanted"),
    [
        ([], 0.0),
        ([9.0] * 4, 0.0),  # too few to tell slow from heavy
        ([0.2] * 5, 0.0),
        ([0.2] * 5 + [0.6] * 5, 0.0),  # three times the best is tolerated
        ([0.2] * 5 + [1.2] * 5, 1.2),  # twice as much again: half the time is the server's own
        ([0.2] * 5 + [2.4] * 5, 2.4 * 3),
        ([0.2] * 5 + [60.0] * 5, LONGEST_WAIT_SECONDS),
        ([0.001] * 5 + [0.14] * 5, 0.0),  # a hundred times nearly nothing is little
        ([0.2] * 8 + [30.0, 30.0], 0.0),  # two heavy queries are no slow server
        ([0.2] * 5 + [1.2] * 5 + [0.2] * 3, 0.0),  # it has recovered
        ([1.2] * 20, 0.0),  # always so slow: this is how fast it is
        ([0.2] + [1.2] * 200, 1.2),  # and this is not
    ],
)
def test_a_slow_server_is_asked_less(latencies: list[float], wanted: float) -> None:
    assert wait_for_slow_server(latencies) == pytest.approx(wanted)


@given(st.lists(st.floats(0, 1e6), max_size=40))
@settings(derandomize=True, database=None, deadline=None)
def test_no_latencies_make_a_wait_negative_or_endless(latencies: list[float]) -> None:
    assert 0 <= wait_for_slow_server(latencies) <= LONGEST_WAIT_SECONDS


def test_the_size_of_an_answer_is_allowed_for() -> None:
    """A query for a hundred times the series takes its time on a fast server, too."""
    clock = FakeTime()
    pace = Pace(clock.timing)

    for seconds, size in [(0.1, 1_000)] * 5 + [(4.0, 100 << 20)] * 5:
        pace.note(seconds, answer_bytes=size)
    pace.wait()

    assert clock.slept == []


def test_a_pace_may_be_shared_by_threads() -> None:
    clock = FakeTime()
    pace = Pace(clock.timing)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(2_000):
                pace.note(0.01)
                pace.wait()
        except BaseException as error:  # a thread's error would be lost
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not failures


def test_requests_come_slower_while_the_server_is_slow_and_fast_again_when_it_is_not(
    prometheus: RealPrometheus,
) -> None:
    """A real server behind a proxy that takes its time, which passes on a made-up clock."""
    clock = FakeTime()
    latency = 0.1

    def delay(_: Request) -> None:
        clock.now += latency

    def requests_a_second(count: int = 10) -> float:
        begun = clock.now
        for _ in range(count):
            connection.get_json("/api/v1/status/buildinfo")
        return count / (clock.now - begun)

    with proxy(prometheus.url, delay) as server:
        connection = Connection(Access(server.url), clock.timing)
        healthy = requests_a_second()
        assert clock.slept == []
        latency = 1.0
        slow = requests_a_second(), requests_a_second()
        latency = 0.1
        requests_a_second()
        clock.slept.clear()
        recovered = requests_a_second()

    assert healthy == pytest.approx(10)
    assert recovered == pytest.approx(10)
    assert slow[1] < slow[0] < 1  # the server alone would allow one a second
    assert slow[1] == pytest.approx(0.3, rel=0.01)  # three tolerated tenths of a second in every second of its work
    assert clock.slept == []


def test_streamed_answers_count_too(prometheus: RealPrometheus) -> None:
    clock = FakeTime()
    latencies = iter([0.1] * 5 + [1.0] * 6)

    def delay(_: Request) -> None:
        clock.now += next(latencies)

    with proxy(prometheus.url, delay) as server:
        connection = Connection(Access(server.url), clock.timing)
        for _ in range(11):
            connection.session.get(f"{server.url}/metrics", stream=True).close()

    assert sum(clock.slept) > 0


def test_a_heavy_answer_is_no_slow_server() -> None:
    clock = FakeTime()

    def delay(request: Request) -> Reply:
        heavy = request.mentions("everything")
        clock.now += 1.0 if heavy else 0.1
        return answer(200, bytes(8 << 20 if heavy else 8))

    with proxy("http://127.0.0.1:9", delay) as server:
        connection = Connection(Access(server.url), clock.timing)
        for promql in ["one"] * 5 + ["everything"] * 6:
            connection.session.get(f"{server.url}/api/v1/query", params={"query": promql})

    assert clock.slept == []


def test_a_refusal_does_not_count_as_a_fast_answer(prometheus: RealPrometheus) -> None:
    """A server that is too busy refuses at once: that must not become the measure of how fast it can be."""
    clock = FakeTime()

    def delay(request: Request) -> None:
        clock.now += 0.001 if request.mentions("(") else 0.2

    with proxy(prometheus.url, delay) as server:
        connection = Connection(Access(server.url), clock.timing)
        for promql in ["("] * 6 + ["1"] * 6:
            connection.session.get(f"{server.url}/api/v1/query", params={"query": promql})

    assert clock.slept == []
