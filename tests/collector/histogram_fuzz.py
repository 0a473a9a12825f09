"""Broken histogram chunks for the decoder: ``python -m tests.collector.histogram_fuzz FIRST COUNT`` decodes some.

As a program it runs with numba's bounds checks, which see every read and write outside an array.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from collector.histogram_survey import new_rows, new_scratch
from collector.kernels.grid import STALE as STALE_BITS
from collector.kernels.histogram import FLOAT, INTEGER, Rows, Side, decode_histograms, pack_side
from collector.kernels.histogram_layout import (
    LAYOUT,
    MALFORMED,
    TOO_MANY_BUCKETS,
    UNKNOWN_FLAGS,
    UNKNOWN_SCHEMA,
)
from collector.kernels.xor import PADDING, TRUNCATED
from tests.collector.histogram_cases import STALE_HISTOGRAM, draw_histogram, grow
from tests.collector.histogram_chunks import Histogram, Sample, encode_chunk

REFUSED: Final = (TRUNCATED, MALFORMED, UNKNOWN_FLAGS, UNKNOWN_SCHEMA, TOO_MANY_BUCKETS)
MUTANTS: Final = 20
"""Made of each chunk: encoding one takes longer than decoding all of these."""
_GUARD = 0x5A
_GUARDS = 64  # bytes on either side
_SCRATCH = new_scratch()
_NO_ROWS = new_rows(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, LAYOUT), np.int64))


class Guarded:
    """Arrays with bytes around them that nobody may write."""

    def __init__(self) -> None:
        self._held: list[npt.NDArray[np.uint8]] = []

    def make(self, count: int, kind: Any) -> Any:  # noqa: ANN401 - a dtype in, an array of it out
        """Return an array of ``count`` zeros with guards around it."""
        size = count * np.dtype(kind).itemsize
        held = np.full(size + 2 * _GUARDS, _GUARD, dtype=np.uint8)
        held[_GUARDS : _GUARDS + size] = 0
        self._held.append(held)
        return held[_GUARDS : _GUARDS + size].view(kind)

    def check(self) -> None:
        """Fail when anything around an array was written."""
        for held in self._held:
            assert (held[:_GUARDS] == _GUARD).all()
            assert (held[-_GUARDS:] == _GUARD).all()


def decode(chunk: bytes, kind: int, *, padding: int = 0) -> tuple[int, list[int], list[Any]]:
    """Decode a chunk that ends where the padding begins: times first, then every sample as a row.

    Returns the decoder's result, the times with stale markers as their negatives less one, and what the rows hold.
    """
    announced = int.from_bytes(chunk[:2], "big")
    before = b"\xa5" * 8
    data = np.frombuffer(before + chunk + bytes([padding]) * PADDING, dtype=np.uint8)
    span = np.int64(len(before)), np.int64(data.size - PADDING)
    guarded = Guarded()
    times, codes = guarded.make(announced, np.int64), guarded.make(announced, np.uint64)
    layout = guarded.make(LAYOUT, np.int64)
    found = int(decode_histograms(data, *span, kind, layout, _SCRATCH, times, codes, 0, _NO_ROWS))
    guarded.check()
    if found <= 0:
        return found, [], []
    alive = np.flatnonzero(codes != STALE_BITS)
    first = np.full(found, -1, dtype=np.int64)
    first[alive] = np.arange(len(alive))
    rows = _guard(new_rows(first, alive, np.repeat(layout[None], len(alive), axis=0)), guarded)
    again = int(decode_histograms(data, *span, kind, layout, _SCRATCH, times, codes, 0, rows))
    assert again == found
    positive, negative = (pack_side(side) for side in (rows.positive, rows.negative))
    guarded.check()
    assert positive[1] == rows.positive.lengths[: positive[0]].sum()
    assert negative[1] == rows.negative.lengths[: negative[0]].sum()
    held = [
        array.tobytes() for array in (rows.schema, rows.zero_threshold, rows.zero_count, rows.sums, rows.observations)
    ]
    for side, (spans, counts) in ((rows.positive, positive), (rows.negative, negative)):
        held += [side.spans.tobytes(), side.buckets.tobytes(), side.offsets[:spans].tobytes()]
        held += [side.lengths[:spans].tobytes(), side.counts[:counts].tobytes()]
    held.append(rows.bounds.tobytes())
    return found, np.where(codes == STALE_BITS, ~times, times).tolist(), held


def _guard(rows: Rows, guarded: Guarded) -> Rows:
    def side(one: Side) -> Side:
        return Side(one.begins, *(guarded.make(len(array), array.dtype) for array in one[1:]))

    fields = {
        name: guarded.make(len(value), value.dtype)
        for name, value in rows._asdict().items()
        if isinstance(value, np.ndarray) and name not in ("first", "samples", "bound_begins")
    }
    return rows._replace(positive=side(rows.positive), negative=side(rows.negative), **fields)


def draw_chunk(rng: random.Random) -> tuple[int, list[Sample]]:
    """Return the encoding and the samples of a chunk; a stale marker may be among them."""
    floats = rng.random() < 0.5
    one = draw_histogram(rng, floats=floats)
    if rng.random() < 0.2:
        bounds = tuple(sorted({rng.choice((rng.randrange(10**6) / 1000, rng.uniform(-1e9, 1e9))) for _ in range(8)}))
        places = rng.sample(range(len(bounds) + 1), 3)
        one = Histogram(dict.fromkeys(places, 2.5 if floats else 2), schema=-53, bounds=bounds, zero_threshold=0.0)
    time = rng.randrange(-(10**12), 2 * 10**12)
    samples = []
    for _ in range(rng.randint(1, 12)):
        samples.append((time, one))
        time += rng.choice((15_000, 15_000, 15_001, 1, 65_536 * 3, 10**10))
        one = _grow_in_place(rng, one)
    if rng.random() < 0.2:
        samples.append((time, replace(STALE_HISTOGRAM, schema=one.schema)))
    return FLOAT if floats else INTEGER, samples


def _grow_in_place(rng: random.Random, one: Histogram) -> Histogram:
    if one.schema == -53:
        return replace(one, positive={i: count + rng.randint(0, 3) for i, count in one.positive.items()})
    grown = grow(rng, one)
    return replace(
        grown,
        positive={i: grown.positive[i] for i in one.positive},
        negative={i: grown.negative[i] for i in one.negative},
    )


def break_chunk(rng: random.Random, chunk: bytes) -> bytes:
    """Return a chunk that was cut, bent or made up."""
    kind = rng.randrange(6)
    broken = bytearray(chunk)
    if kind == 0:
        return bytes(broken[: rng.randrange(len(broken))])
    if kind == 1:
        for _ in range(rng.randint(1, 4)):
            broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
    elif kind == 2:  # where the layout is, with its announcements
        for _ in range(rng.randint(1, 3)):
            broken[rng.randrange(3, min(20, len(broken)))] ^= 1 << rng.randrange(8)
    elif kind == 3:
        broken[:2] = rng.randrange(min(1 << 16, 2 * len(broken) + 2)).to_bytes(2, "big")
    elif kind == 4:
        start = rng.randrange(len(broken))
        broken[start:] = bytes([rng.choice((0x00, 0xFF, 0x80, rng.randrange(256)))]) * (len(broken) - start)
    else:
        broken = bytearray(bytes([0, rng.randrange(40), 0]) + rng.randbytes(rng.randrange(80)))
    return bytes(broken)


def fuzz(first: int, count: int) -> Counter[str]:
    """Decode ``count`` broken chunks, ``MUTANTS`` of each whole one, by their seeds; return how they ended."""
    ends: Counter[str] = Counter()
    for start in range(first, first + count, MUTANTS):
        rng = random.Random(start)
        drawn, samples = draw_chunk(rng)
        whole = encode_chunk(samples)
        for seed in range(start, min(start + MUTANTS, first + count)):
            rng = random.Random(seed)
            chunk = break_chunk(rng, whole)
            kind = rng.choice((drawn, drawn, INTEGER, FLOAT))
            result = decode(chunk, kind)
            assert result == decode(chunk, kind, padding=0xFF), f"seed {seed}: what lies behind the chunk was decoded"
            assert result[0] in (*REFUSED, int.from_bytes(chunk[:2], "big")), f"seed {seed}: {result[0]}"
            ends["decoded" if result[0] >= 0 else str(result[0])] += 1
    return ends


if __name__ == "__main__":
    print(dict(fuzz(int(sys.argv[1]), int(sys.argv[2]))))  # noqa: T201 - a program's result
