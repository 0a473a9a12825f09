"""The bits of Prometheus's native histogram chunks, and the layout that all samples of a chunk share.

A number is a prefix of up to eight ones and as many bits as the prefix says. The layout is the zero threshold, the
schema, the spans of both sides and, where the schema is that of custom buckets, their bounds.

Every read is checked against the chunk's end, and a loop goes no further than the bits that feed it.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from collector.kernels.compiled import inlined, kernel
from collector.kernels.xor import TRUNCATED, read_bits

MALFORMED: Final = -3
"""The layout says what no server writes: spans that run backwards, buckets without bounds."""
UNKNOWN_TYPE: Final = -4
UNKNOWN_FLAGS: Final = -5
UNKNOWN_SCHEMA: Final = -6
TOO_MANY_BUCKETS: Final = -7
"""More than ``MAX_BUCKETS``. This one and those above it down to ``UNKNOWN_TYPE`` cost a series, not the read."""

MAX_BUCKETS: Final = 1 << 16
"""In one histogram. The finest schema has 256 for each power of two: room for 256 powers of two."""
CUSTOM_SCHEMA: Final = -53

SCHEMA: Final = 0
THRESHOLD: Final = 1  # the bits of a float
POSITIVE: Final = 2
NEGATIVE: Final = 3
BOUNDS: Final = 4
LAYOUT: Final = 5
"""The columns of a chunk's layout, int64."""

_WIDTHS = np.array([0, 3, 6, 9, 12, 18, 25, 56, 64], dtype=np.int64)  # by the number of ones before the value
_LEADING_ONES = np.array([8 - (byte ^ 0xFF).bit_length() for byte in range(256)], dtype=np.int64)
_FARTHEST = 1 << 30  # of a bucket's index; offsets between any two stay below 32 bits


class Scratch(NamedTuple):
    """Room for one histogram's state, ``MAX_BUCKETS`` long each."""

    levels: npt.NDArray[np.int64]
    changes: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64]
    bounds: npt.NDArray[np.float64]


@inlined
def peek(data, at):
    """Return the 64 bits from bit position ``at`` on, as an unsigned integer."""
    byte = np.uint64(at >> 3)  # unsigned, or numba looks for indexes that count from the end
    skip = np.uint64(at & 7)
    word = np.uint64(0)
    for offset in range(8):
        word = (word << np.uint64(8)) | np.uint64(data[byte + np.uint64(offset)])
    return (word << skip) | (np.uint64(data[byte + np.uint64(8)]) >> (np.uint64(8) - skip))


@inlined
def unpack_varbit(data, at, last):
    """Return (value, its width in bits, next bit); the next bit is negative where the bits end first."""
    if at >= last:
        return np.uint64(0), np.int64(0), np.int64(TRUNCATED)
    word = peek(data, at)
    ones = _LEADING_ONES[word >> np.uint64(56)]
    width = _WIDTHS[ones]
    value_at = at + min(ones + 1, 8)
    if value_at + width > last:
        return np.uint64(0), width, np.int64(TRUNCATED)
    if width == 64:
        return peek(data, value_at), width, value_at + 64
    value = word << np.uint64(ones + 1) >> np.uint64(1) >> np.uint64(63 - width)  # no shift by 64, which is undefined
    return value, width, value_at + width


@inlined
def unpack_varint(data, at, last):
    """Return (signed value, next bit); each width holds one number more above zero than below."""
    raw, width, at = unpack_varbit(data, at, last)
    value = np.int64(raw)
    if 0 < width < 64 and value > (np.int64(1) << (width - 1)):
        value -= np.int64(1) << width
    return value, at


@inlined
def unpack_xor(data, at, last, bits, window):
    """Return (bits, window, next bit) of a value XORed with ``bits``; a window is leading << 8 | trailing zeros."""
    if at >= last:
        return bits, window, np.int64(TRUNCATED)
    head = np.int64(peek(data, at) >> np.uint64(51))  # changed or not, a new window or the last one, 5 + 6 bits of it
    if head < 1 << 12:
        return bits, window, at + 1
    at += 2
    if head & 1 << 11:
        at += 11
        leading = head >> 6 & 31
        significant = head & 63
        if significant == 0:
            significant = np.int64(64)
        trailing = 64 - leading - significant
        if trailing < 0:
            return bits, window, np.int64(MALFORMED if at <= last else TRUNCATED)
        window = leading << 8 | trailing
    trailing = window & 255
    significant = 64 - (window >> 8) - trailing
    if at + significant > last:
        return bits, window, np.int64(TRUNCATED)
    xor = peek(data, at) >> np.uint64(64 - significant)
    return bits ^ (xor << np.uint64(trailing)), window, at + significant


