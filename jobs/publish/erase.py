"""Remove a release from a public store for good: what readers see first, then all that lies hidden behind it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from jobs.layout import MANIFEST, release_prefix
from jobs.release.build import Progress
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
    try:
        keys = list(store.list(prefix))
    except StoreError as error:
        return Erased(0, 0, (str(error),))
    manifest = [key for key in keys if key == prefix + MANIFEST]
    failures = _each(store.delete, [key for key in keys if key not in manifest], len(keys), progress)
    failures += _each(store.delete, manifest, len(keys), progress)
    hidden, problems = _erase_hidden(store, prefix, now, progress)
    return Erased(len(keys), hidden, (*_summary(failures, "objects"), *problems) if problems else ())


def _erase_hidden(store: WholeStore, prefix: str, now: datetime, progress: Progress) -> tuple[int, list[str]]:
    """Remove what no reader sees; return how much that was, and what speaks against nothing being left."""
    hidden = 0
    for _ in range(_PASSES):
        try:
            left = list(store.survey(prefix, now=now))
        except StoreError as error:
            return hidden, [f"{error}; whether versions or uploads are left is not known"]
        if not left:
            return hidden, []
        # markers last, and only over nothing: without its marker, a deleted version is seen again
        for marker in (False, True):
            some = [each for each in left if (each.kind == "delete marker") is marker]
            failures = _each(store.erase, some, len(left), progress)
            hidden += len(some) - len(failures)
            if failures:
                return hidden, _summary(failures, "versions or uploads")
    return hidden, [f"{store.url} has ever new objects below {prefix}; does somebody write there?"]


def _each(call: Callable[[_T], None], things: list[_T], total: int, progress: Progress) -> list[StoreError]:
    """Call a function with each thing, several at once; return why it failed where it did."""

    def attempt(thing: _T) -> StoreError | None:
        try:
            call(thing)
        except StoreError as error:
            return error
        return None

    failures = []
    with ThreadPoolExecutor(PARALLEL) as pool:
        for done, failure in enumerate(pool.map(attempt, things), 1):
            progress(done, total, "removing")
            if failure:
                failures.append(failure)
    return failures


def _summary(failures: list[StoreError], what: str) -> list[str]:
    return [f"{len(failures)} {what} could not be removed, the first: {failures[0]}"] if failures else []
