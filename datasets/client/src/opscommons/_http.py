"""The one door to HTTP: opens an object at an offset, and sorts failures into final and worth another try."""

import http.client
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from opscommons._errors import Unreachable
from opscommons._places import CHUNK_BYTES, Interrupted, NotThere, Stream
from opscommons._version import __version__

TIMEOUT_SECONDS = 30.0
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
ABSENT = frozenset({403, 404, 410})  # a bucket that nobody may list answers 403 for what isn't there
HEADERS = {"User-Agent": f"opscommons/{__version__}", "Accept-Encoding": "identity"}


@dataclass(frozen=True, slots=True)
class HttpPlace:
    """A web address below which objects lie."""

    url: str

    @property
    def name(self) -> str:
        """How messages call it: without a query, which may hold a token."""
        return urllib.parse.urlsplit(self.url)._replace(query="", fragment="").geturl().rstrip("/")

    @property
    def folder(self) -> Path | None:
        """No folder: files are fetched."""
        return None

    def at(self, path: str) -> "HttpPlace":
        """Return the address below this one."""
        return HttpPlace(self.address(path))

    def address(self, path: str) -> str:
        """Return the URL of an object by its literal name.

        >>> HttpPlace("https://x.example/a/").address("metric=vllm%3Aup/part-0.parquet")
        'https://x.example/a/metric=vllm%253Aup/part-0.parquet'
        """
        parts = urllib.parse.urlsplit(self.url)
        below = urllib.parse.quote(path, safe="/=:")
        return parts._replace(path=f"{parts.path.rstrip('/')}/{below}", fragment="").geturl()

    @contextmanager
    def open(self, path: str, *, offset: int = 0) -> Iterator[Stream]:
        """Open one object at an offset."""
        headers = HEADERS | ({"Range": f"bytes={offset}-"} if offset else {})
        request = urllib.request.Request(self.address(path), headers=headers)  # noqa: S310 - http(s) only, see _open
        try:
            answer = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)  # noqa: S310
        except urllib.error.HTTPError as error:
            with error:
                _raise_for(error, path=path, place=self.name)
            yield Stream(offset, iter(()))  # 416: the object ends where we stand
            return
        except urllib.error.URLError as error:
            raise Interrupted(f"no connection ({error.reason})") from error
        except (OSError, http.client.HTTPException) as error:
            raise Interrupted(f"no answer ({type(error).__name__})") from error
        with answer:
            yield Stream(_first_byte(answer, offset=offset), _chunks(answer))


def _raise_for(error: urllib.error.HTTPError, *, path: str, place: str) -> None:
    if error.code == 416:
        return
    if error.code in ABSENT:
        raise NotThere(f"HTTP {error.code} for {path}") from error
    if error.code in PASSING:
        after = error.headers.get("Retry-After", "")
        raise Interrupted(f"HTTP {error.code}", retry_after_seconds=float(after) if after.isdigit() else 0.0) from error
    raise Unreachable(f"{place}/{path}: HTTP {error.code} {error.reason}") from error


def _first_byte(answer: http.client.HTTPResponse, *, offset: int) -> int:
    """Return where the answer begins; a server without ranges answers 200 and begins at 0."""
    if answer.status != 206:
        return 0
    begin = str(answer.headers.get("Content-Range", "")).removeprefix("bytes ").split("-")[0]
    if begin != str(offset):
        raise Interrupted(f"asked from byte {offset} on, was answered from {begin or 'an unknown one'}")
    return offset


def _chunks(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    """Yield the body; a body shorter than announced is an interruption, never an end."""
    promised = answer.length
    received = 0
    while True:
        try:
            chunk = answer.read(CHUNK_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise Interrupted(f"cut after {received} bytes ({type(error).__name__})") from error
        if not chunk:
            break
        received += len(chunk)
        yield chunk
    if promised is not None and received < promised:
        raise Interrupted(f"cut after {received} of {promised} bytes")
