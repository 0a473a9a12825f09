"""Native histograms as tests write them down, and an encoder of their chunks: slow, plain, on strings of bits.

Written from the format's description; it shares nothing with the decoder.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

STALE: Final = 0x7FF0000000000002
NO_RESET_INFO, RESET, NO_RESET, GAUGE = 0x00, 0x80, 0x40, 0xC0
_MASK: Final = (1 << 64) - 1
_WIDTHS: Final = (3, 6, 9, 12, 18, 25, 56)

Spans = list[tuple[int, int]]
"""(offset, length)."""


def to_bits(value: float) -> int:
    """Return the 64 bits of a float."""
    return int(struct.unpack("<Q", struct.pack("<d", value))[0])


@dataclass(frozen=True)
class Histogram:
    """One histogram: absolute counts by the index of their bucket; integers make an integer histogram."""

    positive: Mapping[int, float] = field(default_factory=dict)
    negative: Mapping[int, float] = field(default_factory=dict)
    schema: int = 0
    zero_threshold: float = 2.0**-128
    zero_count: float = 0
    count: float | None = None
    """What all buckets hold, if None."""
    sum_bits: int = 0
    hint: int = 0
    """0 unknown, 1 reset, 2 no reset, 3 gauge, as in remote write."""
    bounds: tuple[float, ...] = ()

    @property
    def floats(self) -> bool:
        """Whether its counts are floats."""
        return isinstance(self.total, float)

    @property
    def total(self) -> float:
        """The count of all observations."""
        if self.count is not None:
            return self.count
        return self.zero_count + sum(self.positive.values()) + sum(self.negative.values())

    @property
    def stale(self) -> bool:
        """Whether it is a stale marker."""
        return self.sum_bits == STALE


Sample = tuple[int, Histogram]
"""(milliseconds since 1970, histogram)."""


def spans_of(indexes: Iterable[int]) -> Spans:
    """Return the spans that cover just these buckets."""
    spans: Spans = []
    after = 0
    for index in sorted(indexes):
        if spans and index == after:
            spans[-1] = (spans[-1][0], spans[-1][1] + 1)
        else:
            spans.append((index - after, 1))
        after = index + 1
    return spans


def indexes_of(spans: Iterable[tuple[int, int]]) -> list[int]:
    """Return the indexes of the buckets that spans cover."""
    indexes: list[int] = []
    at = 0
    for offset, length in spans:
        at += offset
        indexes += range(at, at + length)
        at += length
    return indexes


def deltas_of(counts: Iterable[float]) -> list[int]:
    """Return the first count and how each differs from the one before."""
    deltas = []
    before = 0
    for count in counts:
        deltas.append(int(count) - before)
        before = int(count)
    return deltas


def encode_chunk(
    samples: Sequence[Sample],
    *,
    flags: int = NO_RESET_INFO,
    positive_spans: Spans | None = None,
    negative_spans: Spans | None = None,
) -> bytes:
    """Return the chunk of histograms of one kind and schema; its spans cover what occurs, unless they are given."""
    head = f"{len(samples):016b}{flags:08b}"
    if not samples:
        return _to_bytes(head)
    first = samples[0][1]
    alive = [one for _, one in samples if not one.stale]
    positive = spans_of({i for one in alive for i in one.positive}) if positive_spans is None else positive_spans
    negative = spans_of({i for one in alive for i in one.negative}) if negative_spans is None else negative_spans
    layout = _threshold(first.zero_threshold) + varint(first.schema) + _spans(positive) + _spans(negative)
    if first.schema == -53:
        layout += varuint(len(first.bounds)) + "".join(map(_bound, first.bounds))
    rows = [
        ([one.positive.get(i, 0) for i in indexes_of(positive)], [one.negative.get(i, 0) for i in indexes_of(negative)])
        for _, one in samples
    ]
    encode = _encode_floats if any(one.floats for one in alive) else _encode_integers
    return _to_bytes(head + layout + encode(samples, rows))


def varint(value: int) -> str:
    """Return the bits of a signed number."""
    if value == 0:
        return "0"
    for ones, width in enumerate(_WIDTHS, start=1):
        if -(1 << (width - 1)) < value <= 1 << (width - 1):
            return "1" * ones + "0" + f"{value & ((1 << width) - 1):0{width}b}"
    return "1" * 8 + f"{value & _MASK:064b}"


def varuint(value: int) -> str:
    """Return the bits of an unsigned number."""
    if value == 0:
        return "0"
    for ones, width in enumerate(_WIDTHS, start=1):
        if value < 1 << width:
            return "1" * ones + "0" + f"{value:0{width}b}"
    return "1" * 8 + f"{value:064b}"


def _encode_integers(samples: Sequence[Sample], rows: Sequence[tuple[list[float], list[float]]]) -> str:
    out = []
    columns: list[list[int]] = []
    xor = _Xor()
    for (time, one), (positive, negative) in zip(samples, rows, strict=True):
        buckets = [] if one.stale and columns else deltas_of(positive) + deltas_of(negative)
        numbers = [time, int(one.total), int(one.zero_count), *buckets]
        if not columns:
            columns = [[number] for number in numbers]
            out += [varint(time), varuint(numbers[1]), varuint(numbers[2]), xor.first(one.sum_bits)]
            out += [varint(number) for number in buckets]
            continue
        changes = []
        for column, number in zip(columns, numbers, strict=False):
            column.append(number)
            step = column[-2] - column[-3] if len(column) > 2 else 0
            changes.append(_signed(number - column[-2] - step))
        out += [*map(varint, changes[:3]), xor.next(one.sum_bits), *map(varint, changes[3:])]
    return "".join(out)


def _encode_floats(samples: Sequence[Sample], rows: Sequence[tuple[list[float], list[float]]]) -> str:
    out = []
    times: list[int] = []
    xors = [_Xor() for _ in range(3 + len(rows[0][0]) + len(rows[0][1]))]
    for (time, one), (positive, negative) in zip(samples, rows, strict=True):
        buckets = [] if one.stale and times else [*positive, *negative]
        values = [to_bits(float(one.total)), to_bits(float(one.zero_count)), one.sum_bits]
        values += [to_bits(float(count)) for count in buckets]
        times.append(time)
        if len(times) == 1:
            out += [varint(time), *(xor.first(bits) for xor, bits in zip(xors, values, strict=True))]
            continue
        step = times[-2] - times[-3] if len(times) > 2 else 0
        out += [varint(_signed(time - times[-2] - step))]
        out += [xor.next(bits) for xor, bits in zip(xors, values, strict=False)]
    return "".join(out)


class _Xor:
    """The bits of one value after another."""

    def __init__(self) -> None:
        self._bits = 0
        self._window: tuple[int, int] | None = None

    def first(self, bits: int) -> str:
        self._bits = bits
        return f"{bits:064b}"

    def next(self, bits: int) -> str:
        xor, self._bits = bits ^ self._bits, bits
        if xor == 0:
            return "0"
        leading = min(64 - xor.bit_length(), 31)
        trailing = (xor & -xor).bit_length() - 1
        if self._window and leading >= self._window[0] and trailing >= self._window[1]:
            return "10" + f"{xor >> self._window[1]:0{64 - sum(self._window)}b}"
        self._window = leading, trailing
        significant = 64 - leading - trailing
        return "11" + f"{leading:05b}{significant & 63:06b}" + f"{xor >> trailing:0{significant}b}"


def _signed(value: int) -> int:
    """Wrap as 64-bit arithmetic does."""
    return (value + (1 << 63)) % (1 << 64) - (1 << 63)


def _threshold(value: float) -> str:
    fraction, exponent = math.frexp(value)
    if value == 0:
        return f"{0:08b}"
    if fraction == 0.5 and -242 <= exponent <= 11:
        return f"{exponent + 243:08b}"
    return f"{255:08b}{to_bits(value):064b}"


def _spans(spans: Spans) -> str:
    return varuint(len(spans)) + "".join(varuint(length) + varint(offset) for offset, length in spans)


def _bound(bound: float) -> str:
    thousandths = bound * 1000
    if 0 <= thousandths <= 33_554_430 and round(thousandths) / 1000 == bound:
        return varuint(round(thousandths) + 1)
    return "0" + f"{to_bits(bound):064b}"


def _to_bytes(text: str) -> bytes:
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")
