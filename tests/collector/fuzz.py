"""Broken chunks for the decoder: ``python -m tests.collector.fuzz FIRST COUNT`` decodes some and says how it went.

As a program it runs with numba's bounds checks, which see every read and write outside an array.
"""

from __future__ import annotations

import random
import sys
from collections import Counter

import numpy as np

from collector.kernels.xor import BAD_VARINT, PADDING, TRUNCATED, decode_chunk
from tests.collector.gorilla import encode_chunk
from tests.prometheus.wire import Samples

_GUARD = 0x5A5A5A5A5A5A5A5A
_GUARDS = 16


def decode(chunk: bytes, *, room: int | None = None, padding: int = 0) -> tuple[int, Samples]:
    """Decode one chunk that ends where the padding begins; return the decoder's result and the samples.

    Fails when anything behind the room for the samples was written.
    """
    announced = int.from_bytes(chunk[:2], "big")
    room = announced if room is None else room
    before = b"\xa5" * 8
    data = np.frombuffer(before + chunk + bytes([padding]) * PADDING, dtype=np.uint8)
    times = np.full(room + _GUARDS, _GUARD, dtype=np.int64)
    bits = np.full(room + _GUARDS, _GUARD, dtype=np.uint64)
    count = int(decode_chunk(data, np.int64(len(before)), np.int64(data.size - PADDING), times[:room], bits[:room], 0))
    assert (times[room:] == _GUARD).all()
    assert (bits[room:] == _GUARD).all()
    return count, list(zip(times[: max(count, 0)].tolist(), bits[: max(count, 0)].tolist(), strict=True))


def draw_samples(rng: random.Random, count: int) -> Samples:
    """Return samples that make use of every width of a delta and of a value."""
    time = rng.randrange(-(10**12), 2 * 10**12)
    values = [rng.getrandbits(64) for _ in range(3)]
    samples = []
    for _ in range(count):
        samples.append(
            (time, rng.choice((values[0], values[1], rng.getrandbits(64), values[2] ^ (1 << rng.choice((0, 20, 63))))))
        )
        time += rng.choice((15_000, 15_000, 15_001, 10_000, 1, 8192 * 2, 65_536 * 3, 524_288 * 2, 10**10))
    return samples


def break_chunk(rng: random.Random, chunk: bytes) -> bytes:
    """Return a chunk that was cut, bent or made up."""
    kind = rng.randrange(5)
    broken = bytearray(chunk)
    if kind == 0:
        return bytes(broken[: rng.randrange(len(broken))])
    if kind == 1:
        for _ in range(rng.randint(1, 4)):
            broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
    elif kind == 2:
        broken[:2] = rng.randrange(min(1 << 16, 4 * len(broken) + 2)).to_bytes(2, "big")
    elif kind == 3:
        start = rng.randrange(len(broken))
        broken[start:] = bytes([rng.choice((0x00, 0xFF, 0x80, rng.randrange(256)))]) * (len(broken) - start)
    else:
        broken = bytearray(rng.randbytes(rng.randrange(80)))
    return bytes(broken)


def fuzz(first: int, count: int) -> Counter[str]:
    """Decode ``count`` broken chunks, each by its own seed; return how many ended in which way."""
    ends: Counter[str] = Counter()
    for seed in range(first, first + count):
        rng = random.Random(seed)
        chunk = break_chunk(rng, encode_chunk(draw_samples(rng, rng.randint(1, 40))))
        result = decode(chunk)
        assert result == decode(chunk, padding=0xFF), f"seed {seed}: what lies behind the chunk was decoded"
        assert result[0] in (TRUNCATED, BAD_VARINT, int.from_bytes(chunk[:2], "big")), f"seed {seed}: {result[0]}"
        ends["decoded" if result[0] >= 0 else "refused"] += 1
    return ends


if __name__ == "__main__":
    print(dict(fuzz(int(sys.argv[1]), int(sys.argv[2]))))  # noqa: T201 - a program's result
