"""The envelope of a streamed answer: everything that can be wrong with a frame is told, nothing is guessed."""

from __future__ import annotations

import io
import random

import pytest

from collector.frames import MAX_FRAME_BYTES, read_frames
from schemas.errors import SourceError
from tests.collector.effort import FULL
from tests.collector.gorilla import encode_frame
from tests.collector.misbehaving import frame

PAYLOADS = [b"x", b"", b"y" * 127, b"z" * 128, bytes(300_000)]


def test_frames_are_cut_where_they_end() -> None:
    body = b"".join(map(frame, PAYLOADS))

    assert list(read_frames(io.BytesIO(body).read)) == PAYLOADS
    assert list(read_frames(io.BytesIO(b"").read)) == []


def test_frames_that_arrive_byte_by_byte_are_put_together() -> None:
    """A socket may give less than was asked for."""
    stream = io.BytesIO(b"".join(map(frame, PAYLOADS[:4])))

    assert list(read_frames(lambda count: stream.read(min(count, 1)))) == PAYLOADS[:4]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (encode_frame(b"payload", 12345), "a frame of 7 bytes does not have its announced CRC32C"),
        (frame(b"payload")[:-1], "the body ended 1 bytes before the end of a frame"),
        (frame(b"payload")[:3], "the body ended 2 bytes before the end of a frame"),
        (frame(b"payload")[:1], "the body ended 4 bytes before the end of a frame"),
        (b"\x80", "the body ended inside a frame's length"),
        (b"\xff" * 10, "more than ten bytes; this is not a streamed answer"),
        (encode_frame(bytes(MAX_FRAME_BYTES + 1), 0)[:9], f"wanted at most {MAX_FRAME_BYTES}"),
        (b"\xff" * 9 + b"\x01", "wanted at most"),
        (b"<!doctype html><p>please log in", "a frame|inside a frame|end of a frame"),
    ],
)
def test_a_frame_that_is_wrong_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        list(read_frames(io.BytesIO(body).read))


def test_good_frames_before_a_bad_one_are_given_first() -> None:
    """The body streams: nobody waits for its end to look at its beginning."""
    frames = read_frames(io.BytesIO(frame(b"good") + encode_frame(b"bad", 1)).read)

    assert next(frames) == b"good"
    with pytest.raises(SourceError):
        next(frames)


def test_every_cut_and_every_bent_bit_is_noticed() -> None:
    """A frame's checksum holds its payload, and its length the rest."""
    body = frame(b"some payload of a frame")

    for length in range(1, len(body)):
        with pytest.raises(SourceError):
            list(read_frames(io.BytesIO(body[:length]).read))
    for bit in range(8, 8 * len(body)):
        bent = bytearray(body)
        bent[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SourceError, match="CRC32C"):
            list(read_frames(io.BytesIO(bytes(bent)).read))


def test_noise_never_ends_in_anything_but_a_source_error() -> None:
    for seed in range(20_000 if FULL else 2_000):
        noise = random.Random(seed).randbytes(seed % 60)
        try:
            list(read_frames(io.BytesIO(noise).read))
        except SourceError:
            continue
        assert not noise
