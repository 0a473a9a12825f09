"""Encode series into chunks as Prometheus's head does, bit for bit: where a chunk ends, its XOR stream, its record.

Written from the format's description. A test holds every byte equal to what promtool makes of the same samples.
"""

# numba infers the types of its arguments
# ruff: noqa: ANN001, ANN201, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

CHUNK_RANGE_MS: Final = 2 * 3_600_000
"""The head cuts a chunk at every multiple of its block range."""
SAMPLES_A_CHUNK: Final = 120
RECORD_BYTES: Final = 64
"""Room for what a chunk costs beside its samples; each of these takes 18 bytes at most."""
SAMPLE_BYTES: Final = 18
_XOR: Final = 1


def _make_crc_table() -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> np.uint32(1)) ^ np.uint32(0x82F63B78), table >> np.uint32(1))
    return table.astype(np.uint32)


_CRC32C: Final = _make_crc_table()


@njit(cache=True, nogil=True)
def encode_series(times, bits, out, at, chunks):
    """Write the chunk records of one series to ``out`` (uint8) from byte ``at`` on.

    ``times`` is int64 [samples] in milliseconds and ascending, ``bits`` uint64 [samples]. Each chunk gets a row of
    ``chunks`` (int64): where its record begins, its first and last time, its number of samples.
    Returns (the byte behind the last record, the number of chunks).
    """
    data = np.empty(RECORD_BYTES + 2 * SAMPLES_A_CHUNK * SAMPLE_BYTES, dtype=np.uint8)
    count = first = 0
    while first < times.size:
        last = _find_chunk_end(times, first)
        data[: RECORD_BYTES + (last - first) * SAMPLE_BYTES] = 0
        length = _encode_xor(times, bits, first, last, data)
        chunks[count, 0], chunks[count, 1] = at, times[first]
        chunks[count, 2], chunks[count, 3] = times[last - 1], last - first
        count += 1
        first = last
        at = _put_uvarint(out, at, np.uint64(length))
        out[at] = _XOR
        out[at + 1 : at + 1 + length] = data[:length]
        crc = np.uint32(0xFFFFFFFF)
        for byte in out[at : at + 1 + length]:
            crc = _CRC32C[(crc ^ byte) & np.uint32(0xFF)] ^ (crc >> np.uint32(8))
        crc ^= np.uint32(0xFFFFFFFF)
        at += 1 + length
        for shift in (24, 16, 8, 0):
            out[at] = (crc >> np.uint32(shift)) & np.uint32(0xFF)
            at += 1
    return at, count


@njit(cache=True, nogil=True)
def _find_chunk_end(times, first):
    """Return the index behind the last sample of the chunk that begins at ``first``, as the head would cut it."""
    limit = (times[first] // CHUNK_RANGE_MS + 1) * CHUNK_RANGE_MS
    at = first + 1
    while at < times.size:
        held = at - first
        if held == SAMPLES_A_CHUNK // 4:  # spread what is left of the range evenly over its chunks
            parts = (limit - times[first]) // ((times[at - 1] - times[first] + 1) * 4)
            if parts > 1:
                limit = times[first] + (limit - times[first]) // parts
        if times[at] >= limit or held >= 2 * SAMPLES_A_CHUNK:
            break
        at += 1
    return at


@njit(cache=True, nogil=True)
def _encode_xor(times, bits, first, last, out):
    """Write count and samples to zeroed bytes; return how many bytes they take."""
    out[0], out[1] = (last - first) >> 8, (last - first) & 0xFF
    time = np.int64(times[first])
    at = _put_uvarint(out, 2, np.uint64((time << 1) ^ (time >> 63))) * 8
    at = _put_bits(out, at, bits[first], 64)
    step = np.int64(0)
    leading = trailing = np.int64(-1)
    width = np.int64(64)
    for index in range(first + 1, last):
        delta = times[index] - times[index - 1]
        if index == first + 1:
            at = _put_uvarint(out, at // 8, np.uint64(delta)) * 8
        else:
            at = _put_delta(out, at, delta - step)
        step = delta
        xor = bits[index] ^ bits[index - 1]
        if xor == 0:
            at += 1
            width = np.int64(1)
            continue
        ahead, behind = _count_zeros(xor)
        if leading >= 0 and ahead >= leading and behind >= trailing:
            at = _put_bits(out, at, np.uint64(0b10), 2)
        else:
            leading, trailing = ahead, behind
            at = _put_bits(out, at, np.uint64(0b11 << 11 | leading << 6 | ((64 - leading - trailing) & 63)), 13)
        width = 64 - leading - trailing
        at = _put_bits(out, at, xor >> np.uint64(trailing), width)
    # Prometheus opens the next byte when it fills one with a whole byte, but not when it does so bit by bit
    return at // 8 + 1 if at % 8 or width % 8 == 0 else at // 8


@njit(cache=True, nogil=True)
def _put_delta(out, at, change):
    if change == 0:
        return at + 1
    for size, prefix, width in ((2, 0b10, 14), (3, 0b110, 17), (4, 0b1110, 20)):
        if -(1 << (width - 1)) < change <= 1 << (width - 1):
            at = _put_bits(out, at, np.uint64(prefix), size)
            return _put_bits(out, at, np.uint64(change) & np.uint64((1 << width) - 1), width)
    return _put_bits(out, _put_bits(out, at, np.uint64(0b1111), 4), np.uint64(change), 64)


@njit(cache=True, nogil=True)
def _put_bits(out, at, value, width):
    """Write the lowest ``width`` bits of ``value`` at bit ``at``; return the bit behind them."""
    while width > 0:
        room = 8 - (at & 7)
        take = min(room, width)
        part = (value >> np.uint64(width - take)) & np.uint64((1 << take) - 1)
        out[at >> 3] |= np.uint8(part << np.uint64(room - take))
        at += take
        width -= take
    return at


@njit(cache=True, nogil=True)
def _put_uvarint(out, at, value):
    while value > np.uint64(0x7F):
        out[at] = (value & np.uint64(0x7F)) | np.uint64(0x80)
        value >>= np.uint64(7)
        at += 1
    out[at] = value
    return at + 1


@njit(cache=True, nogil=True)
def _count_zeros(value):
    """Return leading (31 at most: they have five bits) and trailing zeros of a value that is not zero."""
    leading = trailing = np.int64(0)
    while leading < 31 and not value >> np.uint64(63 - leading):
        leading += 1
    while not (value >> np.uint64(trailing)) & np.uint64(1):
        trailing += 1
    return leading, trailing
