"""Streamed remote read: ask for chunks, gather them as frames arrive, decode them in the order asked for."""

import io
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import cramjam
import numpy as np
import numpy.typing as npt
import requests
from google.protobuf.message import DecodeError

from collector.connection import Connection
from collector.frames import read_frames
from collector.grid import Grid, Samples, Schedule, SeriesBlock, no_schedule
from collector.kernels.grid import NO_ROOM, grid_series
from collector.kernels.stats import HOUR_COLUMNS
from collector.kernels.xor import PADDING
from collector.labels import LabelSets
from collector.native import Block, NativeGatherer
from collector.promql import Matcher
from collector.remote_pb2 import Chunk, ChunkedReadResponse, LabelMatcher, Query, ReadRequest
from schemas.errors import SourceError
from schemas.raw import open_raw

STREAMED: Final = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"
READ_BYTES: Final = 1 << 18
"""Frames are short and their lengths are read byte by byte; the socket is asked for this much at a time."""
BLOCK_SAMPLES: Final = 2_000_000
"""A block ends when it holds so many samples: up to 15 MB of chunks, and one sorted run on the disk."""

_OPERATORS: Final = {
    "=": LabelMatcher.EQ,
    "!=": LabelMatcher.NEQ,
    "=~": LabelMatcher.RE,
    "!~": LabelMatcher.NRE,
}
_NEVER: Final = 1 << 62
_Labels = tuple[tuple[str, str], ...]


class NotServed(SourceError):
    """The server has no streamed remote read."""


def read_series(connection: Connection, metric: str, matchers: Sequence[Matcher], grid: Grid) -> Iterator[Block]:
    """Yield the series of a metric on the grid, some at a time, while the answer is still arriving.

    Those that have native histograms come in blocks of their own, the floats that they have too in the block before.

    A read that fails in passing before its first block is tried again.
    """
    what = f"remote read of {metric}"
    return connection.repeated(what, lambda: _read_once(connection, what, metric, matchers, grid))


def _read_once(
    connection: Connection, what: str, metric: str, matchers: Sequence[Matcher], grid: Grid
) -> Generator[Block, None, None]:
    with stream_series(connection, what, metric, matchers, grid) as series:
        floats, natives = Gatherer(grid, what), NativeGatherer(grid, metric)
        for labels, chunks in series:
            if all(chunk.type == Chunk.XOR for chunk in chunks):
                if floats.add(labels, chunks):
                    yield floats.take()
            elif natives.add(labels, [(chunk.type, chunk.data) for chunk in chunks]):
                yield from _take_native(natives)
        if len(floats):
            yield floats.take()
        if len(natives):
            yield from _take_native(natives)


def _take_native(gatherer: NativeGatherer) -> Iterator[Block]:
    block = gatherer.take()
    floats = block.floats()
    if floats is not None:
        yield floats
    yield block


@contextmanager
def stream_series(
    connection: Connection, what: str, metric: str, matchers: Sequence[Matcher], grid: Grid
) -> Iterator[Iterator[tuple[_Labels, list[Chunk]]]]:
    """Ask for the samples that the grid may need; yield (labels, chunks) of each series as they arrive.

    Raises ``NotServed`` and ``SourceError``; what the libraries raise passes through, for ``Connection.repeated``.
    """
    with connection.session.post(
        connection.url + "/api/v1/read",
        data=encode_request(metric, matchers, grid),
        headers={
            "Content-Type": "application/x-protobuf",
            "Content-Encoding": "snappy",
            "X-Prometheus-Remote-Read-Version": "0.1.0",
            "Accept-Encoding": "identity",  # XOR chunks don't shrink; gzip would cost the server dearly
        },
        stream=True,
        timeout=connection.timeout,
        allow_redirects=False,
    ) as response:
        _check_streamed(what, connection, response)
        yield join_series(decode_frames(what, response))


def encode_request(metric: str, matchers: Sequence[Matcher], grid: Grid) -> bytes:
    """Return the snappy-compressed request for the samples that the grid may need, both ends included."""
    query = Query(start_timestamp_ms=grid.start_ms - grid.lookback_ms, end_timestamp_ms=grid.end_ms - 1)
    for matcher in (Matcher("__name__", "=", metric), *matchers):
        query.matchers.add(type=_OPERATORS[matcher.op], name=matcher.name, value=open_raw(matcher.value))
    request = ReadRequest(queries=[query], accepted_response_types=[ReadRequest.STREAMED_XOR_CHUNKS])
    return bytes(cramjam.snappy.compress_raw(request.SerializeToString()))


def decode_frames(what: str, response: requests.Response) -> Iterator[tuple[_Labels, list[Chunk]]]:
    """Yield (labels, chunks) of every series of every frame."""
    response.raw.auto_close = False  # the buffer reads once more at the end, to see that it is the end
    body = io.BufferedReader(response.raw, READ_BYTES)
    for payload in read_frames(body.read):
        try:
            frame = ChunkedReadResponse.FromString(payload)
        except DecodeError:
            raise SourceError(f"{what}: a frame with a good checksum is not a ChunkedReadResponse") from None
        for series in frame.chunked_series:
            yield tuple((label.name, label.value) for label in series.labels), list(series.chunks)


