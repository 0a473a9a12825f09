"""One HTTP session to one Prometheus: its address, how it lets us in, and what its failures mean."""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import requests
from requests.adapters import BaseAdapter
from urllib3.exceptions import HTTPError

from collector.failures import HINT, Peer, Unavailable, explain_failure, explain_status, place_of
from collector.pace import Attempts, Pace, Timing
from collector.transport import BearerFile, GentleAdapter
from schemas.errors import PartialResult, SourceError

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Access:
    """Where a Prometheus is and how it lets us in. Secrets stay in files or out of the repr."""

    url: str = field(repr=False)  # it may hold a password
    bearer_token_file: Path | None = None
    basic_auth: tuple[str, str] | None = field(default=None, repr=False)
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    proxy_url: str | None = field(default=None, repr=False)  # so may this
    timeout_seconds: float = 60.0
    """How long the next bytes of an answer may take."""
    retries: int = 3
    """How often a read that failed in passing is tried again."""


class Connection:
    """A session whose every failure is a ``SourceError`` that says what to look at.

    Every request is sent within the time that ``timing`` has left (``DeadlineReached`` ends it), at the pace that the
    server's latency allows, and again when it failed in passing.
    """

    def __init__(self, access: Access, timing: Timing | None = None) -> None:
        self.url = access.url.rstrip("/")
        self.place = place_of(self.url)
        self.timeout = access.timeout_seconds
        self._peer = Peer(self.place, place_of(access.proxy_url) if access.proxy_url else None, self.timeout)
        self._timing = timing or Timing()
        self._retries = access.retries
        self.session = _OneWaySession(
            GentleAdapter(
                self._peer,
                self._timing,
                Pace(self._timing),
                retries=access.retries,
                bearer=BearerFile(access.bearer_token_file) if access.bearer_token_file else None,
            )
        )
        # gzip would cost the server ten times what the answer costs it
        self.session.headers.update({"User-Agent": "opspub", "Accept-Encoding": "identity", **access.headers})
        self.session.verify = str(access.ca_file) if access.ca_file else True
        if access.cert_file:
            self.session.cert = (
                (str(access.cert_file), str(access.key_file)) if access.key_file else str(access.cert_file)
            )
        if access.basic_auth:
            self.session.auth = access.basic_auth
        if access.proxy_url:
            self.session.proxies = {"http": access.proxy_url, "https": access.proxy_url}

    def check_deadline(self) -> None:
        """Raise ``DeadlineReached`` when the run has no time left: for loops that work on what has arrived."""
        self._timing.check()

    def repeated(self, what: str, read: Callable[[], Generator[_Item, None, None]]) -> Generator[_Item, None, None]:
        """Yield what ``read()`` yields, translated; where it fails in passing before its first item, try again.

        For streamed answers: ``read`` sends the request and reads its body. What was handed on cannot be taken back,
        so a failure after the first item is raised.
        """
        attempts = Attempts(what, self._timing, retries=self._retries)
        while True:
            begun = False
            try:
                with self.translated(what), closing(read()) as items:
                    for item in items:
                        begun = True
                        yield item
                return
            except Unavailable as error:
                failure = error
            if begun or not attempts.wait_for_next(failure.retry_after):
                raise failure

    @contextmanager
    def translated(self, what: str) -> Iterator[None]:
        """Turn what the libraries raise into a ``SourceError`` without a word from the wire.

        The libraries' own exceptions are cut off (``from None``): they quote addresses with queries, and bodies.
        """
        try:
            yield
        except (requests.exceptions.RequestException, HTTPError, OSError, ValueError) as error:
            raise explain_failure(what, self._peer, error) from None

    def get_json(self, path: str, params: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 - JSON
        """Return ``data`` of an API answer; raise ``SourceError`` for anything else."""
        what = f"GET {path}"
        with self.translated(what):
            response = self.session.get(self.url + path, params=params, timeout=self.timeout, allow_redirects=False)
            self.check_status(what, response)
            answer = response.json()
        if not isinstance(answer, dict) or answer.get("status") != "success" or "data" not in answer:
            raise SourceError(f"{what}: {self.place} did not answer as Prometheus does; {HINT}")
        if answer.get("warnings"):
            raise PartialResult(
                f"{what}: the server answered with {len(answer['warnings'])} warnings: data are missing"
            )
        return answer["data"]

    def check_status(self, what: str, response: requests.Response) -> None:
        """Raise ``SourceError`` unless the status is 200, saying what that status usually means."""
        error = explain_status(what, self._peer, response.status_code, response.headers)
        if error:
            raise error


class _OneWaySession(requests.Session):
    """A session whose requests all leave by one adapter, whatever a library mounts on it."""

    def __init__(self, adapter: BaseAdapter) -> None:
        super().__init__()
        self._adapter = adapter
        self.trust_env = False  # no .netrc and no proxy that nobody configured

    def get_adapter(self, url: str) -> BaseAdapter:
        """Return the adapter."""
        return self._adapter

    def close(self) -> None:
        """Close its connections."""
        self._adapter.close()
        super().close()
