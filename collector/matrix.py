"""Decode a range query's answer while it arrives: from text to arrays, without a Python object for every sample.

The text of some megabytes of series is held at a time, never the whole answer.
"""

import json
import re
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as csv

from collector.labels import RawLabels
from schemas.raw import Raw, open_raw

BATCH_BYTES: Final = 4 << 20
"""Text that is parsed at once; it and what is made of it stay in the processor's cache."""
_RESULT: Final = re.compile(rb'"result"\s*:\s*\[')
_OPEN: Final = b'"values":[['  # within a JSON string its quotes would be escaped, so this is never a label's value
_CLOSE: Final = b"]]"
_BETWEEN: Final = b'"],['
_STAND_IN: Final = b'"values":0'


class HistogramsFound(Exception):
    """A series has native histograms."""


@dataclass(frozen=True, slots=True)
class MatrixSeries:
    """One series of a matrix, ``__name__`` among its labels."""

    labels: Raw[Mapping[str, str]]
    times_ms: npt.NDArray[np.int64] = field(repr=False)
    values: npt.NDArray[np.float64] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Matrix:
    """Some series of an answer, ``__name__`` among their labels; their samples lie flat, series after series.

    ``lengths`` is int64 [series]; ``times_ms`` int64 and ``values`` float64 are sum(lengths) long.
    """

    labels: RawLabels
    lengths: npt.NDArray[np.int64]
    times_ms: npt.NDArray[np.int64] = field(repr=False)
    values: npt.NDArray[np.float64] = field(repr=False)

    def series(self) -> Iterator[MatrixSeries]:
        """Yield one series after another."""
        ends = np.cumsum(self.lengths).tolist()
        for labels, first, last in zip(open_raw(self.labels), [0, *ends], ends, strict=False):
            yield MatrixSeries(Raw("labels", labels), self.times_ms[first:last], self.values[first:last])


_Columns = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]


def decode_matrix(
    pieces: Iterable[bytes], *, batch_bytes: int = BATCH_BYTES
) -> Generator[Matrix, None, dict[str, Any]]:
    """Yield the series of an answer whose text comes in pieces; return the rest of the answer, its result empty.

    Raises ``HistogramsFound``; ``ValueError``, ``TypeError``, ``KeyError``, ``IndexError`` or ``AttributeError`` for
    what is no matrix.
    """
    cutter = _Cutter()
    before = b""  # the answer up to its result, once the first series have left
    for piece in pieces:
        cutter.feed(piece)
        if cutter.complete_bytes >= batch_bytes:
            heads, texts = cutter.take()
            if not before:
                found = _RESULT.search(heads[0])
                if not found:
                    raise ValueError("series before the result")
                before, heads[0] = heads[0][: found.end()], heads[0][found.end() :]
            else:
                heads[0] = _continue(heads[0])
            yield _assemble(json.loads(b"[" + _STAND_IN.join((*heads, b"}]"))), texts)
    heads, texts = cutter.take()
    heads.append(cutter.rest())
    if before:
        heads[0] = before + _continue(heads[0])
    answer: dict[str, Any] = json.loads(_STAND_IN.join(heads))
    last = answer["data"]["result"]
    if not isinstance(last, list):
        raise TypeError("the result is no list")
    if last or texts:
        yield _assemble(last, texts)
    answer["data"]["result"] = []
    return answer


