"""One HTTP session to one Prometheus: addresses, credentials, time limits, and what its failures mean.

Messages name the place and the status, never a body, a header or a query: those may hold what must not be read.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, ProtocolError
from urllib3.exceptions import TimeoutError as PoolTimeout
from urllib3.util.retry import Retry

from schemas.errors import PartialResult, SourceError

RETRIED: Final = (429, 500, 502, 503, 504)


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
    timeout_seconds: float = 60.0
    retries: int = 3


class _BearerFile(requests.auth.AuthBase):
    """Reads the token for every request, since Kubernetes rotates it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        try:
            token = self.path.read_text("utf-8").strip()
        except OSError as error:
            raise SourceError(f"bearer_token_file cannot be read: {error.strerror}") from None
        request.headers["Authorization"] = f"Bearer {token}"
        return request


class Connection:
    """A session whose every failure is a ``SourceError`` that says what to look at."""

    def __init__(self, access: Access) -> None:
        self.url = access.url.rstrip("/")
        self.place = _place(self.url)
        self.timeout = access.timeout_seconds
        self.retry = Retry(
            total=access.retries,
            backoff_factor=0.5,
            backoff_jitter=0.3,
            status_forcelist=RETRIED,
            allowed_methods=None,  # reading twice changes nothing, POST included
            raise_on_status=False,
            redirect=0,
        )
        self.session = requests.Session()
        self.session.trust_env = False  # no .netrc and no proxy that nobody configured
        # gzip would cost the server ten times what the answer costs it
        self.session.headers.update({"User-Agent": "opspub", "Accept-Encoding": "identity", **access.headers})
        self.session.verify = str(access.ca_file) if access.ca_file else True
        if access.cert_file:
            self.session.cert = (
                (str(access.cert_file), str(access.key_file)) if access.key_file else str(access.cert_file)
            )
        if access.bearer_token_file:
            self.session.auth = _BearerFile(access.bearer_token_file)
        elif access.basic_auth:
            self.session.auth = access.basic_auth
        self.session.mount(self.url, HTTPAdapter(max_retries=self.retry))

    @contextmanager
    def translated(self, what: str) -> Iterator[None]:
        """Turn what the libraries raise into a ``SourceError`` without a word from the wire.

        The libraries' own exceptions are cut off (``from None``): they quote addresses with queries, and bodies.
        """
        try:
            yield
        except requests.exceptions.SSLError:
            raise SourceError(f"{what}: the TLS certificate of {self.place} is not trusted; set tls.ca_file") from None
        except (requests.exceptions.Timeout, PoolTimeout):
            raise self._timed_out(what) from None
        except (requests.exceptions.ChunkedEncodingError, ProtocolError):
            raise SourceError(f"{what}: the connection to {self.place} broke before the end of the answer") from None
        except ValueError:  # before OSError, since a JSONDecodeError of requests is both
            raise SourceError(f"{what}: {self.place} did not answer as Prometheus does; {_HINT}") from None
        except (requests.exceptions.RequestException, HTTPError, OSError) as error:
            if isinstance(error.args and error.args[0], PoolTimeout):  # how requests tells it while a body arrives
                raise self._timed_out(what) from None
            raise SourceError(
                f"{what}: no connection to {self.place}; is source.url right, and the server up?"
            ) from None

    def _timed_out(self, what: str) -> SourceError:
        return SourceError(f"{what}: {self.place} gave no answer in {self.timeout:g} s")

    def get_json(self, path: str, params: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 - JSON
        """Return ``data`` of an API answer; raise ``SourceError`` for anything else."""
        what = f"GET {path}"
        with self.translated(what):
            response = self.session.get(self.url + path, params=params, timeout=self.timeout, allow_redirects=False)
            self.check_status(what, response)
            answer = response.json()
        if not isinstance(answer, dict) or answer.get("status") != "success" or "data" not in answer:
            raise SourceError(f"{what}: {self.place} did not answer as Prometheus does; {_HINT}")
        if answer.get("warnings"):
            raise PartialResult(
                f"{what}: the server answered with {len(answer['warnings'])} warnings: data are missing"
            )
        return answer["data"]

    def check_status(self, what: str, response: requests.Response) -> None:
        """Raise ``SourceError`` unless the status is 200, saying what that status usually means."""
        status = response.status_code
        if status == 200:
            return
        if status in (401, 403):
            raise SourceError(
                f"{what}: {self.place} answered {status}; the token or password is missing, wrong or expired"
            )
        if 300 <= status < 400:
            raise SourceError(f"{what}: {self.place} answered {status} with a redirect, perhaps to a login; {_HINT}")
        if status == 404:
            raise SourceError(f"{what}: {self.place} answered 404; {_HINT}")
        raise SourceError(f"{what}: {self.place} answered {status}")


_HINT: Final = "wanted the base URL of a Prometheus API in source.url"


def _place(url: str) -> str:
    parts = urlsplit(url)  # user and password of a URL are never printed
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