def join_series(parts: Iterator[tuple[_Labels, list[Chunk]]]) -> Iterator[tuple[_Labels, list[Chunk]]]:
    """Join the parts of a series that was split over several frames; its labels are repeated there."""
    current: _Labels | None = None
    gathered: list[Chunk] = []
    for labels, chunks in parts:
        if labels == current:
            gathered += chunks
            continue
        if current is not None:
            yield current, gathered
        current, gathered = labels, chunks
    if current is not None:
        yield current, gathered


@dataclass(frozen=True, slots=True)
class EncodedBlock(SeriesBlock):
    """Series as the chunks that the server sent: a few bytes a sample until they are decoded."""

    grid: Grid
    what: str
    data: npt.NDArray[np.uint8] = field(repr=False)
    chunk_ends: npt.NDArray[np.int64] = field(repr=False)
    first_chunks: npt.NDArray[np.int64] = field(repr=False)
    longest: int
    room: npt.NDArray[np.int64] = field(repr=False)

    @property
    def most(self) -> npt.NDArray[np.int64]:
        """How many grid points can see each series, by the times that the server gave for its chunks; raw, all."""
        return self.room

    def decode(self, rows: npt.NDArray[np.int64], schedule: Schedule | None = None) -> Samples:
        """Decode the chunks of these rows, put each series on the grid and count it."""
        grid = self.grid
        by = schedule or no_schedule(len(self), grid)
        size = int(self.most[rows].sum()) + max(grid.points, self.longest)
        times = np.empty(size, dtype=np.int64)
        bits = np.empty(size, dtype=np.uint64)
        lengths = np.zeros(len(rows), dtype=np.int64)
        intervals = np.zeros(len(rows), dtype=np.int64)
        hours = np.zeros((len(by.bounds) - 1, HOUR_COLUMNS), dtype=np.int64)
        found = grid_series(
            self.data,
            np.concatenate((np.zeros(1, np.int64), self.chunk_ends[:-1])),
            self.chunk_ends,
            self.first_chunks,
            rows,
            np.empty(self.longest, dtype=np.int64),
            np.empty(self.longest, dtype=np.uint64),
            grid.start_ms,
            grid.step_ms,
            grid.points,
            grid.lookback_ms,
            grid.lookback_includes_edge,
            grid.raw,
            by.targets,
            by.offsets,
            by.times,
            by.unseen,
            by.intervals,
            by.bounds,
            times,
            bits,
            lengths,
            intervals,
            hours,
        )
        if found == NO_ROOM:
            raise SourceError(f"{self.what}: chunks hold samples of other times than the server said")
        if found < 0:
            raise SourceError(f"{self.what}: a chunk ends before its announced samples do")
        return Samples(lengths, times[:found], bits[:found].view(np.float64), hours, intervals)


class Gatherer:
    """Gathers the chunks of some series of floats alone until they make a block."""

    def __init__(self, grid: Grid, what: str) -> None:
        self._grid = grid
        self._what = what
        self._clear()

    def _clear(self) -> None:
        self._labels = LabelSets()
        self._data: list[bytes] = []
        self._first_chunks = [0]
        self._longest = 0
        self._room: list[int] = []
        self._samples = 0

    def __len__(self) -> int:
        return len(self._labels)

    def add(self, labels: _Labels, chunks: Sequence[Chunk]) -> bool:
        """Take one series; return whether the block is full."""
        samples = 0
        first_ms, last_ms = _NEVER, -_NEVER
        for chunk in chunks:
            # a sample takes two bits at least, so a short chunk that announces many is broken
            data = chunk.data
            announced = int.from_bytes(data[:2], "big")
            if announced > 4 * len(data):
                raise SourceError(f"{self._what}: a chunk of {len(data)} bytes announces {announced} samples")
            samples += announced
            first_ms = min(first_ms, chunk.min_time_ms)
            last_ms = max(last_ms, chunk.max_time_ms)
            self._data.append(data)
        self._labels.append(labels)
        self._first_chunks.append(len(self._data))
        self._longest = max(self._longest, samples)
        seen_ms = last_ms - first_ms + self._grid.lookback_ms
        room = self._grid.points if last_ms <= 0 else min(self._grid.points, seen_ms // self._grid.step_ms + 1)
        self._room.append(samples if self._grid.raw else max(0, room))
        self._samples += max(samples, self._room[-1])
        return self._samples >= BLOCK_SAMPLES

    def take(self) -> EncodedBlock:
        """Return what was gathered, and start anew."""
        lengths = np.fromiter(map(len, self._data), dtype=np.int64, count=len(self._data))
        block = EncodedBlock(
            self._labels,
            self._grid,
            self._what,
            np.frombuffer(b"".join((*self._data, bytes(PADDING))), dtype=np.uint8),
            np.cumsum(lengths),
            np.array(self._first_chunks, dtype=np.int64),
            self._longest,
            np.array(self._room, dtype=np.int64),
        )
        self._clear()
        return block


def _check_streamed(what: str, connection: Connection, response: requests.Response) -> None:
    if response.status_code in (404, 405, 501):
        raise NotServed(f"{what}: {connection.place} serves no remote read")
    connection.check_status(what, response)
    if not response.headers.get("Content-Type", "").startswith("application/x-streamed-protobuf"):
        raise NotServed(f"{what}: {connection.place} does not stream XOR chunks")
