"""A set of tokens that holds millions: eight bytes each, sorted, one array for each domain's prefix.

The 80 bits of a token are mixed to 64: a token that differs in its first or in its last part alone is always told
apart, any other is taken for one of a million tokens with a chance of 1e-13.
"""

import re
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from schemas.policy import TOKEN_BODY

_TOKEN: Final = re.compile(rf"([a-z]{{1,8}})_({TOKEN_BODY})")
_CHARACTERS: Final = 16
_VALUES: Final = np.zeros(128, dtype=np.uint64)
_VALUES[np.frombuffer(b"abcdefghijklmnopqrstuvwxyz234567", dtype=np.uint8)] = np.arange(32)
_ODD: Final = np.uint64(0x9E3779B97F4A7C15)
_MOST_PENDING: Final = 1 << 20
"""So many tokens wait before they are merged with those that are sorted."""


class TokenSet:
    """Tokens that were seen, by the prefix of their domain."""

    def __init__(self) -> None:
        self._sorted: dict[str, npt.NDArray[np.uint64]] = {}
        self._pending: dict[str, list[npt.NDArray[np.uint64]]] = {}
        self._waiting = 0

    def __len__(self) -> int:
        self._merge()
        return sum(map(len, self._sorted.values()))

    def add(self, strings: Iterable[str]) -> None:
        """Add the tokens among the strings; what is no token as a whole is passed over."""
        for prefix, codes in _encode(strings).items():
            self._pending.setdefault(prefix, []).append(codes)
            self._waiting += len(codes)
        if self._waiting > _MOST_PENDING:
            self._merge()

    def count_strangers(self, strings: Iterable[str]) -> int:
        """Return how many of the strings are tokens that were never added."""
        self._merge()
        strangers = 0
        for prefix, codes in _encode(strings).items():
            known = self._sorted.get(prefix)
            if known is None:
                strangers += len(codes)
            else:
                at = np.minimum(np.searchsorted(known, codes), len(known) - 1)
                strangers += int(np.count_nonzero(known[at] != codes))
        return strangers

    def _merge(self) -> None:
        for prefix, parts in self._pending.items():
            self._sorted[prefix] = np.unique(np.concatenate([*parts, self._sorted.get(prefix, _NONE)]))
        self._pending, self._waiting = {}, 0


_NONE: Final = np.zeros(0, dtype=np.uint64)


def _encode(strings: Iterable[str]) -> dict[str, npt.NDArray[np.uint64]]:
    """Return the codes of the tokens among the strings, by prefix: uint64 [tokens]."""
    bodies: dict[str, list[str]] = {}
    for text in strings:
        if found := _TOKEN.fullmatch(text):
            bodies.setdefault(found[1], []).append(found[2])
    return {prefix: _codes(found) for prefix, found in bodies.items()}


def _codes(bodies: list[str]) -> npt.NDArray[np.uint64]:
    text: Any = np.frombuffer("".join(bodies).encode("ascii"), dtype=np.uint8)
    digits = _VALUES[text].reshape(-1, _CHARACTERS)
    codes = np.zeros(len(digits), dtype=np.uint64)
    for at in range(12):  # 60 bits
        codes = (codes << np.uint64(5)) | digits[:, at]
    rest = np.zeros(len(digits), dtype=np.uint64)
    for at in range(12, _CHARACTERS):  # the other 20
        rest = (rest << np.uint64(5)) | digits[:, at]
    return codes ^ (rest * _ODD)
