"""Read the pages of a Parquet column without its library: every string that its pages could show, and their headers.

A string column whose data pages all hold codes can show nothing but the entries of its dictionary page, so reading that
page alone sees every string, those that no row shows included. Page headers may hold statistics; they are read, too.
Source: the Parquet format's PageHeader, in Thrift's compact protocol.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa

_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3
_CODES: Final = frozenset({2, 8})
"""The encodings of data pages that hold codes of a dictionary: PLAIN_DICTIONARY and RLE_DICTIONARY."""
_MOST_BYTES: Final = 1 << 28
_HEADERS: Final = {_DATA: 5, _DICTIONARY: 7, _DATA_V2: 8}
"""The field of a page header that describes a page of a type."""
_ENCODING: Final = {_DATA: 2, _DICTIONARY: 2, _DATA_V2: 4}


@dataclass(frozen=True, slots=True)
class ChunkStrings:
    """What one column chunk holds. ``coded`` says whether all data pages are codes, so that the entries are all."""

    entries: tuple[bytes, ...] = field(repr=False)
    headers: tuple[bytes, ...] = field(repr=False)
    coded: bool


def read_chunk(content: memoryview, codec: str, *, is_text: bool) -> ChunkStrings:
    """Return the strings in the pages of a column chunk; ``content`` is the chunk's bytes, whole.

    Only a column of byte arrays (``is_text``) has entries. Raises ``ValueError`` for what is no column chunk.
    """
    entries: list[bytes] = []
    headers: list[bytes] = []
    coded, at = True, 0
    while at < len(content):
        thrift = Compact(content, at)
        header = thrift.read_struct()
        headers += thrift.binaries
        kind, plain_size, size = (_number(header.get(number)) for number in (1, 2, 3))
        body = content[thrift.at : thrift.at + size]
        if size < 0 or len(body) != size or kind not in _HEADERS:
            raise ValueError("a page that is not whole, or of an unknown type")
        about = header.get(_HEADERS[kind])
        if not isinstance(about, dict):
            raise ValueError("a page without the header of its type")
        if kind == _DICTIONARY and is_text:
            entries += _byte_arrays(_decompress(body, plain_size, codec), _number(about.get(1)))
        elif kind != _DICTIONARY:
            coded = coded and about.get(_ENCODING[kind]) in _CODES
        at = thrift.at + size
    return ChunkStrings(tuple(entries), tuple(headers), coded)


def _decompress(body: memoryview, size: int, codec: str) -> bytes:
    if codec == "UNCOMPRESSED":
        return bytes(body)
    if not 0 <= size <= _MOST_BYTES:
        raise ValueError("a dictionary larger than any that is written")
    try:
        name: Any = codec.lower()
        return pa.decompress(pa.py_buffer(body), decompressed_size=size, codec=name, asbytes=True)
    except (OSError, pa.ArrowException):
        raise ValueError("a page that cannot be decompressed") from None


def _byte_arrays(plain: bytes, count: int) -> Iterator[bytes]:
    at = 0
    for _ in range(count):
        begin = at + 4
        at = begin + int.from_bytes(plain[begin - 4 : begin], "little")
        if at > len(plain):
            raise ValueError("a dictionary that ends before its entries do")
        yield plain[begin:at]
    if at != len(plain):
        raise ValueError("bytes behind the entries of a dictionary")


def _number(value: Any) -> int:  # noqa: ANN401 - whatever a header holds
    if not isinstance(value, int):
        raise ValueError("a page header without a number that every page has")
    return value


class Compact:
    """Reads structs of Thrift's compact protocol, and keeps every binary that it passes."""

    def __init__(self, content: memoryview, at: int) -> None:
        self._content = content
        self.at = at
        self.binaries: list[bytes] = []

    def read_struct(self, depth: int = 0) -> dict[int, Any]:
        """Return the fields of a struct by number."""
        if depth > 8:
            raise ValueError("a page header nested too deeply")
        fields: dict[int, Any] = {}
        number = 0
        while kind := self._byte():
            number = number + (kind >> 4) if kind >> 4 else self._zigzag()
            fields[number] = self._value(kind & 15, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:  # noqa: ANN401 - of the kind that it says
        if kind in (1, 2):  # true, false
            return kind == 1
        if kind == 3:
            return self._byte()
        if kind in (4, 5, 6):
            return self._zigzag()
        if kind == 7:
            return self._take(8)
        if kind == 8:
            self.binaries.append(self._take(self._varint()))
            return self.binaries[-1]
        if kind == 9:
            return self._list(depth)
        if kind == 12:
            return self.read_struct(depth + 1)
        raise ValueError("a page header with a field of an unknown kind")

    def _list(self, depth: int) -> list[Any]:
        head = self._byte()
        count = head >> 4 if head >> 4 < 15 else self._varint()
        if count > len(self._content) - self.at:
            raise ValueError("a list that is longer than what is there")
        if head & 15 in (1, 2):  # truth values of a list take a byte each
            return [self._byte() == 1 for _ in range(count)]
        return [self._value(head & 15, depth) for _ in range(count)]

    def _byte(self) -> int:
        at = self.at
        if at >= len(self._content):
            raise ValueError("a page header that is not whole")
        self.at = at + 1
        return self._content[at]

    def _take(self, count: int) -> bytes:
        taken = bytes(self._content[self.at : self.at + count])
        if len(taken) != count:
            raise ValueError("a page header that is not whole")
        self.at += count
        return taken

    def _varint(self) -> int:
        byte = self._byte()
        value, shift = byte & 0x7F, 7
        while byte > 0x7F:
            if shift >= 70:
                raise ValueError("a page header with a number of more than ten bytes")
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            shift += 7
        return value

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
