"""Cut a streamed remote-read body into frames: uvarint length, CRC32C big-endian, payload. Each is checked."""

from collections.abc import Callable, Iterator
from typing import Final

from google_crc32c import value as crc32c

from schemas.errors import SourceError

MAX_FRAME_BYTES: Final = 64 << 20
"""Prometheus cuts frames at 1 MiB by default; a length far beyond is not a length."""


def read_frames(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Yield each payload as it arrives. ``read(n)`` returns up to n bytes, none at the end of the body."""
    while True:
        length = _read_length(read)
        if length is None:
            return
        if length > MAX_FRAME_BYTES:
            raise SourceError(f"remote read: found a frame of {length} bytes; wanted at most {MAX_FRAME_BYTES}")
        announced = int.from_bytes(_read_exactly(read, 4), "big")
        payload = _read_exactly(read, length)
        if crc32c(payload) != announced:
            raise SourceError(f"remote read: a frame of {length} bytes does not have its announced CRC32C")
        yield payload


def _read_length(read: Callable[[int], bytes]) -> int | None:
    value = 0
    for index in range(10):
        byte = read(1)
        if not byte:
            if index:
                raise SourceError("remote read: the body ended inside a frame's length")
            return None
        value |= (byte[0] & 0x7F) << (7 * index)
        if byte[0] < 0x80:
            return value
    raise SourceError("remote read: a frame's length has more than ten bytes; this is not a streamed answer")


def _read_exactly(read: Callable[[int], bytes], count: int) -> bytes:
    parts = []
    missing = count
    while missing:
        part = read(missing)
        if not part:
            raise SourceError(f"remote read: the body ended {missing} bytes before the end of a frame")
        parts.append(part)
        missing -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
