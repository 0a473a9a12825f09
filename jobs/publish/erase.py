"""Remove a release from a public store for good: what readers see first, then all that lies hidden behind it."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from jobs.release.build import Progress
from jobs.release.layout import MANIFEST, release_prefix
from jobs.store import WholeStore
from schemas.errors import StoreError

PARALLEL: Final = 8
_PASSES: Final = 3  # a second one finds the markers that the first left; more would be somebody else's writing

_T = TypeVar("_T")


@dataclass(frozen=True)
class Erased:
    """What was removed, and what could not be."""

    objects: int
    hidden: int
    """Old versions, delete markers and unfinished uploads."""
    problems: tuple[str, ...]


def erase_release(store: WholeStore, version: str, *, now: datetime, progress: Progress) -> Erased:
    """Remove every object of a release, its manifest last, then every version, marker and upload.

    One thing that cannot be removed hides no other: all that goes is gone afterwards, and the rest is named.
    Running it again after it died goes on where it stopped; until the manifest is gone, it tells what there was.
    """
    prefix = release_prefix(version)
    problems: list[str] = []
    try:
        keys = list(store.list(prefix))
    except StoreError as error:
        return Erased(0, 0, (str(error),))
    manifest = [key for key in keys if key == prefix + MANIFEST]
    total = len(keys)
    failures = []
    for some in ([key for key in keys if key not in manifest], manifest):
        failures += [failure for failure in _each(store.delete, some, total, progress) if failure]
    problems += _summary(failures, "objects")
    hidden = 0
    for _ in range(_PASSES):
        try:
            left = list(store.survey(prefix, now=now))
        except StoreError as error:
            problems.append(f"{error}; whether versions or uploads are left is not known")
            break
        if not left:
            return Erased(total - len(failures), hidden, ())
        failures = [failure for failure in _each(store.erase, left, len(left), progress) if failure]
        hidden += len(left) - len(failures)
        if failures:
            problems += _summary(failures, "versions or uploads")
            break
    else:
        problems.append(f"{store.url} has ever new objects below {prefix}; does somebody write there?")
    return Erased(total, hidden, tuple(problems))


def _each(call: Callable[[_T], None], things: list[_T], total: int, progress: Progress) -> Iterator[StoreError | None]:
    """Call a function with each thing, several at once; yield why it failed, or ``None``."""

    def attempt(thing: _T) -> StoreError | None:
        try:
            call(thing)
        except StoreError as error:
            return error
        return None

    with ThreadPoolExecutor(PARALLEL) as pool:
        for done, failure in enumerate(pool.map(attempt, things), 1):
            progress(done, total, "removing")
            yield failure


def _summary(failures: list[StoreError], what: str) -> list[str]:
    return [f"{len(failures)} {what} could not be removed, the first: {failures[0]}"] if failures else []
