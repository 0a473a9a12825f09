"""What a server says of itself, and where it says nothing."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta

import pytest

from collector.client import QueryApi
from collector.connection import Access, Connection
from collector.promql import Matcher
from collector.server import ServerInfo, check_lookback, find_oldest, parse_retention, read_server_info
from schemas.errors import SourceError, UsageError
from tests.collector.hostile import MINUTE, to_bits
from tests.collector.misbehaving import Answer, serve
from tests.prometheus.server import RealPrometheus

HOUR = timedelta(hours=1)
FIVE = timedelta(minutes=5)


def test_a_real_server_tells_its_version_lookback_and_retention(prometheus: RealPrometheus) -> None:
    info = read_server_info(Connection(Access(prometheus.url)))

    assert info == ServerInfo(prometheus.version.partition("+")[0], FIVE, timedelta(days=30))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("15d", timedelta(days=15)),
        ("1y", timedelta(days=365)),
        ("30d or 512MB", timedelta(days=30)),
        ("512MB", None),  # nobody knows how long that lasts
        ("0s", None),
        ("", None),
        ("for ever", None),
    ],
)
def test_the_retention_is_a_time_where_there_is_one(text: str, wanted: timedelta | None) -> None:
    assert parse_retention(text) == wanted


@pytest.mark.parametrize(
    ("version", "edge"),
    [("2.42.0+ds", True), ("2.55.1", True), ("3.0.0", False), ("3.5.0-rc.1", False), ("10.1.0", False), (None, True)],
)
def test_the_version_decides_about_the_edge(version: str | None, edge: bool) -> None:
    assert ServerInfo(version, None).lookback_includes_edge is edge


@pytest.mark.parametrize(
    ("told", "kept"),
    [("2.42.0+payroll", "2.42.0"), ("3.5.0-rc.1", "3.5.0"), ("payroll-2.42", None), ("v3", None), ("", None)],
)
def test_of_a_version_only_its_numbers_are_kept(told: str, kept: str | None) -> None:
    """It goes into every commit and release, and a build of one's own may say whose it is."""
    with serve(Answer(json.dumps({"status": "success", "data": {"version": told}}).encode())) as server:
        assert read_server_info(Connection(Access(server.url, retries=0))).version == kept


@pytest.mark.parametrize("status", [404, 405])
def test_a_server_without_a_status_api_is_no_error(status: int) -> None:
    with serve(Answer(status=status)) as server:
        assert read_server_info(Connection(Access(server.url, retries=0))) == ServerInfo(None, None)


@pytest.mark.parametrize("data", [{}, [], "text", {"version": 3, "query.lookback-delta": 300}])
def test_a_server_that_tells_something_else_tells_nothing(data: object) -> None:
    with serve(Answer(json.dumps({"status": "success", "data": data}).encode())) as server:
        assert read_server_info(Connection(Access(server.url, retries=0))) == ServerInfo(None, None)


def test_a_lookback_that_is_no_duration_is_a_source_error() -> None:
    body = json.dumps({"status": "success", "data": {"query.lookback-delta": "soon"}}).encode()

    with serve(Answer(body)) as server, pytest.raises(SourceError, match=r"query\.lookback-delta.*not a duration"):
        read_server_info(Connection(Access(server.url, retries=0)))


def test_a_server_that_is_not_there_is_an_error() -> None:
    with serve(Answer(status=500)) as server, pytest.raises(SourceError, match="answered 500"):
        read_server_info(Connection(Access(server.url, retries=0)))


def test_a_lookback_that_contradicts_the_configuration_is_refused() -> None:
    """With another lookback than the server's, the grid would hold other values than its own answers."""
    check_lookback(ServerInfo("2.42.0", FIVE), FIVE)
    check_lookback(ServerInfo(None, None), FIVE)

    with pytest.raises(UsageError, match=r"is 5m, collection\.lookback is 1m; set collection\.lookback") as caught:
        check_lookback(ServerInfo("2.42.0", FIVE), timedelta(minutes=1))
    assert caught.value.exit_code == 2


def test_the_oldest_window_is_the_first_in_which_a_target_was_seen(prometheus: RealPrometheus) -> None:
    """``up`` of another team must not count, nor must a target that is down be taken for none."""
    now = datetime.fromtimestamp(time.time(), UTC).replace(microsecond=0)  # noqa: TID251 - the server is of today
    this_hour = now.replace(minute=0, second=0)
    first = this_hour - 5 * HOUR
    begin = int(first.timestamp()) * 1000 - 10 * MINUTE
    times = range(begin, int(now.timestamp()) * 1000, MINUTE)
    mine, other = prometheus.new_metric("team"), prometheus.new_metric("team")
    prometheus.write([({"__name__": "up", "team": mine}, [(t, to_bits(0.0)) for t in times])])
    prometheus.write([({"__name__": "up", "team": other}, [(times[0] - 120 * MINUTE, to_bits(1.0))])])
    api = QueryApi(Connection(Access(prometheus.url)))

    def oldest(team: str, since: datetime, width: timedelta = HOUR) -> datetime:
        return find_oldest(api, [Matcher("team", "=", team)], since=since, until=now, width=width)

    assert oldest(mine, now - 20 * HOUR) == first
    assert oldest(mine, first + timedelta(seconds=1)) == first + HOUR
    assert oldest(mine, now - timedelta(days=300)) == first
    assert oldest(mine, now - timedelta(days=3), timedelta(seconds=10)) == first - timedelta(minutes=10)
    assert oldest(mine, now) == now  # nothing whole yet
    with pytest.raises(SourceError, match="no target of this source has an 'up' series"):
        oldest("nobody", now - 20 * HOUR)
