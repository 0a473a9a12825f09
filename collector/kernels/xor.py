"""Decode Prometheus's XOR chunks (the Gorilla encoding of its TSDB) into times and value bits.

Format: two bytes big-endian count; first sample as varint time and 64 raw bits; then per sample a time delta
(the second a uvarint, later ones a delta of deltas behind a prefix code) and the value XORed with the last one.
Value bits stay integers, so that stale markers and NaN payloads survive.
"""

from typing import Final

import numpy as np

from collector.kernels.compiled import inlined, kernel

TRUNCATED: Final = -1
"""The bit stream ended before the announced number of samples."""
BAD_VARINT: Final = -2
"""A variable-length integer had more than ten bytes."""
PADDING: Final = 16
"""Zero bytes that callers put behind the last chunk, so that a 64-bit load never leaves the buffer."""


@inlined
def read_bits(data, at, count):
    """Return ``count`` bits (0 to 64) from bit position ``at``, as an unsigned 64-bit integer."""
    if count == 0:
        return np.uint64(0)
    byte = at >> 3
    skip = at & 7
    word = np.uint64(0)
    for offset in range(8):
        word = (word << np.uint64(8)) | np.uint64(data[byte + offset])
    word <<= np.uint64(skip)
    if skip + count > 64:
        word |= np.uint64(data[byte + 8]) >> np.uint64(8 - skip)
    return word >> np.uint64(64 - count)


@kernel
def read_uvarint(data, at, end):
    """Return (value, next byte position); the position is negative when the integer is broken."""
    value = np.uint64(0)
    for index in range(10):
        if at >= end:
            return value, TRUNCATED
        byte = np.uint64(data[at])
        at += 1
        value |= (byte & np.uint64(0x7F)) << np.uint64(7 * index)
        if byte < 0x80:
            return value, at
    return value, BAD_VARINT


@kernel
def decode_chunk(data, begin, end, times, bits, at):
    """Decode the chunk in ``data[begin:end]`` into ``times`` and ``bits`` from index ``at`` on.

    ``data`` is uint8 with at least ``PADDING`` bytes behind ``end``; ``times`` is int64 (milliseconds), ``bits``
    uint64. Returns the number of samples, or a negative code.
    """
    if end - begin < 2:
        return TRUNCATED
    count = (np.int64(data[begin]) << 8) | np.int64(data[begin + 1])
    if count == 0:
        return 0
    if at + count > times.size:
        return TRUNCATED
    zigzag, position = read_uvarint(data, begin + 2, end)
    if position < 0:
        return position
    time = np.int64(zigzag >> np.uint64(1)) ^ -np.int64(zigzag & np.uint64(1))
    if position + 8 > end:
        return TRUNCATED
    value = read_bits(data, position * 8, 64)
    position += 8
    times[at] = time
    bits[at] = value
    if count == 1:
        return 1
    step, position = read_uvarint(data, position, end)
    if position < 0:
        return position
    delta = np.int64(step)
    cursor = position * 8
    last = end * 8
    leading = np.int64(0)
    trailing = np.int64(0)
    for index in range(1, count):
        if index > 1:
            width = 0  # bits of the delta of deltas, by the prefix code 0, 10, 110, 1110, 1111
            ones = 0
            while ones < 4:
                if cursor >= last:
                    return TRUNCATED
                bit = (data[cursor >> 3] >> (7 - (cursor & 7))) & 1
                cursor += 1
                if bit == 0:
                    break
                ones += 1
            if ones == 1:
                width = 14
            elif ones == 2:
                width = 17
            elif ones == 3:
                width = 20
            elif ones == 4:
                width = 64
            if width:
                if cursor + width > last:
                    return TRUNCATED
                raw = np.int64(read_bits(data, cursor, width))
                cursor += width
                if width < 64 and raw > (np.int64(1) << (width - 1)):
                    raw -= np.int64(1) << width
                delta += raw
        time += delta
        if cursor >= last:
            return TRUNCATED
        changed = (data[cursor >> 3] >> (7 - (cursor & 7))) & 1
        cursor += 1
        if changed:
            if cursor >= last:
                return TRUNCATED
            fresh = (data[cursor >> 3] >> (7 - (cursor & 7))) & 1
            cursor += 1
            if fresh:
                if cursor + 11 > last:
                    return TRUNCATED
                header = np.int64(read_bits(data, cursor, 11))
                cursor += 11
                leading = header >> 6
                significant = header & 63
                if significant == 0:
                    significant = np.int64(64)
                trailing = 64 - leading - significant
                if trailing < 0:
                    return TRUNCATED
            significant = 64 - leading - trailing
            if cursor + significant > last:
                return TRUNCATED
            value ^= read_bits(data, cursor, significant) << np.uint64(trailing)
            cursor += significant
        times[at + index] = time
        bits[at + index] = value
    return count
