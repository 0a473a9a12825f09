"""What a failed request means to the person who reads of it, and whether asking again may help. Pure.

Messages name the place and the status, never a body, a header or a query: those may hold what must not be read.
"""

import http.client
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import NewConnectionError, ProtocolError
from urllib3.exceptions import TimeoutError as PoolTimeout

from collector.pace import parse_retry_after
from schemas.errors import SourceError

RETRIED: Final = (429, 500, 502, 503, 504)
HINT: Final = "wanted the base URL of a Prometheus API in source.url"

_EXPIRED: Final = (9, 10)  # OpenSSL's X509_V_ERR_*: not yet valid, has expired
_OTHER_NAME: Final = (62, 64)  # ... host name, IP address mismatch
_BROKEN: Final = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)


class Unavailable(SourceError):
    """The server failed in a way that may pass. ``retry_after`` is what it asked for, in seconds."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True)
class Peer:
    """Whom a message is about: where the server is, through which proxy, and how long an answer may take."""

    place: str
    proxy: str | None
    timeout_seconds: float


def place_of(url: str) -> str:
    """Return scheme, host and port of an address; its user and password are never printed.

    >>> place_of("https://reader:sesame@prometheus.example:9090/base?tenant=a")
    'https://prometheus.example:9090'
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")


def explain_status(what: str, peer: Peer, status: int, headers: Mapping[str, str]) -> SourceError | None:
    """Return the error that an answer's status stands for; ``None`` when it is 200."""
    if status == 200:
        return None
    said = f"{what}: {peer.place} answered {status}"
    if status in RETRIED:
        return Unavailable(said, retry_after=retry_after_of(headers))
    if status in (401, 403):
        return SourceError(f"{said}; the token or password is missing, wrong or expired")
    if status == 407:
        return SourceError(f"{what}: {_refused_by_proxy(peer)}")
    if 300 <= status < 400:
        return SourceError(f"{said} with a redirect, perhaps to a login; {HINT}")
    if status == 404:
        return SourceError(f"{said}; {HINT}")
    if status == 422:
        return SourceError(
            f"{said}: the query failed or is over a limit of the server (samples, series or time); set "
            "limits.max_series_per_read lower, or raise the server's limit"
        )
    return SourceError(said)


def retry_after_of(headers: Mapping[str, str]) -> float | None:
    """Return how many seconds the server wants to be left alone, where it says so."""
    return parse_retry_after(headers.get("Retry-After"), date=headers.get("Date"))


def explain_failure(what: str, peer: Peer, error: BaseException) -> SourceError:
    """Return what an exception of the HTTP libraries means. They wrap each other: the innermost cause tells."""
    causes = list(_causes(error))

    def is_a(*kinds: type[BaseException]) -> bool:
        return any(isinstance(cause, kinds) for cause in causes)

    if is_a(ssl.SSLEOFError, ssl.SSLZeroReturnError):  # a server that refuses us may hang up before it says so
        return Unavailable(
            f"{what}: the TLS connection to {peer.place} broke; if that lasts, it may want a client certificate "
            "(tls.cert_file)"
        )
    for cause in causes:
        if isinstance(cause, ssl.SSLError):
            return SourceError(f"{what}: {_explain_tls(peer, cause)}")
    if is_a(requests.exceptions.SSLError):
        return SourceError(f"{what}: TLS with {peer.place} failed; check source.tls")
    if is_a(requests.exceptions.InvalidHeader, UnicodeEncodeError):
        return SourceError(f"{what}: found a character that no HTTP header may have in source.headers")
    if is_a(requests.exceptions.ProxyError):
        if any("Tunnel connection failed: 407" in str(cause) for cause in causes):
            return SourceError(f"{what}: {_refused_by_proxy(peer)}")
        return Unavailable(f"{what}: no connection through the proxy {peer.proxy}; is source.proxy_url right?")
    absent = Unavailable(f"{what}: no connection to {peer.place}; is source.url right, and the server up?")
    if is_a(NewConnectionError):  # which urllib3 takes for a kind of timeout
        return absent
    if is_a(requests.exceptions.Timeout, PoolTimeout, TimeoutError):
        return Unavailable(f"{what}: {peer.place} gave no answer in {peer.timeout_seconds:g} s")
    if is_a(requests.exceptions.ChunkedEncodingError, ProtocolError, http.client.HTTPException, *_BROKEN):
        return Unavailable(f"{what}: the connection to {peer.place} broke before the end of the answer")
    if isinstance(error, ValueError):  # before OSError, since a JSONDecodeError of requests is both
        return SourceError(f"{what}: {peer.place} did not answer as Prometheus does; {HINT}")
    return absent


def _explain_tls(peer: Peer, error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _EXPIRED:
            return f"the TLS certificate of {peer.place} has expired or is not valid yet"
        if error.verify_code in _OTHER_NAME:
            return f"the TLS certificate of {peer.place} is for another host name; is source.url right?"
        return f"the TLS certificate of {peer.place} is not trusted; set tls.ca_file"
    reason = error.reason or ""
    if "ALERT" in reason and ("CERT" in reason or "UNKNOWN_CA" in reason or "HANDSHAKE" in reason):
        return f"{peer.place} does not accept our client certificate, or wants one; check tls.cert_file"
    if reason == "KEY_VALUES_MISMATCH":
        return "tls.key_file is not the key of tls.cert_file"
    if reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"):
        return f"{peer.place} does not speak TLS; is source.url right?"
    return f"TLS with {peer.place} failed; check source.tls"


def _refused_by_proxy(peer: Peer) -> str:
    return f"the proxy {peer.proxy} answered 407; the user or password in source.proxy_url is missing or wrong"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and all that it was made from, each once."""
    found, waiting = set[int](), [error]
    while waiting:
        cause = waiting.pop()
        if id(cause) not in found:
            found.add(id(cause))
            yield cause
            inner = (*cause.args, getattr(cause, "reason", None), cause.__cause__, cause.__context__)
            waiting += [each for each in inner if isinstance(each, BaseException)]
