"""The search for what must not be in a release: the operator's own words, and label values that the source has now.

Both are held in memory only. A finding says where and how many, never which.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from anonymize.audit.findings import Finding
from anonymize.audit.forms import Haystack, token_bodies
from anonymize.audit.grammar import ANY_TOKEN, NUMBER_TEXT, TOKEN_IN_TEXT
from anonymize.audit.subject import Subject

SHORTEST_WORD: Final = 3
SHORTEST_VALUE: Final = 5
"""Shorter label values occur by chance; the grammar alone proves their absence."""
_WORD_DIGEST: Final = 8
_VALUE_DIGEST: Final = 12
"""So many characters of a digest do not occur by chance among a hundred thousand label values."""
_HASH: Final = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")


@dataclass(frozen=True)
class _Needles:
    """Words that are looked for in one way."""

    code: str
    words: frozenset[str]
    bodies: frozenset[str]


class WordSearch:
    """``words`` are the operator's, ``values`` those of the source's labels; those of ``public_text`` are no secret."""

    def __init__(self, words: Iterable[str], values: Iterable[str] = (), *, public_text: str) -> None:
        public = public_text.casefold()
        given = frozenset(words)
        self.words = frozenset(word for word in given if word.casefold() not in public)
        self.public_words = len(given) - len(self.words)
        theirs = frozenset(values)
        grams = {public[at : at + SHORTEST_VALUE] for at in range(len(public))} if theirs else set()
        self.values = frozenset(
            value
            for value in theirs
            if len(value) >= SHORTEST_VALUE
            and not NUMBER_TEXT.fullmatch(value)
            and (value[:SHORTEST_VALUE].casefold() not in grams or value.casefold() not in public)
        )
        self._kinds = (
            _Needles("listed-word", self.words, _bodies(self.words)),
            _Needles("label-value", self.values, _bodies(self.values)),
        )

    def count_in_tokens(self, strings: Collection[str]) -> int:
        """Return how many strings are a word as a whole, or what a token of it would be without a key."""
        hits = 0
        for text in strings:
            token = ANY_TOKEN.fullmatch(text)
            parts = {text, token["body"]} if token else {text}
            hits += any(not parts.isdisjoint(kind.words) or not parts.isdisjoint(kind.bodies) for kind in self._kinds)
        return hits

    def search(self, texts: dict[str, str]) -> Iterator[Finding]:
        """Yield for each place how many words its text holds in one form or another. All texts are searched at once."""
        found = self._find(texts.values())
        if not any(found):
            return
        for place, text in texts.items():
            for code, words in zip(("listed-word", "label-value"), self._find([text], found), strict=True):
                if words:
                    yield Finding(place, code, len(words))

    def _find(
        self, texts: Iterable[str], only: tuple[list[str], list[str]] | None = None
    ) -> tuple[list[str], list[str]]:
        words, values = only or (self.words, self.values)
        if not words and not values:
            return [], []
        haystack = Haystack(texts)
        own = [word for word in words if haystack.holds_like(word, characters=_WORD_DIGEST)]
        theirs = [value for value in values if haystack.holds(value, characters=_VALUE_DIGEST)]
        return own, theirs


def check_words(subject: Subject) -> Iterator[Finding]:
    """Yield in which texts and other loose strings of the release a word occurs."""
    if subject.words is None:
        return
    info = subject.manifest.release
    said = {info.title, info.maintainer, info.contact, info.license}
    hashes = {file.sha256 for file in subject.manifest.files} | {subject.manifest_sha256}
    hashes |= {entry.schema_digest.rpartition(":")[2] for entry in subject.manifest.tables}
    hashes.add(subject.manifest.policy_digest.rpartition(":")[2])
    yield from subject.words.search({place: hide(text, said, hashes) for place, text in subject.loose.items()})


def hide(text: str, said: Collection[str], hashes: Collection[str]) -> str:
    """Return a text without what a publisher says on purpose, without tokens, and without digests of public bytes."""
    for phrase in sorted(said, key=len, reverse=True):
        text = text.replace(phrase, "\n")
    return _HASH.sub(lambda found: "\n" if found[0] in hashes else found[0], TOKEN_IN_TEXT.sub("\n", text))


def _bodies(words: Iterable[str]) -> frozenset[str]:
    return frozenset(body for word in words for body in token_bodies(word))
