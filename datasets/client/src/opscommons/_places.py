"""A place that holds a store or a release: a folder, a web address or a bucket. One narrow seam for all three.

A place never lists and never writes. It opens one object at an offset; what may be tried again is
``Interrupted``, what isn't there is ``NotThere``, everything else is final.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from opscommons._errors import NotARelease, Unreachable

T = TypeVar("T")

CHUNK_BYTES = 1 << 18
ATTEMPTS = 5
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 20.0


class NotThere(Exception):
    """The place answers that it has no such object, or none for the public."""


class Interrupted(Exception):
    """An answer failed in a way that another try may heal."""

    def __init__(self, reason: str, *, retry_after_seconds: float = 0.0) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Stream:
    """The bytes of an object from ``start`` on, which is 0 where a server takes no offset."""

    start: int
    chunks: Iterator[bytes]


class Place(Protocol):
    """Where objects are read from."""

    @property
    def name(self) -> str:
        """How messages call it."""

    @property
    def folder(self) -> Path | None:
        """The folder on this machine whose files can be read in place, if it is one."""

    def at(self, path: str) -> "Place":
        """Return the place below this one."""

    def open(self, path: str, *, offset: int = 0) -> AbstractContextManager[Stream]:
        """Open one object; ``path`` is its literal name, relative to the place."""


@dataclass(frozen=True, slots=True)
class FolderPlace:
    """A folder on this machine."""

    root: Path

    @property
    def name(self) -> str:
        """How messages call it."""
        return str(self.root)

    @property
    def folder(self) -> Path | None:
        """The folder itself."""
        return self.root

    def at(self, path: str) -> "FolderPlace":
        """Return the folder below this one."""
        return FolderPlace(self.root / path)

    @contextmanager
    def open(self, path: str, *, offset: int = 0) -> Iterator[Stream]:
        """Open one file."""
        try:
            file = (self.root / path).open("rb")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise NotThere(f"no file {path} in {self.root}") from error
        with file:
            file.seek(offset)
            yield Stream(offset, iter(lambda: file.read(CHUNK_BYTES), b""))


def read_document(place: Place, path: str, *, limit: int = 1 << 28) -> bytes:
    """Return a small object's bytes; a longer one than ``limit`` is no document."""

    def attempt() -> bytes:
        content = bytearray()
        with place.open(path) as stream:
            for chunk in stream.chunks:
                content += chunk
                if len(content) > limit:
                    raise NotARelease(f"{place.name}/{path} is longer than {limit} bytes, wanted a small document")
        return bytes(content)

    return patiently(attempt, what=f"{place.name}/{path}")


def patiently(attempt: Callable[[], T], *, what: str, progress: Callable[[], int] = lambda: 0) -> T:
    """Return what ``attempt`` returns, trying again when interrupted, with growing pauses.

    Tries count only while ``progress`` stands still: a long download over a bad line goes on as long as it moves.
    """
    failures, reached = 0, progress()
    while True:
        try:
            return attempt()
        except Interrupted as error:
            failures, reached = (1 if progress() > reached else failures + 1), progress()
            if failures >= ATTEMPTS:
                raise Unreachable(f"{what}: {error}; gave up after {failures} tries") from error
            pause = max(FIRST_PAUSE_SECONDS * 2 ** (failures - 1), error.retry_after_seconds)
            time.sleep(min(pause, LONGEST_PAUSE_SECONDS))
