"""Every error that a reader may meet, with the command's exit code.

OpsCommonsError             1   something unexpected
├── BadRequest              2   what was asked for cannot be (also a ValueError)
│   └── UnknownName             ... a name that is not there; ``nearest`` suggests some (also a LookupError)
│       ├── UnknownRelease
│       ├── UnknownTable
│       ├── UnknownMetric
│       └── UnknownColumn
├── StoreError              3   the place gives no release that this library can read
│   ├── Unreachable             ... it does not answer
│   ├── NotARelease             ... what stands there is neither a store nor a release
│   ├── NewerFormat             ... it is written in a newer format: upgrade
│   └── Retracted           4   ... the release was withdrawn; ``reason`` says why
└── Damaged                 5   a release is not what its manifest says; ``paths`` names the files
    ├── CorruptFile             ... a file has other bytes
    └── MissingFile             ... a file is not there

A message is one line: what was found, what was wanted, what to do.
"""

import difflib
from collections.abc import Iterable
from typing import ClassVar


class OpsCommonsError(Exception):
    """The root of all errors that this library raises on purpose."""

    exit_code: ClassVar[int] = 1


class BadRequest(OpsCommonsError, ValueError):
    """What was asked for cannot be."""

    exit_code = 2


class UnknownName(BadRequest, LookupError):
    """A name that is not there."""

    kind: ClassVar[str] = "name"

    def __init__(self, name: str, *, known: Iterable[str], where: str) -> None:
        names = sorted(set(known))
        self.name = name
        self.nearest = tuple(nearest_names(name, names))
        if self.nearest:
            hint = f"nearest: {', '.join(self.nearest)}"
        else:
            hint = f"known: {', '.join(names[:10]) or 'none'}{', ...' if len(names) > 10 else ''}"
        super().__init__(f"no {self.kind} {name!r} in {where}; {hint}")


class UnknownRelease(UnknownName):
    """The store has no release of that version."""

    kind = "release"


class UnknownTable(UnknownName):
    """The release has no table of that name."""

    kind = "table"


class UnknownMetric(UnknownName):
    """The release has no metric of that name."""

    kind = "metric"


class UnknownColumn(UnknownName):
    """The tables asked for have no column of that name."""

    kind = "column"


class StoreError(OpsCommonsError):
    """The place gives no release that this library can read."""

    exit_code = 3


class Unreachable(StoreError):
    """The place does not answer."""


class NotARelease(StoreError):
    """What stands there is neither a store nor a release."""


class NewerFormat(StoreError):
    """It is written in a format that this library does not know yet."""

    def __init__(self, document: str, *, found: str, known_major: int) -> None:
        self.found = found
        super().__init__(
            f"{document} has format_version {found}, and this library reads {known_major}.x;"
            " upgrade it: pip install --upgrade opscommons"
        )


class Retracted(StoreError):
    """The release was withdrawn by its publisher."""

    exit_code = 4

    def __init__(self, version: str, *, reason: str) -> None:
        self.version = version
        self.reason = reason
        super().__init__(f"release {version} was retracted: {reason}")


class Damaged(OpsCommonsError):
    """A release is not what its manifest says."""

    exit_code = 5

    def __init__(self, message: str, *, paths: Iterable[str]) -> None:
        self.paths = tuple(paths)
        super().__init__(message)


class CorruptFile(Damaged):
    """A file has other bytes than its manifest says."""


class MissingFile(Damaged):
    """A file that the manifest lists is not there."""


def nearest_names(name: str, known: list[str]) -> list[str]:
    """Return at most five known names that the reader may have meant, the likeliest first.

    >>> nearest_names("node_load", ["node_load1", "node_load15", "up"])
    ['node_load1', 'node_load15']
    """
    folded: dict[str, str] = {}
    for other in known:
        folded.setdefault(other.lower(), other)
    close = [folded[other] for other in difflib.get_close_matches(name.lower(), list(folded), n=5, cutoff=0.7)]
    within = [other for other in known if name.lower() in other.lower() and other not in close]
    return (close + within)[:5]
