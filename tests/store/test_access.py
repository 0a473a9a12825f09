"""Who reads and writes a bucket, at which address, and what answers say to caches."""

import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest

from jobs.store import open_store, refuse_unguarded
from jobs.store.headers import PUBLIC_MAX_AGE_SECONDS
from schemas.errors import StoreError
from tests.lab.rgw import Gateway
from tests.store.places import BucketPlace

PUBLIC = "public, max-age=300, must-revalidate, no-transform"
SERVED = {
    "catalog.json": ("application/json", "no-cache"),
    "index.html": ("text/html; charset=utf-8", "no-cache"),
    "releases/2026.11.0/manifest.json": ("application/json", PUBLIC),
    "releases/2026.11.0/SHA256SUMS": ("text/plain; charset=utf-8", PUBLIC),
    "releases/2026.11.0/LICENSE": ("text/plain; charset=utf-8", PUBLIC),
    "releases/2026.11.0/README.md": ("text/markdown; charset=utf-8", PUBLIC),
    "releases/2026.11.0/CITATION.cff": ("application/yaml", PUBLIC),
    "releases/2026.11.0/data/m/metric=vllm%3Ax/date=2026-11-01/part-0.parquet": (
        "application/vnd.apache.parquet",
        PUBLIC,
    ),
    "releases/2026.11.0/coverage.svg": ("image/svg+xml", PUBLIC),
    "attestations/2026.11.0/published.json": ("application/json", PUBLIC),
    "retractions/2026.11.0.json": ("application/json", PUBLIC),
    "commits/lab/node/v1/20261101T000000Z.json": ("application/json", "private, no-store"),
    "data/lab/node/v1/x/0123.parquet": ("application/vnd.apache.parquet", "private, no-store"),
    "store.json": ("application/json", "private, no-store"),
    "notes.unknown": ("application/octet-stream", "private, no-store"),
}


