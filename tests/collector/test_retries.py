"""What is asked again, after which pause, and when no longer: by the status API, the query API and remote read."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

import pytest
import requests

from collector.client import QueryApi
from collector.connection import Access, Connection
from collector.failures import RETRIED
from collector.grid import Grid
from collector.pace import Timing
from collector.remote_read import read_series
from demo.servers import find_free_port
from schemas.errors import DeadlineReached, SourceError
from tests.collector.fake_time import FakeTime
from tests.collector.hostile import to_bits
from tests.collector.misbehaving import Answer, serve
from tests.faults.proxy import Fault, Reply, Request, Wire, answer, cut, hang, proxy, trickle
from tests.prometheus.server import RealPrometheus

START = (int(time.time()) // 3600 - 1) * 3_600_000  # noqa: TID251 - the server takes samples of today
END = START + 300_000
GRID = Grid(START, END, 30_000, 300_000, lookback_includes_edge=True)
SECRET = "payroll-of-the-boss"
NOBODY = "http://127.0.0.1:9"  # behind a proxy that never asks

Ask = Callable[[Connection, str], object]
WAYS: dict[str, Ask] = {
    "status": lambda connection, metric: connection.get_json("/api/v1/query", {"query": metric, "time": END / 1000}),
    "query": lambda connection, metric: list(
        QueryApi(connection).query_range(metric, start_ms=START, end_ms=END, step_ms=30_000)
    ),
    "read": lambda connection, metric: list(read_series(connection, metric, (), GRID)),
}
every_way = pytest.mark.parametrize("way", WAYS)


@dataclass
class Faults:
    """Does to each request in turn what a list says; afterwards nothing."""

    left: list[Fault | Reply]
    asked: int = 0

    def __call__(self, _: Request) -> Fault | Reply | None:
        self.asked += 1
        return self.left.pop(0) if self.left else None


@pytest.fixture(scope="module")
def metric(prometheus: RealPrometheus) -> str:
    """A metric whose answers are longer than what a half of one could hold by chance."""
    name = prometheus.new_metric("retried")
    times = range(START, END, 15_000)
    prometheus.write([({"__name__": name, "n": str(n)}, [(t, to_bits(n / 7 + t)) for t in times]) for n in range(40)])
    return name


@every_way
@pytest.mark.parametrize("status", RETRIED)
def test_a_server_in_trouble_is_asked_again_after_growing_pauses(way: str, status: int) -> None:
    clock = FakeTime(draw=0.5)

    with proxy(NOBODY, lambda _: answer(status)) as server, pytest.raises(SourceError, match=f"answered {status}"):
        WAYS[way](Connection(Access(server.url, retries=3), clock.timing), "up")

    assert len(server.asked) == 4
    assert sum(clock.slept) == pytest.approx(0.5 + 1 + 2)


@every_way
@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 405, 422, 501])
def test_an_answer_that_will_stay_the_same_is_not_asked_for_again(way: str, status: int) -> None:
    """Whoever is not let in, or asks for too much, would only knock louder."""
    clock = FakeTime()

    with proxy(NOBODY, lambda _: answer(status)) as server, pytest.raises(SourceError):
        WAYS[way](Connection(Access(server.url, retries=3), clock.timing), "up")

    assert len(server.asked) == 1
    assert clock.slept == []


@every_way
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("wanted", "pause"),
    [("7", 7.0), ("Sun, 01 Nov 2026 12:00:20 GMT", 20.0), ("86400", 60.0), ("whenever", 0.0)],
)
def test_the_server_says_when_to_come_back(
    prometheus: RealPrometheus, metric: str, way: str, status: int, wanted: str, pause: float
) -> None:
    clock = FakeTime()
    faults = Faults([answer(status, Retry_After=wanted)])

    with proxy(prometheus.url, faults) as server:
        found = WAYS[way](Connection(Access(server.url), clock.timing), metric)

    assert found
    assert faults.asked == 2
    assert sum(clock.slept) == pytest.approx(pause)


@every_way
def test_a_pause_that_the_run_has_no_time_for_ends_it(way: str) -> None:
    clock = FakeTime(end=20.0)

    with (
        proxy(NOBODY, lambda _: answer(503, Retry_After="30")) as server,
        pytest.raises(DeadlineReached) as caught,
    ):
        WAYS[way](Connection(Access(server.url), clock.timing), "up")

    assert caught.value.exit_code == 8
    assert len(server.asked) == 1
    assert clock.slept == []


@every_way
@pytest.mark.parametrize(
    "fault", [cut(0.0), cut(0.5), hang(None), hang(0.5)], ids=["cut at once", "cut", "silent at once", "silent"]
)
def test_an_answer_that_breaks_is_asked_for_again(
    prometheus: RealPrometheus, metric: str, way: str, fault: Fault
) -> None:
    """While nothing of it was handed on, nobody can tell the second answer from the first."""
    faults = Faults([fault, fault])

    with proxy(prometheus.url, faults) as server:
        found = WAYS[way](Connection(Access(server.url, timeout_seconds=0.3), FakeTime().timing), metric)

    assert found
    assert faults.asked == 3


@every_way
@pytest.mark.parametrize(
    ("fault", "message"),
    [(cut(0.5), "broke before the end of the answer"), (hang(0.5), "gave no answer in 0.3 s")],
    ids=["cut", "silent"],
)
def test_an_answer_that_always_breaks_is_an_error_in_the_end(
    prometheus: RealPrometheus, metric: str, way: str, fault: Fault, message: str
) -> None:
    clock = FakeTime(draw=0.5)

    with proxy(prometheus.url, lambda _: fault) as server, pytest.raises(SourceError, match=message):
        WAYS[way](Connection(Access(server.url, timeout_seconds=0.3, retries=2), clock.timing), metric)

    assert len(server.asked) == 3
    assert sum(clock.slept) == pytest.approx(0.5 + 1)


@every_way
def test_a_server_that_is_not_there_is_looked_for_again(way: str) -> None:
    """It may be starting."""
    clock = FakeTime(draw=0.5)
    url = f"http://127.0.0.1:{find_free_port()}"

    with pytest.raises(SourceError, match=f"no connection to {url}"):
        WAYS[way](Connection(Access(url, retries=2), clock.timing), "up")

    assert sum(clock.slept) == pytest.approx(0.5 + 1)


@every_way
@pytest.mark.parametrize(
    "fault",
    [hang(None), hang(0.5), trickle(pieces=1000, seconds=0.05)],
    ids=["silent at once", "silent", "a byte from time to time"],
)
def test_the_end_of_the_run_ends_a_read_in_its_middle(
    prometheus: RealPrometheus, metric: str, way: str, fault: Fault
) -> None:
    """A server that sends a byte from time to time keeps every limit on the time between two bytes, for ever."""
    begun = time.monotonic()
    timing = Timing(lambda: begun + 0.5 - time.monotonic())

    with proxy(prometheus.url, lambda _: fault) as server, pytest.raises(DeadlineReached):
        WAYS[way](Connection(Access(server.url, timeout_seconds=60), timing), metric)

    assert len(server.asked) == 1
    assert time.monotonic() - begun < 20


def test_the_end_of_the_run_ends_an_answer_of_a_connection_that_will_not_be_kept() -> None:
    """Its socket is given up before its body is read."""
    begun = time.monotonic()
    timing = Timing(lambda: begun + 0.3 - time.monotonic())

    with serve(Answer(hang_seconds=30, missing=9)) as server, pytest.raises(DeadlineReached) as caught:
        Connection(Access(server.url, timeout_seconds=60), timing).get_json("/api/v1/labels", {"match[]": SECRET})

    assert time.monotonic() - begun < 15
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_the_end_of_the_run_tells_no_query(prometheus: RealPrometheus) -> None:
    """Exceptions of the libraries quote addresses, and a traceback shows what an error was made from."""
    begun = time.monotonic()
    timing = Timing(lambda: begun + 0.3 - time.monotonic())

    with proxy(prometheus.url, lambda _: hang(None)) as server, pytest.raises(DeadlineReached) as caught:
        Connection(Access(server.url), timing).get_json("/api/v1/labels", {"match[]": SECRET})

    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_the_end_of_the_run_ends_a_flood(prometheus: RealPrometheus) -> None:
    """Bytes that are always there are never waited for."""
    begun = time.monotonic()
    timing = Timing(lambda: begun + 0.3 - time.monotonic())

    def flood(wire: Wire, reply: Reply) -> None:
        wire.send(reply.head())
        while time.monotonic() < begun + 20:
            wire.send(b"1\r\n \r\n" * 1000)

    with proxy(prometheus.url, lambda _: flood) as server, pytest.raises(DeadlineReached):
        Connection(Access(server.url, timeout_seconds=60), timing).get_json("/api/v1/labels")

    assert time.monotonic() - begun < 15


@every_way
def test_nothing_is_sent_when_the_time_is_up(way: str) -> None:
    with proxy(NOBODY) as server, pytest.raises(DeadlineReached):
        WAYS[way](Connection(Access(server.url), Timing(lambda: 0.0)), "up")

    assert server.asked == []


def test_a_loop_over_what_has_arrived_can_ask_for_the_time() -> None:
    clock = FakeTime(end=5.0)
    connection = Connection(Access(NOBODY), clock.timing)

    connection.check_deadline()
    clock.now = 5.0

    with pytest.raises(DeadlineReached):
        connection.check_deadline()


@dataclass
class Reading:
    """A streamed read that yields and fails as a list of lists says, attempt by attempt."""

    attempts: list[list[int | Exception]]
    begun: int = 0
    closed: list[int] = field(default_factory=list)
    kept: list[object] = field(default_factory=list)

    def __call__(self) -> Generator[int, None, None]:
        items = self._read()
        self.kept.append(items)  # what nobody refers to any more is closed by chance
        return items

    def _read(self) -> Generator[int, None, None]:
        number = self.begun
        self.begun += 1
        try:
            for step in self.attempts[number]:
                if isinstance(step, Exception):
                    raise step
                yield step
        finally:
            self.closed.append(number)


BROKEN = requests.exceptions.ChunkedEncodingError()


def test_a_stream_begins_anew_until_it_has_begun() -> None:
    """What was handed on is in a file already: the same again would be there twice."""
    reading = Reading([[BROKEN], [BROKEN], [1, 2, BROKEN], [1, 2, 3]])
    items = []

    with pytest.raises(SourceError, match="broke before the end of the answer"):  # noqa: PT012 - it must be read
        for item in _connection(retries=9).repeated("reading", reading):
            items.append(item)

    assert items == [1, 2]
    assert reading.closed == [0, 1, 2]


def test_a_stream_that_was_whole_is_read_once() -> None:
    reading = Reading([[1, 2, 3]])

    assert list(_connection(retries=9).repeated("reading", reading)) == [1, 2, 3]
    assert reading.begun == 1


@pytest.mark.parametrize("error", [SourceError("no"), DeadlineReached("no"), ValueError("no")])
def test_a_stream_that_fails_for_good_is_not_begun_anew(error: Exception) -> None:
    reading = Reading([[error], [1]])

    with pytest.raises((SourceError, DeadlineReached)):
        list(_connection(retries=9).repeated("reading", reading))

    assert reading.begun == 1


def test_a_stream_that_nobody_reads_on_is_closed() -> None:
    """An open response would hold its connection."""
    reading = Reading([[1, 2, 3]])
    items = _connection(retries=9).repeated("reading", reading)

    assert next(items) == 1
    items.close()

    assert reading.closed == [0]


def _connection(*, retries: int) -> Connection:
    return Connection(Access(NOBODY, retries=retries), FakeTime().timing)
