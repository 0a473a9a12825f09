"""A real Prometheus lets us in by every way that is offered, or we are told why not; and secrets stay untold."""

from __future__ import annotations

import base64
import logging
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from collector.client import QueryApi
from collector.connection import Access, Connection
from collector.pace import Timing
from collector.reader import choose_reader
from demo.servers import find_free_port
from schemas.errors import SourceError
from tests.collector.locked import PASSWORD, USER, Locked, find_openssl, start_locked
from tests.faults.proxy import Reply, Request, answer, proxy
from tests.prometheus.server import RealPrometheus

TOKEN, NEXT_TOKEN = "sesame-of-the-cluster", "its-successor"
TENANT = "team-of-the-boss"
PROXY_PASSWORD = "key-to-the-gate"
SECRETS = (TOKEN, NEXT_TOKEN, TENANT, PROXY_PASSWORD, PASSWORD)
NO_SLEEP = Timing(sleep=lambda _: None)

Ask = Callable[[Connection], object]
WAYS: dict[str, Ask] = {
    "status": lambda connection: connection.get_json("/api/v1/status/buildinfo"),
    "query": lambda connection: QueryApi(connection).query("vector(1)", at_ms=0),
    "read": lambda connection: choose_reader(connection, "remote-read", now_ms=0),
}
every_way = pytest.mark.parametrize("way", WAYS)


