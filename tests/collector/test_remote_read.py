"""Streamed remote read against answers that no healthy server gives."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from collector import remote_read
from collector.connection import Access, Connection
from collector.grid import Grid, SeriesBlock
from collector.grid import Samples as GridSamples
from collector.native import NativeBlock
from collector.promql import Matcher
from collector.reader import choose_reader
from collector.remote_pb2 import Chunk, ChunkedReadResponse
from collector.remote_read import NotServed, join_series
from schemas.errors import SourceError
from schemas.raw import open_raw
from tests.collector.effort import FULL
from tests.collector.gorilla import encode_chunk
from tests.collector.histogram_chunks import Histogram
from tests.collector.histogram_chunks import encode_chunk as encode_histograms
from tests.collector.hostile import to_bits
from tests.collector.misbehaving import Answer, build_frame, frame, serve, streamed
from tests.prometheus.wire import Samples

STEP = 30_000
GRID = Grid(0, 10 * STEP, STEP, 300_000, lookback_includes_edge=True)
SECRET = "payroll-of-the-boss"


def test_a_series_that_is_split_over_frames_is_one() -> None:
    first, second = _samples(0, 5), _samples(5, 10)
    body = build_frame(({"a": "1"}, first)) + build_frame(({"a": "1"}, second), ({"a": "2"}, second))

    block, samples = _read(streamed(body))[0]

    assert [dict(labels) for labels in open_raw(block.labels.rows())] == [{"a": "1"}, {"a": "2"}]
    assert samples.values[: samples.lengths[0]].tolist() == [float(n) for n in range(10)]
    assert samples.lengths.tolist() == [10, 5]


def test_parts_are_joined_only_where_labels_are_equal_and_neighbours() -> None:
    a, b = (("n", "a"),), (("n", "b"),)
    parts = [(a, [Chunk(data=b"1")]), (a, [Chunk(data=b"2")]), (b, [Chunk(data=b"3")]), (a, [])]

    joined = [(labels, [chunk.data for chunk in chunks]) for labels, chunks in join_series(iter(parts))]

    assert joined == [(a, [b"1", b"2"]), (b, [b"3"]), (a, [])]
    assert list(join_series(iter([]))) == []


def test_blocks_are_cut_by_their_size_and_lose_no_series(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block holds a bounded number of samples, however many series there are."""
    monkeypatch.setattr(remote_read, "BLOCK_SAMPLES", 3 * GRID.points)
    body = build_frame(*(({"n": str(n)}, _samples(0, n % 10 + 1)) for n in range(8)))

    blocks = _read(streamed(body))

    assert [len(block) for block, _ in blocks] == [3, 3, 2]
    assert [labels["n"] for block, _ in blocks for labels in open_raw(block.labels.rows())] == [
        str(n) for n in range(8)
    ]
    assert [length for _, samples in blocks for length in samples.lengths.tolist()] == [10] * 8


def test_samples_beyond_what_was_asked_for_are_cut_off() -> None:
    """Other servers return whole chunks; what lies behind the window must not count in it."""
    _, samples = _read(streamed(build_frame(({}, _samples(-20, 40)))))[0]

    assert samples.values.tolist() == [float(n) for n in range(10)]
    assert (samples.hours.tolist(), samples.intervals.tolist()) == ([[10, 10, 0]], [STEP])


def test_an_answer_without_series_gives_no_block() -> None:
    assert _read(streamed(b"")) == []
    assert _read(streamed(build_frame())) == []


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (streamed(frame(b"\xff\xff\xff")), "good checksum is not a ChunkedReadResponse"),
        (streamed(build_frame(({}, [(0, 1)]))[:-1]), "ended 1 bytes before the end of a frame"),
        (streamed(build_frame(({}, [(0, 1)])), missing=10), "the connection to .* broke"),
        (streamed(build_frame(({}, [(0, 1)])), missing=10, hang_seconds=5), "gave no answer in 1 s"),
        (Answer(b"<html>", content_type="text/html"), "does not stream XOR chunks"),
        (Answer(status=404), "serves no remote read"),
        (Answer(status=405), "serves no remote read"),
        (Answer(status=501), "serves no remote read"),
    ],
)
def test_an_answer_that_is_wrong_is_refused(answer: Answer, message: str) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        _read(answer)

    assert SECRET not in repr(caught.value)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x00\x01", b"\xff\xff" + bytes(50), b"\x00\x09" + b"\xff" * 40])
def test_a_chunk_that_is_wrong_is_refused(data: bytes) -> None:
    with pytest.raises(SourceError, match="a chunk "):
        _read(streamed(_frame_of(data)))


def test_a_short_chunk_that_announces_many_samples_is_refused_before_room_is_made_for_them() -> None:
    with pytest.raises(SourceError, match="a chunk of 52 bytes announces 65535 samples"):
        _read(streamed(_frame_of(b"\xff\xff" + bytes(50))))


