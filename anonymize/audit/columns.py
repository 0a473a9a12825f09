"""Every channel of every Parquet file against the grammar of its column, and every token against the inputs."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from anonymize.audit.channels import NUMBER_HEADERS, TAIL, UNREADABLE, WRITER, Channel, read_channels
from anonymize.audit.findings import Finding
from anonymize.audit.grammar import ANY_TOKEN, Grammar
from anonymize.audit.layout import check_layout, read_footer
from anonymize.audit.shapes import find_shapes
from anonymize.audit.subject import Subject
from schemas.manifest import ReleaseFile


def check_columns(subject: Subject) -> Iterator[Finding]:
    """Yield strings that are in no grammar, tokens that are in no input, and channels that must be empty."""
    for file, path in subject.parquet_files():
        try:
            yield from _check_file(subject, file, path)
        except (pa.ArrowException, OSError, ValueError):
            yield Finding(file.path, "unreadable-parquet")


def _check_file(subject: Subject, file: ReleaseFile, path: Path) -> Iterator[Finding]:
    wanted, grammars = subject.expected(file)
    if wanted is None:
        yield Finding("file of a table", "unknown-table")
        return
    found = pq.read_schema(path)
    if found.remove_metadata() != wanted or found.names != wanted.names:
        yield Finding(file.path, "columns-differ-from-schema")
        return
    yield from (Finding(file.path, code, count) for code, count in check_layout(read_footer(path)))
    public = frozenset().union(*(grammar.words for grammar in grammars.values()), wanted.names)
    for channel in read_channels(path):
        subject.strings += len(channel.strings)
        grammar = grammars[channel.column] if channel.column else None
        if channel.name == TAIL:
            yield from _check_tail(subject, f"{file.path}: {TAIL}", channel, public)
        else:
            yield from _check_channel(subject, file.path, channel, grammar)


def _check_channel(subject: Subject, file: str, channel: Channel, grammar: Grammar | None) -> Iterator[Finding]:
    place = f"{file}: {channel.name}"
    if channel.name == "key-value metadata" and channel.strings:
        yield Finding(place, "metadata-in-footer", len(channel.strings))
    elif channel.name == "created_by" and not all(map(WRITER.fullmatch, channel.strings)):
        yield Finding(place, "unknown-writer")
    elif channel.name in (NUMBER_HEADERS, UNREADABLE) and channel.strings:
        yield Finding(place, "not-numbers", len(channel.strings))
    elif grammar:
        place += f" of {channel.column}"
        if strangers := grammar.strangers(channel.strings):
            yield Finding(place, "not-in-grammar", strangers)
        if subject.inputs is not None and (unknown := subject.inputs.count_strangers(channel.strings)):
            yield Finding(place, "not-in-inputs", unknown)
        if subject.words and (hits := subject.words.count_in_tokens(channel.strings)):
            yield Finding(place, "word-in-token", hits)


def _check_tail(subject: Subject, place: str, channel: Channel, public: frozenset[str]) -> Iterator[Finding]:
    """Look at all that lies behind the pages as a text, whatever it means."""
    rest = "\n".join(channel.strings - public)
    for code, count in find_shapes(rest).items():
        yield Finding(place, code, count)
    subject.loose[place] = ANY_TOKEN.sub("\n", rest)
