"""The forms in which a word may hide in a text: other case, encoded, cut, turned round, or as a digest without a key.

The text is indexed once, so that a hundred thousand words are tried against it in a second, and none is kept.
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, unquote

GRAM: Final = 5
"""Words are tried in a text only where its runs of so many characters hold their beginning."""
_HEX_RUN: Final = re.compile(r"(?<![0-9a-f])[0-9a-f]{8,}")
_BASE64_RUN: Final = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{8,}")
_SEPARATORS: Final = re.compile(r"[-_.]")
_BASE32: Final = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
_TOKEN_CHARACTERS: Final = 16
_ALGORITHMS: Final = (hashlib.md5, hashlib.sha1, hashlib.sha256, hashlib.blake2b)


def encodings(word: str) -> Iterator[str]:
    """Yield a word in hexadecimal, URL-encoded if that differs, and in base64 at each of the three places."""
    raw = word.encode("utf-8", "surrogatepass")
    yield raw.hex()
    if (quoted := quote(raw, safe="")) != word:
        yield quoted
    for offset in range(3):
        text = base64.b64encode(bytes(offset) + raw).decode().rstrip("=")
        whole = len(text) - (1 if (offset + len(raw)) % 3 else 0)  # the last one depends on what follows
        part = text[(0, 2, 3)[offset] : whole]
        yield part
        if "+" in part or "/" in part:
            yield _url_safe(part)


def digests(word: str) -> Iterator[bytes]:
    """Yield the digests of a word, as it is and with a line's end, that anybody could make without a key."""
    raw = word.encode("utf-8", "surrogatepass")
    for algorithm in _ALGORITHMS:
        yield algorithm(raw).digest()
        yield algorithm(raw + b"\n").digest()


def token_bodies(word: str) -> Iterator[str]:
    """Yield the bodies of tokens that a word would get without a key."""
    for found in digests(word):
        yield base64.b32encode(found).decode().translate(_BASE32)[:_TOKEN_CHARACTERS]


class Haystack:
    """Texts to be searched for many words. The first ``characters`` of a digest, where a run begins, are it."""

    def __init__(self, texts: Iterable[str]) -> None:
        together = "\n".join(texts)
        self._text = f"{together}\n{unquote(together)}" if "%" in together else together
        self._lower = self._text.casefold()
        self._grams = {self._text[at : at + GRAM] for at in range(len(self._text) - GRAM + 1)}
        self._lower_grams = {self._lower[at : at + GRAM] for at in range(len(self._lower) - GRAM + 1)}
        self._runs = [_HEX_RUN.findall(self._lower), _BASE64_RUN.findall(self._text)]
        self._begins: dict[int, tuple[frozenset[str], frozenset[str]]] = {}
        self._squeezed: str | None = None

    def holds(self, word: str, *, characters: int) -> bool:
        """Return whether a text holds a word in any case, encoding or as a digest without a key."""
        lower = word.casefold()
        if self._has_lower(lower):
            return True
        if any(self._has(form) or self._has_lower(form.casefold()) for form in encodings(word)):
            return True
        return any(self._holds_digest(each, characters) for each in dict.fromkeys((word, lower, word.upper())))

    def holds_like(self, word: str, *, characters: int) -> bool:
        """Return the same, also for a word that was cut to eight characters, turned round, or that lost separators."""
        lower = word.casefold()
        if self._squeezed is None:
            self._squeezed = _SEPARATORS.sub("", self._lower)
        squeezed = _SEPARATORS.sub("", lower)
        return (
            self.holds(word, characters=characters)
            or (len(squeezed) >= GRAM and squeezed in self._squeezed)
            or (len(lower) >= 12 and self._has_lower(lower[:8]))
            or (len(lower) >= 8 and self._has_lower(lower[::-1]))
            or (lower != word and any(map(self._has, encodings(lower))))
        )

    def _has(self, text: str) -> bool:
        return text[:GRAM] in self._grams and text in self._text if len(text) >= GRAM else False

    def _has_lower(self, text: str) -> bool:
        if len(text) < GRAM:  # so short that only a word of its own counts
            return bool(re.search(rf"(?<![a-z0-9]){re.escape(text)}(?![a-z0-9])", self._lower))
        return text[:GRAM] in self._lower_grams and text in self._lower

    def _holds_digest(self, word: str, characters: int) -> bool:
        if characters not in self._begins:
            own, theirs = (frozenset(run[:characters] for run in runs) for runs in self._runs)
            self._begins[characters] = own, theirs
        hexadecimal, coded = self._begins[characters]
        for found in digests(word):
            text = base64.b64encode(found).decode()[:characters]
            if found.hex()[:characters] in hexadecimal or text in coded or _url_safe(text) in coded:
                return True
        return False


def _url_safe(text: str) -> str:
    return text.replace("+", "-").replace("/", "_")