def test_bent_chunks_end_in_an_error_or_in_a_block() -> None:
    """A chunk's own bits have no checksum once the frame's is right, so any bits may come."""
    good = build_frame(({}, _samples(0, 10)))[5:]
    bodies = []
    for seed in range(3_000 if FULL else 300):
        rng = random.Random(seed)
        bent = bytearray(good)
        for _ in range(rng.randint(1, 3)):
            bent[rng.randrange(len(bent))] = rng.randrange(256)
        bodies.append(frame(bytes(bent)))
    ends: list[bool] = []

    with serve(lambda _: streamed(bodies[len(ends)])) as server:
        connection = Connection(Access(server.url, retries=0))
        for _ in bodies:
            try:
                read = remote_read.read_series(connection, "made_up", (), GRID)
                blocks = list(read)
                floats = [(block, block.decode_all()) for block in blocks if isinstance(block, SeriesBlock)]
                for block in blocks:
                    if isinstance(block, NativeBlock):  # one bit decides of what kind a chunk is
                        list(block.decode(np.arange(len(block))))
            except SourceError:
                ends.append(False)
            else:
                assert all(len(block) <= len(samples.lengths) for block, samples in floats)
                assert all((samples.lengths <= GRID.points).all() for _, samples in floats)
                ends.append(True)

    assert 0 < sum(ends) < len(ends)


def test_auto_falls_back_to_the_query_api_only_where_remote_read_is_not_served() -> None:
    """A server that is down, or lets nobody in, must not look like one without remote read."""
    for answer in (Answer(status=404), Answer(b"{}", content_type="application/json")):
        with serve(answer) as server:
            connection = Connection(Access(server.url, retries=0))
            assert choose_reader(connection, "auto", now_ms=0).path == "http"
            with pytest.raises(NotServed):
                choose_reader(connection, "remote-read", now_ms=0)
    with serve(Answer(status=403)) as server, pytest.raises(SourceError, match="403"):
        choose_reader(Connection(Access(server.url, retries=0)), "auto", now_ms=0)


def test_series_with_native_histograms_come_in_blocks_of_their_own() -> None:
    """One that has floats too is in a block of either kind; one of an unknown kind must not pass for one of floats."""
    floats = (Chunk.XOR, encode_chunk(_samples(0, 3)))
    histograms = (Chunk.HISTOGRAM, encode_histograms([(5 * STEP, Histogram({1: 2})), (6 * STEP, Histogram({1: 3}))]))
    kinds: dict[str, list[tuple[Any, bytes]]] = {
        "floats": [floats],
        "both": [floats, histograms],
        "histograms": [histograms],
        "unknown": [(9, b"?" * 9)],
    }
    message = ChunkedReadResponse()
    for name, chunks in kinds.items():
        series = message.chunked_series.add()
        series.labels.add(name="kind", value=name)
        for kind, data in chunks:
            series.chunks.add(type=kind, data=data)

    with serve(streamed(frame(message.SerializeToString()))) as server:
        blocks = list(remote_read.read_series(Connection(Access(server.url)), "made_up", (), GRID))

    assert [[labels["kind"] for labels in open_raw(block.labels.rows())] for block in blocks] == [
        ["floats"],
        ["both"],
        ["both", "histograms", "unknown"],
    ]
    plain, mixed, native = blocks
    assert isinstance(plain, SeriesBlock)
    assert isinstance(mixed, SeriesBlock)
    assert isinstance(native, NativeBlock)
    (decoded,) = native.decode(np.arange(3))
    assert plain.decode_all().timestamps.tolist() == [n * STEP for n in range(10)]
    assert mixed.decode_all().timestamps.tolist() == [n * STEP for n in range(5)]
    assert decoded.timestamps.tolist() == [n * STEP for n in range(5, 10)] * 2
    assert (decoded.lengths.tolist(), sum(decoded.skipped.values())) == ([5, 5, 0], 1)


def _read(answer: Answer) -> list[tuple[SeriesBlock, GridSamples]]:
    with serve(answer) as server:
        connection = Connection(Access(server.url, timeout_seconds=1.0, retries=0))
        blocks = list(remote_read.read_series(connection, "made_up", [Matcher("team", "=", SECRET)], GRID))
    return [(block, block.decode_all()) for block in blocks if isinstance(block, SeriesBlock)]


def _samples(first: int, last: int) -> Samples:
    return [(n * STEP, to_bits(float(n))) for n in range(first, last)]


def _frame_of(data: bytes) -> bytes:
    message = ChunkedReadResponse()
    message.chunked_series.add().chunks.add(type=Chunk.XOR, data=data)
    return frame(message.SerializeToString())