@kernel
def read_varbit(data, at, last):
    """Do as ``unpack_varbit``, but by a call: outside of hot loops, inlining only makes compiling slow."""
    return unpack_varbit(data, at, last)


@kernel
def read_varint(data, at, last):
    """Do as ``unpack_varint``, by a call."""
    return unpack_varint(data, at, last)


@kernel
def read_xor(data, at, last, bits, window):
    """Do as ``unpack_xor``, by a call."""
    return unpack_xor(data, at, last, bits, window)


@kernel
def read_spans(data, at, last, bucket_bits, buckets, scratch):
    """Read the spans of one side, and write the buckets' indexes to ``places`` from ``buckets`` on.

    Returns (the number of buckets so far, next bit).
    """
    spans, _, at = read_varbit(data, at, last)
    place = np.int64(0)
    span = np.uint64(0)
    while at >= 0 and span < spans:  # two bits a span at least, so the bits end before a long announcement does
        length, _, at = read_varbit(data, at, last)
        if at < 0:
            break
        offset, at = read_varint(data, at, last)
        if at < 0:
            break
        if offset < -_FARTHEST or offset > _FARTHEST or (span > 0 and offset < 0):
            return buckets, np.int64(MALFORMED)
        if length > np.uint64(MAX_BUCKETS - buckets):
            return buckets, np.int64(TOO_MANY_BUCKETS)
        many = np.int64(length)
        place += offset
        if place + many > _FARTHEST:
            return buckets, np.int64(MALFORMED)
        if (buckets + many) * bucket_bits > last - at:
            return buckets, np.int64(TRUNCATED)
        for _ in range(many):
            scratch.places[buckets] = place
            buckets += 1
            place += 1
        span += np.uint64(1)
    return buckets, at


@kernel
def read_bounds(data, at, last, layout, scratch):
    """Read the bounds of custom buckets: thousandths plus one, or a zero and a whole float. Returns the next bit."""
    bounds, _, at = read_varbit(data, at, last)
    if at < 0:
        return at
    if bounds > np.uint64(MAX_BUCKETS):
        return np.int64(TOO_MANY_BUCKETS)
    for bound in range(np.int64(bounds)):
        thousandths, _, at = read_varbit(data, at, last)
        if at < 0:
            return at
        if thousandths:
            scratch.bounds[bound] = np.float64(thousandths - np.uint64(1)) / 1000.0
        else:
            if at + 64 > last:
                return np.int64(TRUNCATED)
            scratch.bounds.view(np.uint64)[bound] = read_bits(data, at, 64)
            at += 64
    layout[BOUNDS] = np.int64(bounds)
    positive = layout[POSITIVE]
    outside = positive > 0 and (scratch.places[0] < 0 or scratch.places[positive - 1] > layout[BOUNDS])
    return np.int64(MALFORMED) if outside or layout[NEGATIVE] else at


@kernel
def read_layout(data, at, last, bucket_bits, layout, scratch):
    """Read what all samples of a chunk share into ``layout`` and ``scratch``. Returns the next bit, or a code."""
    if at + 8 > last:
        return np.int64(TRUNCATED)
    exponent = np.int64(read_bits(data, at, 8))
    at += 8
    if exponent == 255:
        if at + 64 > last:
            return np.int64(TRUNCATED)
        layout[THRESHOLD] = np.int64(read_bits(data, at, 64))
        at += 64
    elif exponent:
        layout[THRESHOLD] = (exponent - 244 + 1023) << 52  # 2 ** (exponent - 244)
    schema, at = read_varint(data, at, last)
    if at < 0:
        return at
    if schema != CUSTOM_SCHEMA and not -4 <= schema <= 8:
        return np.int64(UNKNOWN_SCHEMA)
    layout[SCHEMA] = schema
    buckets, at = read_spans(data, at, last, bucket_bits, np.int64(0), scratch)
    if at < 0:
        return at
    layout[POSITIVE] = buckets
    buckets, at = read_spans(data, at, last, bucket_bits, buckets, scratch)
    if at < 0:
        return at
    layout[NEGATIVE] = buckets - layout[POSITIVE]
    return read_bounds(data, at, last, layout, scratch) if schema == CUSTOM_SCHEMA else at