class _Cutter:
    """Cuts the samples out of a text: what lies before each list of samples, and the lists themselves."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._clear()

    def _clear(self) -> None:
        self._heads: list[bytes] = []
        self._texts: list[bytes] = []
        self.complete_bytes = 0
        """So much of the text belongs to whole series."""
        self._begin = 0  # of the list that is open, 0 while none is
        self._searched = 0

    def feed(self, piece: bytes) -> None:
        self._buffer += piece
        buffer = self._buffer
        while True:
            if not self._begin:
                found = buffer.find(_OPEN, self._searched)
                if found < 0:
                    self._searched = max(self._searched, len(buffer) - len(_OPEN) + 1)
                    return
                self._heads.append(bytes(buffer[self.complete_bytes : found]))
                self._begin = self._searched = found + len(_OPEN)
            end = buffer.find(_CLOSE, self._searched)
            if end < 0:
                self._searched = max(self._searched, len(buffer) - len(_CLOSE) + 1)
                return
            self._texts.append(bytes(buffer[self._begin : end]))
            self._begin, self._searched = 0, end + len(_CLOSE)
            self.complete_bytes = self._searched

    def take(self) -> tuple[list[bytes], list[bytes]]:
        """Return what is whole, and forget it."""
        heads, texts = self._heads[: len(self._texts)], self._texts
        del self._buffer[: self.complete_bytes]
        self._clear()
        self.feed(b"")  # the head of an open list counts from here
        return heads, texts

    def rest(self) -> bytes:
        """Return what is left: no list of samples lies in it, or one that never ends."""
        return bytes(self._buffer)


def _continue(head: bytes) -> bytes:
    """Return the text behind a list of samples without what ends the series: its brace, and the comma behind."""
    rest = head.lstrip()
    if rest.startswith(b',"histograms"'):
        raise HistogramsFound("a series has native histograms beside its floats")
    if not rest.startswith(b"}"):
        raise ValueError("a series does not end where its samples do")
    rest = rest[1:].lstrip()
    return rest[1:] if rest.startswith(b",") else rest


def _assemble(entries: Any, texts: Sequence[bytes]) -> Matrix:  # noqa: ANN401 - JSON
    """Return the series of parsed entries, in which a stand-in tells where the samples were cut out."""
    lengths, seconds, values = _parse_samples(texts)
    labels = [dict(entry["metric"].items()) for entry in entries]
    if any("histograms" in entry for entry in entries):
        raise HistogramsFound("a series has native histograms")
    if [entry["values"] for entry in entries] != [0] * len(texts):  # spaces between the tokens, or no samples
        lengths, (seconds, values) = _mix(entries, lengths, (seconds, values))
    return Matrix(Raw("labels", labels), lengths, np.rint(seconds * 1000).astype(np.int64), values)


def _mix(entries: Any, lengths: npt.NDArray[np.int64], columns: _Columns) -> tuple[npt.NDArray[np.int64], _Columns]:  # noqa: ANN401 - JSON
    cut = _split(lengths, columns)
    pieces = []
    for entry in entries:
        if entry["values"] == 0:
            piece = next(cut, None)
            if piece is None:
                raise ValueError("a series without samples")
        else:
            pairs = [(float(time), float(value)) for time, value in entry["values"]]
            piece = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
        pieces.append(piece)
    if next(cut, None) is not None:
        raise ValueError("samples outside the result")
    joined = np.concatenate([np.empty((2, 0)), *pieces], axis=1)
    return np.array([piece.shape[1] for piece in pieces], dtype=np.int64), (joined[0], joined[1])


def _split(lengths: npt.NDArray[np.int64], columns: _Columns) -> Iterator[npt.NDArray[np.float64]]:
    ends = np.cumsum(lengths).tolist()
    for first, last in zip([0, *ends], ends, strict=False):
        yield np.stack([column[first:last] for column in columns])


def _parse_samples(
    texts: Sequence[bytes],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return (lengths, seconds, values); ``texts`` hold ``1767225600,"1"],[1767225630,"2"``, one for each series."""
    if not texts:
        return np.empty(0, np.int64), np.empty(0), np.empty(0)
    lengths = np.array([text.count(_BETWEEN) + 1 for text in texts], dtype=np.int64)
    lines = _BETWEEN.join(texts).replace(_BETWEEN, b"\n").replace(b'"', b"")
    table = csv.read_csv(
        BytesIO(lines),
        read_options=csv.ReadOptions(column_names=["seconds", "value"]),
        parse_options=csv.ParseOptions(quote_char=False, ignore_empty_lines=False),
        convert_options=csv.ConvertOptions(
            column_types={"seconds": pa.float64(), "value": pa.float64()}, null_values=[], strings_can_be_null=False
        ),
    )
    if table.num_rows != lengths.sum():
        raise ValueError("not one pair of time and value for each sample")
    return lengths, _to_numpy(table.column("seconds")), _to_numpy(table.column("value"))


def _to_numpy(column: "pa.ChunkedArray[Any]") -> npt.NDArray[np.float64]:
    """Return numbers without nulls as an array: pyarrow's own way would import pandas, 50 MB of it."""
    return np.concatenate([_view(chunk, chunk.buffers()[1]) for chunk in column.chunks])


def _view(chunk: "pa.Array[Any]", data: Any) -> npt.NDArray[np.float64]:  # noqa: ANN401 - a buffer
    return np.frombuffer(data, dtype=np.float64, count=len(chunk), offset=8 * chunk.offset)
