"""Where the bytes of a Parquet file lie: pages, page index and footer must be all of it.

Readers jump from offset to offset, so what lies between is seen by none of them, and still is in the file.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from anonymize.audit.pages import Compact

_MAGIC: Final = b"PAR1"
_TRAILER: Final = 8
_SCHEMA, _METADATA, _WRITER = 2, 5, 6
_COLUMNS, _META, _PATH, _STATISTICS = 1, 3, 3, 12
_INDEX_PLACES: Final = ((4, 5), (6, 7))
"""Fields of a column chunk: offset and length of its offset index and of its column index."""
_DATA_PAGE, _DICTIONARY_PAGE, _SIZE, _BLOOM = 9, 11, 7, 14


@dataclass(frozen=True)
class Footer:
    """The footer of a file. ``fields`` is its struct, ``strings`` every string in it, ``behind`` what follows in it."""

    begin: int
    fields: dict[int, Any]
    strings: frozenset[bytes]
    behind: int

    @property
    def chunks(self) -> Iterator[dict[int, Any]]:
        """The column chunks of every row group, in the order of the columns."""
        for group in self.fields.get(4, []):
            yield from group.get(_COLUMNS, [])


def read_footer(path: Path) -> Footer:
    """Read a footer by itself; raise ``ValueError`` for what is no Parquet file from its first byte to its last."""
    with path.open("rb") as file:
        head = file.read(4)
        end = file.seek(0, 2)
        file.seek(max(0, end - _TRAILER))
        trailer = file.read()
        begin = end - _TRAILER - int.from_bytes(trailer[:4], "little")
        if head != _MAGIC or trailer[4:] != _MAGIC or begin < len(_MAGIC):
            raise ValueError("not a Parquet file from its first byte to its last")
        file.seek(begin)
        content = memoryview(file.read(end - _TRAILER - begin))
    thrift = Compact(content, 0)
    return Footer(begin, thrift.read_struct(), frozenset(thrift.binaries), len(content) - thrift.at)


def read_page_index(path: Path, footer: Footer) -> Iterator[tuple[tuple[str, ...], frozenset[bytes]]]:
    """Yield for each column chunk the path of its column, and the least and greatest values of its pages."""
    offset, length = _INDEX_PLACES[1]
    with path.open("rb") as file:
        for chunk in footer.chunks:
            if offset in chunk:
                file.seek(chunk[offset])
                thrift = Compact(memoryview(file.read(chunk[length])), 0)
                thrift.read_struct()
                if thrift.at != chunk[length]:
                    raise ValueError("bytes behind the page index of a column")
                yield tuple(part.decode() for part in chunk[_META][_PATH]), frozenset(thrift.binaries)


def check_layout(footer: Footer) -> Iterator[tuple[str, int]]:
    """Yield (code, count) of what a file has beside pages, page index and footer."""
    if footer.behind:
        yield "bytes-behind-footer", footer.behind
    if stray := footer.strings - set(_known_strings(footer)):
        yield "stray-string", len(stray)
    spans = []
    blooms = 0
    for chunk in footer.chunks:
        meta: dict[int, Any] = chunk.get(_META, {})
        spans.append((meta.get(_DICTIONARY_PAGE) or meta[_DATA_PAGE], meta[_SIZE]))
        spans += [(chunk[offset], chunk[length]) for offset, length in _INDEX_PLACES if offset in chunk]
        blooms += _BLOOM in meta
    if blooms:
        yield "bloom-filter", blooms
    at, uncovered = len(_MAGIC), 0
    for start, length in sorted(spans):
        uncovered += abs(start - at)
        at = start + length
    if uncovered := uncovered + abs(footer.begin - at):
        yield "bytes-between-pages", uncovered


def _known_strings(footer: Footer) -> Iterator[bytes]:
    """Yield the strings of a footer that have a meaning, each of which is looked at as what it is."""
    yield footer.fields.get(_WRITER, b"")
    for element in footer.fields.get(_SCHEMA, []):
        yield element.get(4, b"")
    for pair in footer.fields.get(_METADATA, []):
        yield from pair.values()
    for chunk in footer.chunks:
        meta = chunk.get(_META, {})
        yield from meta.get(_PATH, [])
        yield from (value for value in meta.get(_STATISTICS, {}).values() if isinstance(value, bytes))
