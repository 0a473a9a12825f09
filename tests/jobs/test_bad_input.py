"""The main job given what it cannot use: one line that helps, the right exit code, and nothing half-made."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from demo.servers import Server, find_free_port
from schemas.registry import latest_tables
from tests.jobs.bench import Bench

TOKEN = "made-up-token-of-the-tests"
LOGIN_PAGE = b"<!doctype html><title>Log in</title>"
HINT = "wanted the base URL of a Prometheus API in source.url"
SPANS = pytest.mark.parametrize(
    "span",
    [(), ("--start", "2026-11-01T00:00Z", "--end", "2026-11-01T00:02Z")],
    ids=["what is due", "a given span"],
)


@contextmanager
def a_server_that_always_says(status: int, body: bytes, kind: str) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _answer

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_no_server(bench: Bench) -> None:
    url = f"http://127.0.0.1:{find_free_port()}"
    bench.set("source", url=url)

    ran = bench.run("snapshot")

    assert ran.code == 3
    assert ran.line == f"GET /api/v1/status/buildinfo: no connection to {url}; is source.url right, and the server up?"
    assert not bench.made()


@SPANS
def test_a_path_where_no_api_is(bench: Bench, prometheus: Server, span: tuple[str, ...]) -> None:
    """Prometheus without a status API is fine, an address where nothing is served is not."""
    bench.set("source", url=f"{prometheus.url}/nonsense")

    ran = bench.run("snapshot", *span)

    assert ran.code == 3
    assert ran.line == f"query_range: {prometheus.url} answered 404; {HINT}"
    assert not bench.made()


@SPANS
def test_a_server_that_answers_with_a_page(bench: Bench, span: tuple[str, ...]) -> None:
    """A login page or a portal answers everything with 200."""
    with a_server_that_always_says(200, LOGIN_PAGE, "text/html") as url:
        bench.set("source", url=url)
        ran = bench.run("snapshot", *span)

    assert ran.code == 3
    assert ran.line == f"GET /api/v1/status/buildinfo: {url} did not answer as Prometheus does; {HINT}"
    assert not bench.made()


def test_an_expired_token(bench: Bench) -> None:
    (bench.folder / "opspub.key.token").write_text(f"{TOKEN}\n")
    before = bench.made()
    with a_server_that_always_says(401, f"Unauthorized: {TOKEN}".encode(), "text/plain") as url:
        bench.set("source", url=url, bearer_token_file="opspub.key.token")
        ran = bench.run("snapshot")

    assert ran.code == 3
    assert ran.line == (
        f"GET /api/v1/status/buildinfo: {url} answered 401; the token or password is missing, wrong or expired"
    )
    assert TOKEN not in ran.out + ran.err
    assert bench.made() == before


def test_an_unknown_configuration_key(bench: Bench, prometheus: Server) -> None:
    bench.set("source", url=prometheus.url)
    bench.set("collection", windows="1h")

    ran = bench.run("snapshot")

    assert ran.code == 2
    assert ran.line.endswith("opspub.yaml: unknown key collection.windows; the nearest known one is collection.window")
    assert not bench.made()


def test_a_missing_key_file(bench: Bench, prometheus: Server) -> None:
    """The key is read before anything is written: a store that was described by mistake could not be undone."""
    bench.set("source", url=prometheus.url)
    bench.key_file.unlink()

    ran = bench.run("snapshot")

    assert ran.code == 5
    assert ran.line == f"found no key file {bench.key_file}; make one with 'opspub key new'"
    assert not bench.made()


@pytest.mark.parametrize("mode", [0o644, 0o620])
def test_a_key_that_others_may_use(bench: Bench, prometheus: Server, mode: int) -> None:
    bench.set("source", url=prometheus.url)
    bench.key_file.chmod(mode)

    ran = bench.run("snapshot")

    assert ran.code == 5
    assert ran.line.startswith(f"key file {bench.key_file} has mode {mode:04o}; wanted 0600, no access for others")
    assert "make a new key" in ran.line
    assert not bench.made()


def test_a_key_file_that_is_no_ring(bench: Bench, prometheus: Server) -> None:
    bench.set("source", url=prometheus.url)
    bench.write_key("made-up text, no ring")

    ran = bench.run("snapshot")

    assert ran.code == 5
    assert ran.line.startswith(f"key file {bench.key_file}: Invalid JSON: ")
    assert ran.line.endswith("; make one with 'opspub key new'")
    assert "made-up text" not in ran.err
    assert not bench.made()


def below_a_file(bench: Bench) -> tuple[str, str]:
    return f"file:{bench.folder}/opspub.yaml/staging", "Not a directory"


def in_proc(bench: Bench) -> tuple[str, str]:
    return "file:/proc/opscommons-test", "No such file or directory"


@pytest.mark.parametrize("where", [below_a_file, in_proc])
def test_a_store_that_cannot_be_written(
    bench: Bench, prometheus: Server, where: Callable[[Bench], tuple[str, str]]
) -> None:
    url, reason = where(bench)
    bench.set("source", url=prometheus.url)
    bench.config["staging"] = url

    ran = bench.run("snapshot")

    assert ran.code == 6
    assert ran.line == f"cannot write 'store.json' in {url}: {reason}"
    assert not bench.made()


@pytest.mark.parametrize("start", ["2999-01-01", "2026-11-01"])
def test_a_window_in_the_future(bench: Bench, prometheus: Server, start: str) -> None:
    bench.set("source", url=prometheus.url)

    ran = bench.run("snapshot", "--start", start, "--end", "2999-01-02")

    assert ran.code == 2
    assert f"the span {start}T00:00:00Z/2999-01-02T00:00:00Z has not settled: it is 20" in ran.line
    assert "; wanted an end at or before 20" in ran.line
    assert not bench.made()


def test_an_unknown_table(bench: Bench, prometheus: Server) -> None:
    bench.set("source", url=prometheus.url)

    ran = bench.run("snapshot", "--table", "nodes")

    assert ran.code == 2
    assert ran.line == f"there is no table 'nodes'; there are {', '.join(latest_tables())}"
    assert not bench.made()


def test_an_unknown_table_in_the_configuration(bench: Bench, prometheus: Server) -> None:
    bench.set("source", url=prometheus.url)
    bench.set("collection", tables=["node", "nodes"])

    ran = bench.run("snapshot")

    assert ran.code == 2
    assert ran.line.startswith("there is no table 'nodes'; there are ")
    assert not bench.made()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--start", "2026-11-01"), "found one of --start and --end; wanted both, or neither for all that is due"),
        (("--start", "yesterday", "--end", "2026-11-02"), "found the instant 'yesterday'; wanted ISO 8601, such as "),
        (("--start", "2026-11-02", "--end", "2026-11-01"), "found a span that ends at 2026-11-01T00:00:00Z, not after"),
    ],
)
def test_a_span_that_is_none(bench: Bench, arguments: tuple[str, ...], message: str) -> None:
    ran = bench.run("snapshot", *arguments)

    assert ran.code == 2
    assert ran.line.startswith(message)
    assert not bench.made()


def test_a_server_that_looks_back_otherwise(bench: Bench, prometheus: Server) -> None:
    """Values would differ from the server's own, and nobody would see why."""
    bench.set("source", url=prometheus.url)
    bench.set("collection", lookback="1m")

    ran = bench.run("snapshot")

    assert ran.code == 2
    assert ran.line == (
        "the server's query.lookback-delta is 5m, collection.lookback is 1m; set collection.lookback to the server's"
    )
    assert not bench.made()


def test_a_store_made_with_another_window(bench: Bench, prometheus: Server) -> None:
    bench.set("source", url=prometheus.url)
    bench.set("collection", max_catch_up="1s")
    assert bench.run("snapshot").code == 0
    before = bench.made()
    bench.set("collection", window="2m")

    ran = bench.run("snapshot")

    assert ran.code == 2
    assert ran.line == (
        f"file:{bench.folder}/staging holds snapshots with window 1m, collection says 2m; "
        "set it back, or name another staging store"
    )
    assert bench.made() == before == ["staging", "staging/.incoming", "staging/store.json"]
