"""How requests reach one server: every wait ends with the run's time, and what fails in passing is asked again.

``requests`` bounds the time between two bytes; a server that sends one from time to time would hold a run for ever.
So each read of a socket is bounded here.
"""

import functools
import http.client
import io
import socket
from pathlib import Path
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from collector.failures import RETRIED, Peer, Unavailable, explain_failure, retry_after_of
from collector.pace import LONGEST_DEAF_SECONDS, Attempts, Pace, Timing
from schemas.errors import SourceError

_READ_BYTES: Final = 1 << 16
_CONNECT_SECONDS: Final = 10.0  # while it connects a run hears nothing, and no healthy server takes so long
_FOR_EVER: Final = float("inf")


class BearerFile:
    """Puts the token of a file into a request. Read for every attempt, since Kubernetes rotates it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add_to(self, request: requests.PreparedRequest) -> None:
        """Raise ``SourceError`` when the file cannot be read, or holds no token."""
        try:
            token = self.path.read_text("utf-8").strip()
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "it is not UTF-8"
            raise SourceError(f"bearer_token_file cannot be read: {why}") from None
        if not (token.isascii() and token.isprintable() and token):
            raise SourceError("bearer_token_file holds what cannot be a token; wanted one line of ASCII")
        request.headers["Authorization"] = f"Bearer {token}"


class GentleAdapter(HTTPAdapter):
    """Sends requests within the run's time and at the server's pace.

    An answer that is wanted whole is asked for again when it fails in passing, its body included. A streamed one is
    sent once: only its reader knows whether it may still begin anew (``Connection.repeated``).
    """

    def __init__(
        self,
        peer: Peer,
        timing: Timing,
        pace: Pace,
        *,
        retries: int,
        bearer: BearerFile | None,
    ) -> None:
        self._peer = peer
        self._timing = timing
        self._pace = pace
        self._retries = retries
        self._bearer = bearer
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as in the base class
        """Make pools whose connections read within the run's time."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _make_pools(self._timing)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:  # noqa: ANN401 - as in the base class
        """Return a manager of connections through a proxy that read within the run's time, too."""
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = _make_pools(self._timing)
        return manager

    def add_headers(self, request: requests.PreparedRequest, **_: Any) -> None:  # noqa: ANN401 - as in the base class
        """Add the token as it is now."""
        if self._bearer:
            self._bearer.add_to(request)

    def send(self, request: requests.PreparedRequest, stream: bool = False, **kwargs: Any) -> requests.Response:  # type: ignore[override]  # noqa: ANN401 - as in the base class
        """Send a request; see the class."""
        if stream:
            return self._send_once(request, stream=True, **kwargs)
        attempts = Attempts(request.path_url.partition("?")[0], self._timing, retries=self._retries)
        while True:
            failure: Exception | None = None
            retry_after = None
            try:
                response = self._send_once(request, stream=False, **kwargs)
            except (requests.exceptions.RequestException, HTTPError, OSError) as error:
                failure = error
                if not isinstance(explain_failure("", self._peer, error), Unavailable):
                    raise
            else:
                if response.status_code not in RETRIED:
                    return response
                retry_after = retry_after_of(response.headers)
            if not attempts.wait_for_next(retry_after):
                if failure:
                    raise failure
                return response

    def _send_once(self, request: requests.PreparedRequest, *, stream: bool, **kwargs: Any) -> requests.Response:  # noqa: ANN401 - as in the base class
        self._timing.check()
        self._pace.wait()
        timeout = min(self._peer.timeout_seconds, self._timing.remaining_seconds())
        begun = self._timing.stopwatch()
        try:
            seconds = max(timeout, 0.001)
            limits = (min(seconds, _CONNECT_SECONDS), seconds)
            response = super().send(request, stream=stream, **kwargs | {"timeout": limits})
        except requests.exceptions.Timeout:
            self._timing.check()  # it was this run's time that was up, not the server's
            self._pace.note(self._timing.stopwatch() - begun)
            raise
        seconds = self._timing.stopwatch() - begun
        size = 0 if stream else len(response.content)
        if response.ok:  # a refusal is quick, and says nothing of how hard the server works
            self._pace.note(seconds, answer_bytes=size)
        return response


class _TimedStream(io.RawIOBase):
    """The bytes from a socket, none of which is awaited for longer than the run lasts."""

    def __init__(self, inner: io.RawIOBase, sock: socket.socket, timing: Timing) -> None:
        self._inner = inner
        self._sock = sock
        self._timing = timing
        self._patience = sock.gettimeout()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401 - a buffer
        waited = 0.0
        while True:
            self._timing.check()
            left = _FOR_EVER if self._patience is None else self._patience - waited
            span = max(min(left, self._timing.remaining_seconds(), LONGEST_DEAF_SECONDS), 0.001)
            self._sock.settimeout(span)
            try:
                return self._sock.recv_into(buffer)  # the stream beneath would be dead after its first timeout
            except TimeoutError:
                waited += span
                self._timing.check()
                if waited >= (self._patience or _FOR_EVER):
                    raise

    def close(self) -> None:
        if not self.closed:
            self._inner.close()
            super().close()


class _TimedResponse(http.client.HTTPResponse):
    def __init__(self, timing: Timing, sock: socket.socket, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as in the base class
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_TimedStream(self.fp.detach(), sock, timing), _READ_BYTES)


def _make_pools(timing: Timing) -> dict[str, type[HTTPConnectionPool]]:
    """Return urllib3's pools, with connections that read through ``_TimedStream``."""
    response_class = functools.partial(_TimedResponse, timing)

    class Plain(HTTPConnectionPool):
        def _new_conn(self) -> Any:  # noqa: ANN401 - as in the base class
            connection = super()._new_conn()
            connection.response_class = response_class  # type: ignore[attr-defined]
            return connection

    class Encrypted(HTTPSConnectionPool):
        def _new_conn(self) -> Any:  # noqa: ANN401 - as in the base class
            connection = super()._new_conn()
            connection.response_class = response_class  # type: ignore[attr-defined]
            return connection

    return {"http": Plain, "https": Encrypted}
