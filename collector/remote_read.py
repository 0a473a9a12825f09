"""Streamed remote read: ask for XOR chunks, decode them as frames arrive, put each series on the grid."""

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import cramjam
import numpy as np
import requests
from google.protobuf.message import DecodeError

from collector.connection import Connection
from collector.frames import read_frames
from collector.grid import Grid, SeriesBlock
from collector.kernels.grid import grid_series
from collector.kernels.stats import STATS
from collector.kernels.xor import PADDING
from collector.promql import Matcher
from collector.remote_pb2 import Chunk, ChunkedReadResponse, LabelMatcher, Query, ReadRequest
from schemas.errors import SourceError

STREAMED: Final = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"
READ_BYTES: Final = 1 << 18
"""Frames are short and their lengths are read byte by byte; the socket is asked for this much at a time."""
BLOCK_VALUES: Final = 1 << 20
"""Grid values in one block: 8 MiB of them."""

_OPERATORS: Final = {
    "=": LabelMatcher.EQ,
    "!=": LabelMatcher.NEQ,
    "=~": LabelMatcher.RE,
    "!~": LabelMatcher.NRE,
}
_Labels = tuple[tuple[str, str], ...]


class NotServed(SourceError):
    """The server has no streamed remote read."""


def read_series(connection: Connection, metric: str, matchers: Sequence[Matcher], grid: Grid) -> Iterator[SeriesBlock]:
    """Yield the series of a metric on the grid, some at a time, while the answer is still arriving."""
    what = f"remote read of {metric}"
    with (
        connection.translated(what),
        connection.session.post(
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
        ) as response,
    ):
        _check_streamed(what, connection, response)
        block = _Block(grid, what)
        for labels, chunks in join_series(decode_frames(what, response)):
            if block.add(labels, chunks):
                yield block.take()
        if len(block):
            yield block.take()


def encode_request(metric: str, matchers: Sequence[Matcher], grid: Grid) -> bytes:
    """Return the snappy-compressed request for the samples that the grid may need, both ends included."""
    query = Query(start_timestamp_ms=grid.start_ms - grid.lookback_ms, end_timestamp_ms=grid.end_ms - 1)
    for matcher in (Matcher("__name__", "=", metric), *matchers):
        query.matchers.add(type=_OPERATORS[matcher.op], name=matcher.name, value=matcher.value)
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


class _Block:
    """Gathers the chunks of some series, then decodes them all in one call."""

    def __init__(self, grid: Grid, what: str) -> None:
        self._grid = grid
        self._what = what
        self._limit = max(1, BLOCK_VALUES // grid.points)
        self._clear()

    def _clear(self) -> None:
        self._labels: list[Mapping[str, str]] = []
        self._data: list[bytes] = []
        self._series_chunks: list[int] = []
        self._longest = 0

    def __len__(self) -> int:
        return len(self._labels)

    def add(self, labels: _Labels, chunks: Sequence[Chunk]) -> bool:
        """Take one series; return whether the block is full."""
        samples = 0
        for chunk in chunks:
            if chunk.type != Chunk.XOR:
                raise SourceError(f"{self._what}: found native histogram chunks; wanted float samples")
            # a sample takes two bits at least, so a short chunk that announces many is broken
            announced = int.from_bytes(chunk.data[:2], "big")
            if announced > 4 * len(chunk.data):
                raise SourceError(f"{self._what}: a chunk of {len(chunk.data)} bytes announces {announced} samples")
            samples += announced
            self._data.append(chunk.data)
        self._labels.append({name: value for name, value in labels if name != "__name__"})
        self._series_chunks.append(len(self._data))
        self._longest = max(self._longest, samples)
        return len(self._labels) >= self._limit

    def take(self) -> SeriesBlock:
        """Decode what was gathered, and start anew."""
        shape = (len(self._labels), self._grid.points)
        bits = np.zeros(shape, dtype=np.uint64)
        present = np.zeros(shape, dtype=np.bool_)
        stats = np.zeros((shape[0], STATS), dtype=np.int64)
        lengths = np.fromiter(map(len, self._data), dtype=np.int64, count=len(self._data))
        broken = grid_series(
            np.frombuffer(b"".join((*self._data, bytes(PADDING))), dtype=np.uint8),
            np.cumsum(lengths),
            np.array(self._series_chunks, dtype=np.int64),
            np.empty(self._longest, dtype=np.int64),
            np.empty(self._longest, dtype=np.uint64),
            self._grid.start_ms,
            self._grid.step_ms,
            self._grid.lookback_ms,
            self._grid.lookback_includes_edge,
            bits,
            present,
            stats,
        )
        if broken:
            raise SourceError(f"{self._what}: a chunk ends before its announced samples do")
        block = SeriesBlock(self._labels, bits.view(np.float64), present, stats)
        self._clear()
        return block


def _check_streamed(what: str, connection: Connection, response: requests.Response) -> None:
    if response.status_code in (404, 405, 501):
        raise NotServed(f"{what}: {connection.place} serves no remote read")
    connection.check_status(what, response)
    if not response.headers.get("Content-Type", "").startswith("application/x-streamed-protobuf"):
        raise NotServed(f"{what}: {connection.place} does not stream XOR chunks")
