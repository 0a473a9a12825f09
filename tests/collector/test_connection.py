"""What a source does wrong is told in one line with the right exit code, and without a word that is nobody's business.

Every case is asked in three ways: by the status API, by the query API and by remote read.
"""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from collector.client import QueryApi
from collector.connection import Access, Connection
from collector.grid import Grid
from collector.http_read import read_series
from collector.promql import Matcher
from collector.remote_read import read_series as remote_read_series
from demo.servers import find_free_port
from schemas.errors import PartialResult, SourceError
from tests.collector.misbehaving import Answer, serve

TOKEN = "sesame-of-the-cluster"
BODY = "what-the-body-says"
VALUE = "payroll-of-the-boss"
GRID = Grid(0, 300_000, 30_000, 300_000, lookback_includes_edge=True)
MATCHERS = [Matcher("team", "=", VALUE)]

Ask = Callable[[Connection], object]
WAYS: dict[str, Ask] = {
    "status": lambda connection: connection.get_json("/api/v1/status/buildinfo", {"q": VALUE}),
    "query": lambda connection: list(read_series(QueryApi(connection), "made_up", MATCHERS, GRID)),
    "read": lambda connection: list(remote_read_series(connection, "made_up", MATCHERS, GRID)),
}
HTML = Answer(f"<html>{BODY}</html>".encode(), content_type="text/html")


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    return path


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Answer(BODY.encode(), status=400), "answered 400$"),
        (Answer(BODY.encode(), status=401), "answered 401; the token or password is missing, wrong or expired"),
        (Answer(BODY.encode(), status=403), "answered 403; the token or password is missing, wrong or expired"),
        (Answer(BODY.encode(), status=404), "answered 404; wanted the base URL|serves no remote read"),
        (Answer(BODY.encode(), status=422), "answered 422: the query failed or is over a limit of the server"),
        (Answer(BODY.encode(), status=500), "answered 500$"),
        (Answer(BODY.encode(), status=503), "answered 503$"),
        (
            Answer(BODY.encode(), status=302, headers={"Location": f"/login?next={BODY}"}),
            "answered 302 with a redirect, perhaps to a login; wanted the base URL",
        ),
        (HTML, "did not answer as Prometheus does|does not stream XOR chunks"),
        (Answer(b'{"status": "succ', missing=9), "the connection to .* broke|does not stream"),
        (Answer(hang_seconds=5, missing=9), "gave no answer in 1 s|does not stream"),
    ],
)
def test_a_server_that_misbehaves_is_a_source_error(way: str, answer: Answer, message: str, token_file: Path) -> None:
    with serve(answer) as server:
        connection = Connection(_access(server.url, token_file))
        with pytest.raises(SourceError, match=message) as caught:
            WAYS[way](connection)

    assert caught.value.exit_code == 3
    assert server.url in str(caught.value)
    _assert_silent(caught.value)


@pytest.mark.parametrize("way", WAYS)
def test_no_server_is_a_source_error(way: str, token_file: Path) -> None:
    url = f"http://127.0.0.1:{find_free_port()}"

    with pytest.raises(SourceError, match=f"no connection to {url}; is source.url right, and the server up") as caught:
        WAYS[way](Connection(_access(url, token_file)))

    _assert_silent(caught.value)


@pytest.mark.parametrize("way", ["status", "query"])
@pytest.mark.parametrize(
    "content",
    [
        [],
        "text",
        None,
        7,
        {},
        {"status": "success"},
        {"status": "error", "errorType": "bad_data", "error": BODY},
    ],
)
def test_json_that_is_not_prometheus_is_a_source_error(way: str, content: object, token_file: Path) -> None:
    with serve(_json(content)) as server, pytest.raises(SourceError, match="did not answer as Prometheus") as caught:
        WAYS[way](Connection(_access(server.url, token_file)))

    assert caught.value.exit_code == 3
    _assert_silent(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {"result": None},
        {"result": [7]},
        {"result": [{}]},
        {"result": [{"metric": {}, "values": [[1]]}]},
        {"result": [{"metric": {}, "values": [[0, BODY]]}]},
        {"result": [{"metric": None, "values": [[0, "1"]]}]},
        {"result": [{"metric": {}, "values": [[10**9, "1"]]}]},  # a time that nobody asked for
        {"result": [{"metric": {}, "values": [[-30, "1"]]}]},
    ],
)
def test_a_matrix_that_is_none_is_a_source_error(data: object, token_file: Path) -> None:
    with (
        serve(_json({"status": "success", "data": data})) as server,
        pytest.raises(SourceError, match="did not answer as Prometheus") as caught,
    ):
        WAYS["query"](Connection(_access(server.url, token_file)))

    _assert_silent(caught.value)


def test_native_histograms_in_a_matrix_are_refused_by_name(token_file: Path) -> None:
    data = {"result": [{"metric": {"__name__": "made_up"}, "histograms": [[0, {"count": "1", "sum": "1"}]]}]}

    with (
        serve(_json({"status": "success", "data": data})) as server,
        pytest.raises(SourceError, match="found native histograms; wanted float samples"),
    ):
        WAYS["query"](Connection(_access(server.url, token_file)))