def ask(url: str, *, host: str | None = None) -> tuple[int, dict[str, str], bytes]:
    """GET a URL as anybody would, with nothing but the standard library."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc if host is None else host, timeout=10)
    connection.request("GET", parts.path, headers={"Host": parts.netloc})
    with connection.getresponse() as answer:
        found = (answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    connection.close()
    return found


@pytest.fixture
def public_place(gateway: Gateway, bucket_place: BucketPlace) -> BucketPlace:
    """Return a bucket without a prefix that everybody may read."""
    place = BucketPlace(gateway, prefix="")
    place.let_everybody_read()
    return place


def test_anybody_gets_each_file_with_its_type_and_for_how_long_to_keep_it(public_place: BucketPlace) -> None:
    """A retraction works as fast as caches forget: minutes for files, at once for the catalog."""
    store = public_place.open()
    for number, key in enumerate(SERVED):
        if number % 2:
            store.put(key, key.encode())
        else:
            store.put_new(key, key.encode())

    served = {key: ask(store.address(key) or "") for key in SERVED}

    assert {key: (got[1]["content-type"], got[1]["cache-control"]) for key, got in served.items()} == SERVED
    assert all(got[0] == 200 and got[2] == key.encode() for key, got in served.items())
    assert f"max-age={PUBLIC_MAX_AGE_SECONDS}," in PUBLIC


def test_readers_without_credentials_read_and_do_nothing_else(
    public_place: BucketPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = public_place.open()
    owner.put("catalog.json", b"{}")
    anybody = open_store(public_place.url, endpoint_url=public_place.endpoint_url, anonymous=True)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)

    assert anybody.get("catalog.json") == b"{}"
    assert anybody.get_range("catalog.json", 1, 5) == b"}"
    for call in (
        lambda: list(anybody.list("")),
        lambda: anybody.put("x", b"1"),
        lambda: anybody.delete("catalog.json"),
    ):
        with pytest.raises(StoreError, match="AccessDenied; the credentials may not do that here"):
            call()


def test_the_bucket_may_stand_in_the_name_of_the_host(
    bucket_place: BucketPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some servers know no other addresses. As a proxy of itself the gateway needs no DNS for every bucket."""
    port = urlsplit(bucket_place.endpoint_url).port
    monkeypatch.setenv("http_proxy", bucket_place.endpoint_url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    store = open_store(bucket_place.url, endpoint_url=f"http://{{bucket}}.localhost:{port}")

    assert store.put_new("a/x.json", b"1")
    assert not store.put_new("a/x.json", b"2")
    assert list(store.list("a/")) == ["a/x.json"]

    assert store.address("a/x.json") == f"http://{bucket_place.bucket}.localhost:{port}/{bucket_place.prefix}a/x.json"
    bucket_place.let_everybody_read()
    status, _, body = ask(store.address("a/x.json") or "", host=f"127.0.0.1:{port}")
    assert (status, body) == (200, b"1")


def test_the_address_of_an_object_is_the_plain_one(bucket_place: BucketPlace) -> None:
    """No signature, no credentials: it is what a reader would type."""
    address = bucket_place.open().address("releases/1/metric=vllm%3Ax/part-0.parquet")

    assert address == (
        f"{bucket_place.endpoint_url}/{bucket_place.bucket}/{bucket_place.prefix}"
        "releases/1/metric%3Dvllm%253Ax/part-0.parquet"
    )


class TokenService(BaseHTTPRequestHandler):
    """Gives the gateway's own keys to whoever brings the token of a service account."""

    asked: list[dict[str, list[str]]]
    gateway: Gateway

    def do_POST(self) -> None:
        """Answer AssumeRoleWithWebIdentity."""
        type(self).asked.append(parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        body = (
            '<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
            "<AssumeRoleWithWebIdentityResult><Credentials>"
            f"<AccessKeyId>{self.gateway.access_key}</AccessKeyId>"
            f"<SecretAccessKey>{self.gateway.secret_key}</SecretAccessKey>"
            "<SessionToken>session</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>"
            "</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
        ).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_token_of_a_service_account_is_enough(
    gateway: Gateway, bucket_place: BucketPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On OpenShift and EKS no key lies anywhere: a projected token is exchanged for one that expires."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    (tmp_path / "token").write_text("token-of-the-service-account")
    calls: list[dict[str, list[str]]] = []
    handler = type("Bound", (TokenService,), {"asked": calls, "gateway": gateway})
    with serving(handler) as url:
        monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/publisher")
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", url)
        wrote = bucket_place.open().put_new("a/x.json", b"1")

    (asked,) = calls
    assert wrote
    assert asked["WebIdentityToken"] == ["token-of-the-service-account"]
    assert asked["RoleArn"] == ["arn:aws:iam::123456789012:role/publisher"]


class Careless(BaseHTTPRequestHandler):
    """An S3 server that takes every PUT, whatever its conditions, as some do."""

    def do_PUT(self) -> None:
        """Say that it was written."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.reply(200)

    def do_DELETE(self) -> None:
        """Say that it is gone."""
        self.reply(204)

    def reply(self, status: int) -> None:
        """Answer without a body."""
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


def test_a_server_that_ignores_conditions_is_refused_for_commits(bucket_place: BucketPlace) -> None:
    """Eight runs at once would all believe that the window is theirs."""
    with serving(Careless) as url, pytest.raises(StoreError, match=r"ignores If-None-Match.*use another server"):
        refuse_unguarded(open_store("s3://some-bucket/staging", endpoint_url=url))


def test_the_policy_of_the_tests_opens_nothing_but_its_prefix(bucket_place: BucketPlace) -> None:
    """What these tests call anonymous must be so."""
    with bucket_place.client() as client:
        client.put_object(Bucket=bucket_place.bucket, Key="elsewhere/x", Body=b"{}")
    bucket_place.let_everybody_read()
    bucket_place.open().put("x", b"1")

    assert ask(bucket_place.open().address("x") or "")[0] == 200
    assert ask(f"{bucket_place.endpoint_url}/{bucket_place.bucket}/elsewhere/x")[0] == 403
