"""How a release is broken on purpose, in one place, and the codes of the findings that it must have."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from tests.audit.release import SECRET, Broken

RAW: Final = "team-made-up"


@dataclass(frozen=True)
class Leak:
    """One way to break a release. ``kind`` is the channel or rule that it belongs to."""

    name: str
    kind: str
    codes: frozenset[str]
    make: Callable[[Broken], object]
    fits: bool = True
    """Whether manifest and sums are made to fit afterwards."""


Make = Callable[[Broken], object]
LEAKS: list[Leak] = []


def leak(kind: str, *codes: str, fits: bool = True) -> Callable[[Make], Make]:
    """Register a way to break a release."""

    def register(make: Make) -> Make:
        LEAKS.append(Leak(make.__name__.replace("_", " "), kind, frozenset(codes), make, fits))
        return make

    return register


def cells(name: str, column: str, text: str, *codes: str) -> None:
    """Register a leak that puts a text into every row of a column that has the value of the first."""

    def make(broken: Broken) -> None:
        def change(values: list[Any]) -> list[Any]:
            return [text if value == values[0] else value for value in values]

        broken.change(column, change)

    LEAKS.append(Leak(name, "cells", frozenset(codes), make))


SHA, MD5 = hashlib.sha256(SECRET.encode()), hashlib.md5(SECRET.encode())  # noqa: S324 - what leaks are made of
UNKEYED = base64.b32encode(SHA.digest()).decode().lower()[:16]
