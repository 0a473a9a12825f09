"""The exact search of a finished file for every raw value that the run has seen. Runs while those still exist."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from anonymize.audit.channels import NUMBER_HEADERS, UNREADABLE, WRITER, Channel, read_channels
from anonymize.audit.findings import Finding
from anonymize.audit.forms import Haystack
from anonymize.audit.grammar import ANY_TOKEN, TableGrammar
from schemas.raw import Raw, open_raw

_ROOT: Final = "schema"  # what every Parquet file calls the root of its columns
SHORTEST_SEARCHED: Final = 5
"""Raw values shorter than this occur by chance; the grammar alone proves their absence."""
_BEGIN: Final = SHORTEST_SEARCHED
_RUN: Final = re.compile(r"[A-Za-z0-9+/_%-]{5,}")
_DIGEST: Final = 12
_FIXED_NAME: Final = re.compile(r"(run-\d+|[0-9a-f]{16})\.parquet")
"""Names that are a number or a hash: whatever they hold of a raw value, they hold by chance."""


def scan_staged(
    path: Path, *, place: str, names: Iterable[str], raw_values: Raw[set[str]], grammar: TableGrammar
) -> list[Finding]:
    """Return where raw values occur in a file read back from disk, or in the ``names`` it goes by.

    Strings that are a token as a whole are compared as a whole: sixteen random characters may hold a short name
    by chance. Everything else is searched for each raw value as a part, but
    for those that a public word itself contains.
    """
    raw = frozenset(value for value in open_raw(raw_values) if len(value) >= SHORTEST_SEARCHED)
    words = grammar.public_words | {_ROOT}
    parts = _Needles(raw)
    parts.drop(parts.find("\n".join(sorted(words))))  # "node" in a column's name is nobody's node
    findings = []
    loose: list[str] = []
    unknown_names = frozenset(name for name in names if not _FIXED_NAME.fullmatch(name))
    for channel in (*read_channels(path), Channel("name", unknown_names)):
        if hits := _count_hits(channel.strings, raw, parts, words, loose):
            at = f"{place}: {channel.name}" + (f" of {channel.column}" if channel.column else "")
            findings.append(Finding(at, "raw-value", hits))
        if channel.name in (NUMBER_HEADERS, UNREADABLE) and channel.strings:
            findings.append(Finding(f"{place}: {channel.name}", "not-numbers", len(channel.strings)))
        elif channel.column and (strangers := grammar.columns[channel.column].strangers(channel.strings)):
            findings.append(Finding(f"{place}: {channel.name} of {channel.column}", "not-in-grammar", strangers))
    if hits := _count_hidden(loose, raw, words):
        findings.append(Finding(f"{place}: what is no token", "raw-value-encoded", hits))
    return findings


def _count_hidden(loose: list[str], raw: frozenset[str], words: frozenset[str]) -> int:
    """Return how many values stand in another case, encoded, or as a digest without a key, in what no word explains.

    In a sound file nothing is left but the length of a name and the name, so that this costs nothing.
    """
    own = "|".join(map(re.escape, sorted(words, key=len, reverse=True)))
    left = re.sub(rf"(?<![A-Za-z0-9])[A-Za-z0-9]?(?:{own})[A-Za-z0-9]?(?![A-Za-z0-9])", "\n", "\n".join(loose))
    runs = [run for run in _RUN.findall(left) if not run.isdigit()]
    if not runs:
        return 0
    haystack = Haystack([left])
    return sum(1 for value in raw if haystack.holds(value, characters=_DIGEST))


class _Needles:
    """Many values to be looked for in short texts: only those that begin as some part of the text does are tried."""

    def __init__(self, values: Iterable[str]) -> None:
        self._by_begin: dict[str, list[str]] = {}
        for value in values:
            self._by_begin.setdefault(value[:_BEGIN], []).append(value)

    def drop(self, values: Iterable[str]) -> None:
        """Look for these no longer."""
        for value in values:
            self._by_begin[value[:_BEGIN]].remove(value)

    def find(self, text: str) -> list[str]:
        """Return the values that are a part of the text."""
        lengths = {len(begin) for begin in self._by_begin}
        begins = {text[at : at + length] for length in lengths for at in range(len(text) - length + 1)}
        return [value for begin in self._by_begin.keys() & begins for value in self._by_begin[begin] if value in text]


def _count_hits(
    strings: Iterable[str], raw: frozenset[str], parts: _Needles, words: frozenset[str], loose: list[str]
) -> int:
    hits, rest = 0, []
    for text in strings:
        if text in words:
            continue
        token = ANY_TOKEN.fullmatch(text)
        if token:
            hits += text in raw or token["body"] in raw
        else:
            hits += text in raw
            rest.append(WRITER.sub("\n", ANY_TOKEN.sub("\n", text)))
    loose += rest
    return hits + len(parts.find("\n".join(rest)))