@pytest.mark.parametrize("way", ["status", "query"])
def test_warnings_mean_that_data_are_missing(way: str, token_file: Path) -> None:
    """Thanos answers with what it has and a warning when a store is away."""
    content = {"status": "success", "data": {"resultType": "matrix", "result": []}, "warnings": [BODY]}

    with serve(_json(content)) as server, pytest.raises(PartialResult, match="warnings: data are missing") as caught:
        WAYS[way](Connection(_access(server.url, token_file)))

    assert caught.value.exit_code == 4
    _assert_silent(caught.value)


@pytest.mark.parametrize("way", WAYS)
def test_a_server_that_recovers_is_asked_again(way: str, token_file: Path) -> None:
    good = {"status": "success", "data": {"resultType": "matrix", "result": []}}
    answers = iter([Answer(status=503), Answer(status=429)])
    streams = Answer(content_type="application/x-streamed-protobuf") if way == "read" else _json(good)

    with serve(lambda _: next(answers, streams)) as server:
        WAYS[way](Connection(_access(server.url, token_file, retries=2)))

    assert len(server.asked) == 3


@pytest.mark.parametrize("way", WAYS)
def test_the_token_is_read_for_every_request(way: str, token_file: Path) -> None:
    """Kubernetes rotates the token's file while the process lives."""
    with serve(Answer(status=401)) as server:
        connection = Connection(_access(server.url, token_file))
        for token in (TOKEN, "its-successor"):
            token_file.write_text(token)
            with pytest.raises(SourceError):
                WAYS[way](connection)

    assert [asked.headers["Authorization"] for asked in server.asked] == [f"Bearer {TOKEN}", "Bearer its-successor"]


@pytest.mark.parametrize("way", WAYS)
def test_a_token_file_that_is_missing_is_told_before_anything_is_sent(way: str, tmp_path: Path) -> None:
    with serve(HTML) as server, pytest.raises(SourceError, match="bearer_token_file cannot be read: No such file"):
        WAYS[way](Connection(_access(server.url, tmp_path / "none")))

    assert server.asked == []


@pytest.mark.parametrize("way", WAYS)
def test_a_redirect_is_never_followed(way: str, token_file: Path) -> None:
    """Whoever can redirect would be sent the token."""
    with serve(HTML) as stranger:
        away = Answer(status=307, headers={"Location": f"{stranger.url}/api/v1/query_range"})
        with serve(away) as server, pytest.raises(SourceError, match="answered 307"):
            WAYS[way](Connection(_access(server.url, token_file)))

    assert stranger.asked == []


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch, token_file: Path) -> None:
    """A proxy that nobody configured would see raw labels."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{find_free_port()}")

    with serve(_json({"status": "success", "data": []})) as server:
        assert Connection(_access(server.url, token_file)).get_json("/api/v1/labels") == []


def test_secrets_show_in_no_repr() -> None:
    access = Access(
        f"https://reader:{TOKEN}@prometheus.example:9090/base/",
        basic_auth=("reader", TOKEN),
        headers={"X-Scope-OrgID": TOKEN},
    )
    connection = Connection(access)

    assert TOKEN not in f"{access!r} {access} {connection!r} {connection.place}"
    assert connection.place == "https://prometheus.example:9090"


@pytest.mark.parametrize("seconds", [0.5, 1.0, 90.5])
def test_a_time_limit_below_a_second_is_one(seconds: float) -> None:
    with serve(_json({"status": "success", "data": {"resultType": "vector", "result": []}})) as server:
        assert QueryApi(Connection(Access(server.url, timeout_seconds=seconds))).query("up", at_ms=0) == []


def test_a_server_that_hangs_is_left_when_the_time_is_up(token_file: Path) -> None:
    begun = time.monotonic()

    with serve(Answer(hang_seconds=30, missing=9)) as server, pytest.raises(SourceError, match="gave no answer"):
        WAYS["status"](Connection(_access(server.url, token_file)))

    assert time.monotonic() - begun < 10


def _access(url: str, token_file: Path, *, retries: int = 0) -> Access:
    return Access(url, bearer_token_file=token_file, timeout_seconds=1.0, retries=retries)


def _json(content: object) -> Answer:
    return Answer(json.dumps(content).encode())


def _assert_silent(error: SourceError) -> None:
    """Assert that neither the message nor what a traceback would print holds a secret, a body or a query."""
    chain = traceback.TracebackException.from_exception(error, lookup_lines=False)
    said = [str(error), repr(error), *chain.format_exception_only()]
    while (chain := chain.__cause__ or (None if chain.__suppress_context__ else chain.__context__)) is not None:  # type: ignore[assignment]
        said += chain.format_exception_only()
    for word in (TOKEN, BODY, VALUE, "__name__"):
        assert not [line for line in said if word in line], f"{word} is told"