@pytest.fixture(scope="module")
def locked(prometheus: RealPrometheus, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    if not find_openssl():
        pytest.skip("openssl is not installed, and the certificates of these tests are made by it")
    with start_locked(prometheus.programs, tmp_path_factory.mktemp("locked")) as server:
        yield server


@pytest.fixture(autouse=True)
def nothing_is_told(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a test does, no library's log on any level may hold a secret."""
    with caplog.at_level(logging.DEBUG):
        yield
    for record in caplog.records:
        assert not [secret for secret in SECRETS if secret in f"{record.getMessage()} {vars(record)}"], record.name


@pytest.fixture
def key(locked: Locked) -> Access:
    """What opens the locked server."""
    return Access(
        locked.url,
        basic_auth=(USER, PASSWORD),
        ca_file=locked.pem("authority"),
        cert_file=locked.pem("client"),
        key_file=locked.key("client"),
        timeout_seconds=10,
    )


@every_way
def test_mutual_tls_and_a_password_let_us_in(key: Access, way: str) -> None:
    WAYS[way](Connection(key))


@every_way
@pytest.mark.parametrize("authority", ["their-authority", None])
def test_a_server_that_nobody_known_vouches_for_is_not_trusted(
    key: Access, locked: Locked, way: str, authority: str | None
) -> None:
    access = replace(key, ca_file=locked.pem(authority) if authority else None)

    message = _refusal(access, way)

    assert message.endswith(f": the TLS certificate of {locked.url} is not trusted; set tls.ca_file")


@every_way
def test_a_certificate_for_another_name_is_not_trusted(key: Access, way: str) -> None:
    url = key.url.replace("127.0.0.1", "localhost")

    assert _refusal(replace(key, url=url), way).endswith(
        f": the TLS certificate of {url} is for another host name; is source.url right?"
    )


@every_way
@pytest.mark.parametrize("client", [None, "stranger"])
def test_a_client_that_the_server_does_not_know_is_told_so(
    key: Access, locked: Locked, way: str, client: str | None
) -> None:
    access = replace(
        key, cert_file=locked.pem(client) if client else None, key_file=locked.key(client) if client else None
    )

    assert _refusal(access, way).endswith(
        (
            f": {locked.url} does not accept our client certificate, or wants one; check tls.cert_file",
            # it hangs up at once, and what it says may not be read any more
            f": the TLS connection to {locked.url} broke; if that lasts, it may want a client certificate "
            "(tls.cert_file)",
        )
    )


def test_a_key_of_another_certificate_is_told(key: Access, locked: Locked) -> None:
    access = replace(key, key_file=locked.key("stranger"))

    assert _refusal(access, "status").endswith("tls.key_file is not the key of tls.cert_file")


@every_way
@pytest.mark.parametrize("login", [None, (USER, f"{PASSWORD}-of-yesterday"), ("nobody", PASSWORD)])
def test_a_wrong_password_is_told(key: Access, locked: Locked, way: str, login: tuple[str, str] | None) -> None:
    assert _refusal(replace(key, basic_auth=login), way).endswith(
        f": {locked.url} answered 401; the token or password is missing, wrong or expired"
    )


def test_tls_spoken_to_a_server_that_does_not_is_told(prometheus: RealPrometheus) -> None:
    url = prometheus.url.replace("http:", "https:")

    assert _refusal(Access(url), "status").endswith(f": {url} does not speak TLS; is source.url right?")


@every_way
def test_a_token_that_was_rotated_is_used_at_once(prometheus: RealPrometheus, way: str, tmp_path: Path) -> None:
    """Kubernetes rotates the file while the process lives."""
    token_file = tmp_path / "token"
    token_file.write_text(f"{TOKEN}\n")
    valid = TOKEN

    def guard(request: Request) -> Reply | None:
        return None if request.headers.get("Authorization") == f"Bearer {valid}" else answer(401)

    with proxy(prometheus.url, guard) as server:
        connection = Connection(Access(server.url, bearer_token_file=token_file))
        WAYS[way](connection)
        valid = NEXT_TOKEN
        with pytest.raises(SourceError, match="answered 401"):
            WAYS[way](connection)
        token_file.write_text(NEXT_TOKEN)
        WAYS[way](connection)


@every_way
def test_a_token_that_is_rotated_between_two_attempts_is_used_by_the_second(
    prometheus: RealPrometheus, way: str, tmp_path: Path
) -> None:
    """Between them may lie a minute, and all of a token's life."""
    token_file = tmp_path / "token"
    token_file.write_text(TOKEN)
    seen: list[str] = []

    def guard(request: Request) -> Reply | None:
        seen.append(request.headers.get("Authorization", ""))
        token_file.write_text(NEXT_TOKEN)
        return answer(503) if len(seen) == 1 else None

    with proxy(prometheus.url, guard) as server:
        WAYS[way](Connection(Access(server.url, bearer_token_file=token_file), NO_SLEEP))

    assert seen == [f"Bearer {TOKEN}", f"Bearer {NEXT_TOKEN}"]


@pytest.mark.parametrize("content", [f"{TOKEN}\n{NEXT_TOKEN}", "", f"{TOKEN}\u00e9", b"\xff"])
def test_a_file_that_holds_no_token_is_told_and_not_sent(content: str | bytes, tmp_path: Path) -> None:
    """A second line would become a header of its own."""
    token_file = tmp_path / "token"
    token_file.write_bytes(content if isinstance(content, bytes) else content.encode())

    with pytest.raises(SourceError, match="bearer_token_file") as caught:
        WAYS["status"](Connection(Access("http://127.0.0.1:9", bearer_token_file=token_file)))

    _assert_silent(caught.value)


@every_way
def test_the_tenant_stands_on_every_request(prometheus: RealPrometheus, way: str) -> None:
    def guard(request: Request) -> Reply | None:
        return None if request.headers.get("X-Scope-OrgID") == TENANT else answer(401)

    with proxy(prometheus.url, guard) as server:
        WAYS[way](Connection(Access(server.url, headers={"X-Scope-OrgID": TENANT})))
        message = _refusal(Access(server.url, headers={"X-Scope-OrgID": f"{TENANT}-2"}), way)

    assert "answered 401" in message


def test_a_header_that_cannot_be_one_is_told() -> None:
    access = Access("http://127.0.0.1:9", headers={"X-Scope-OrgID": f"{TENANT}\n"})

    assert _refusal(access, "status").endswith("found a character that no HTTP header may have in source.headers")


@every_way
def test_a_proxy_takes_us_where_we_cannot_go_ourselves(prometheus: RealPrometheus, way: str) -> None:
    with proxy(prometheus.url, _gate) as gate:
        WAYS[way](Connection(Access("http://prometheus.invalid:9090", proxy_url=_with_login(gate.url))))

    assert gate.asked


@every_way
def test_a_proxy_lets_tls_through_untouched(key: Access, way: str) -> None:
    with proxy(key.url, _gate) as gate:
        WAYS[way](Connection(replace(key, proxy_url=_with_login(gate.url))))

    assert {request.target for request in gate.asked} == {key.url.removeprefix("https://")}
    assert not [request for request in gate.asked if "Authorization" in request.headers]  # that is for the server


@every_way
@pytest.mark.parametrize("encrypted", [False, True])
def test_a_proxy_that_does_not_know_us_is_told(
    prometheus: RealPrometheus, key: Access, way: str, encrypted: bool
) -> None:
    with proxy(prometheus.url, _gate) as gate:
        address = _with_login(gate.url, f"{PROXY_PASSWORD}-of-yesterday")
        message = _refusal(
            replace(key, proxy_url=address) if encrypted else Access(prometheus.url, proxy_url=address), way
        )

    assert message.endswith(
        f": the proxy {gate.url} answered 407; the user or password in source.proxy_url is missing or wrong"
    )


@every_way
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_not_there_is_told(way: str, scheme: str) -> None:
    place = f"http://127.0.0.1:{find_free_port()}"

    message = _refusal(Access(f"{scheme}://prometheus.invalid", proxy_url=_with_login(place)), way)

    assert message.endswith(f": no connection through the proxy {place}; is source.proxy_url right?")


def test_secrets_show_in_no_repr() -> None:
    access = Access(
        f"https://reader:{TOKEN}@prometheus.example:9090/base/",
        basic_auth=("reader", PASSWORD),
        headers={"X-Scope-OrgID": TENANT},
        proxy_url=_with_login("http://proxy.example:3128"),
    )
    connection = Connection(access)

    shown = f"{access!r} {access} {connection!r} {connection.place} {connection.session.get_adapter('')!r}"
    assert not [secret for secret in SECRETS if secret in shown]
    assert connection.place == "https://prometheus.example:9090"


def _gate(request: Request) -> Reply | None:
    login = base64.b64encode(f"{USER}:{PROXY_PASSWORD}".encode()).decode()
    return None if request.headers.get("Proxy-Authorization") == f"Basic {login}" else answer(407)


def _with_login(url: str, password: str = PROXY_PASSWORD) -> str:
    return url.replace("://", f"://{USER}:{password}@")


def _refusal(access: Access, way: str) -> str:
    """Return what is said when we are not let in, which is a source error without a secret."""
    with pytest.raises(SourceError) as caught:
        WAYS[way](Connection(replace(access, retries=1), NO_SLEEP))
    assert caught.value.exit_code == 3
    _assert_silent(caught.value)
    return str(caught.value)


def _assert_silent(error: BaseException) -> None:
    told = "".join(traceback.format_exception(error)) + repr(error)
    assert not [secret for secret in SECRETS if secret in told]
