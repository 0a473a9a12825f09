"""The exact search of a finished file for every raw value that the run has seen. Runs while those still exist."""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from anonymize.audit.channels import Channel, read_channels
from anonymize.audit.findings import Finding
from anonymize.audit.grammar import ANY_TOKEN, TableGrammar


def scan_staged(
    path: Path, *, place: str, names: Iterable[str], raw_values: Collection[str], grammar: TableGrammar
) -> list[Finding]:
    """Return where raw values occur in a file read back from disk, or in the ``names`` it goes by.

    Strings that are a token as a whole are compared as a whole: sixteen random characters may hold a short name
    by chance. Everything else is searched for each raw value as a part, but
    for those that a public word itself contains.
    """
    raw = frozenset(raw_values)
    public = "\n".join(sorted(grammar.public_words))
    parts = [value for value in raw if value not in public]  # "node" in a column's name is nobody's node
    findings = []
    for channel in (*read_channels(path), Channel("name", frozenset(names))):
        if hits := _count_hits(channel.strings, raw, parts, grammar.public_words):
            at = f"{place}: {channel.name}" + (f" of {channel.column}" if channel.column else "")
            findings.append(Finding(at, "raw-value", hits))
        if channel.column and (strangers := grammar.columns[channel.column].strangers(channel.strings)):
            findings.append(Finding(f"{place}: {channel.name} of {channel.column}", "not-in-grammar", strangers))
    return findings


def _count_hits(strings: Iterable[str], raw: frozenset[str], parts: Sequence[str], words: frozenset[str]) -> int:
    hits, rest = 0, []
    for text in strings:
        if text in words:
            continue
        token = ANY_TOKEN.fullmatch(text)
        if token:
            hits += text in raw or token["body"] in raw
        else:
            hits += text in raw
            rest.append(ANY_TOKEN.sub("\n", text))
    haystack = "\n".join(rest)
    return hits + sum(1 for value in parts if value in haystack)
