"""Decode Prometheus's native histogram chunks, of integers and of floats.

Format: three bytes (count, big-endian; flags), the layout, then the samples, bit after bit: the first whole; of later
ones the time and, in integer chunks, all counts as deltas of deltas; the sum and, in float chunks, all counts XORed
with the last one. A stale marker (a sum with the bits ``STALE``) has no buckets unless it is the first.

Samples that rows stand for are written as absolute counts, empty buckets left out and spans that cover just the rest:
a chunk is recoded whenever a bucket appears, so that which empty ones it holds depends on when it is read.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from collector.kernels.compiled import kernel
from collector.kernels.grid import STALE
from collector.kernels.histogram_layout import (
    BOUNDS,
    NEGATIVE,
    POSITIVE,
    SCHEMA,
    THRESHOLD,
    UNKNOWN_FLAGS,
    read_layout,
    read_varbit,
    read_varint,
    read_xor,
    unpack_varint,
    unpack_xor,
)
from collector.kernels.xor import TRUNCATED, read_bits

INTEGER: Final = 2
FLOAT: Final = 3
HEADER_BYTES: Final = 3


class Side(NamedTuple):
    """The buckets of one side. A row's spans and counts begin at ``begins[row]``, with room for every bucket."""

    begins: npt.NDArray[np.int64]
    spans: npt.NDArray[np.int64]
    buckets: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int32]
    lengths: npt.NDArray[np.uint32]
    counts: npt.NDArray[np.float64]


class Rows(NamedTuple):
    """The rows to write, or none while times are found.

    The sample with the number n has ``first[n]`` and those behind it as long as ``samples[row]`` is n; -1 is none.
    """

    first: npt.NDArray[np.int64]
    samples: npt.NDArray[np.int64]
    schema: npt.NDArray[np.int8]
    zero_threshold: npt.NDArray[np.float64]
    zero_count: npt.NDArray[np.float64]
    sums: npt.NDArray[np.float64]
    observations: npt.NDArray[np.float64]
    positive: Side
    negative: Side
    bound_begins: npt.NDArray[np.int64]
    bounds: npt.NDArray[np.float64]


@kernel
def decode_histograms(data, begin, end, kind, layout, scratch, times, codes, at, rows):
    """Decode the chunk in ``data[begin:end]`` of ``kind`` INTEGER or FLOAT; its first sample has the number ``at``.

    ``data`` is uint8 with at least ``PADDING`` bytes behind ``end``. Fills ``layout`` (int64 [LAYOUT]) and, from ``at``
    on, ``times`` (int64, ms) and ``codes`` (uint64): twice the sample's number and one, or STALE; with ``rows`` it
    writes what these ask for instead. Returns the number of samples, or a negative code.
    """
    layout[:] = 0
    if end - begin < HEADER_BYTES:
        return np.int64(TRUNCATED)
    samples = (np.int64(data[begin]) << 8) | np.int64(data[begin + 1])
    if data[begin + 2] & 0x3F:  # the other two hint at counter resets; servers lose and change them
        return np.int64(UNKNOWN_FLAGS)
    if samples == 0:
        return samples
    if at + samples > times.size:
        return np.int64(TRUNCATED)
    floats = kind == FLOAT
    last = end * 8
    cursor = read_layout(data, (begin + HEADER_BYTES) * 8, last, 64 if floats else 1, layout, scratch)
    if cursor < 0:
        return cursor
    buckets = layout[POSITIVE] + layout[NEGATIVE]
    scratch.changes[:buckets] = 0
    time = step = np.int64(0)
    count = zero_count = sum_bits = np.uint64(0)
    count_window = zero_window = sum_window = np.int64(0)
    count_step = zero_step = np.int64(0)
    for sample in range(at, at + samples):
        change, cursor = read_varint(data, cursor, last)
        if cursor < 0:
            return cursor
        if sample == at:
            time = change
            if floats:
                if cursor + 192 > last:
                    return np.int64(TRUNCATED)
                count = read_bits(data, cursor, 64)
                zero_count = read_bits(data, cursor + 64, 64)
                cursor += 128
            else:
                count, _, cursor = read_varbit(data, cursor, last)
                if cursor < 0:
                    return cursor
                zero_count, _, cursor = read_varbit(data, cursor, last)
                if cursor < 0:
                    return cursor
                if cursor + 64 > last:
                    return np.int64(TRUNCATED)
            sum_bits = read_bits(data, cursor, 64)
            cursor += 64
        else:
            step += change
            time += step
            if floats:
                count, count_window, cursor = read_xor(data, cursor, last, count, count_window)
                if cursor < 0:
                    return cursor
                zero_count, zero_window, cursor = read_xor(data, cursor, last, zero_count, zero_window)
            else:
                change, cursor = read_varint(data, cursor, last)
                if cursor < 0:
                    return cursor
                count_step += change
                count = np.uint64(np.int64(count) + count_step)
                change, cursor = read_varint(data, cursor, last)
                zero_step += change
                zero_count = np.uint64(np.int64(zero_count) + zero_step)
            if cursor < 0:
                return cursor
            sum_bits, sum_window, cursor = read_xor(data, cursor, last, sum_bits, sum_window)
            if cursor < 0:
                return cursor
        stale = sum_bits == STALE
        if sample == at or not stale:
            cursor = read_buckets(data, cursor, last, floats, sample == at, buckets, scratch)
            if cursor < 0:
                return cursor
        if rows.first.size == 0:
            times[sample] = time
            codes[sample] = STALE if stale else np.uint64(2 * sample + 1)
        elif rows.first[sample] >= 0 and not stale:
            write_rows(sample, floats, count, zero_count, sum_bits, layout, scratch, rows)
    return samples


@kernel
def read_buckets(data, at, last, floats, first, buckets, scratch):
    """Move ``levels`` on to the next sample. They are deltas from bucket to bucket, or the bits of floats."""
    levels = scratch.levels
    changes = scratch.changes
    if first:
        for bucket in range(buckets):
            if floats:
                if at + 64 > last:
                    return np.int64(TRUNCATED)
                levels[bucket] = np.int64(read_bits(data, at, 64))
                at += 64
            else:
                levels[bucket], at = unpack_varint(data, at, last)
                if at < 0:
                    return at
    elif floats:
        for bucket in range(buckets):
            bits, changes[bucket], at = unpack_xor(data, at, last, np.uint64(levels[bucket]), changes[bucket])
            if at < 0:
                return at
            levels[bucket] = np.int64(bits)
    else:
        for bucket in range(buckets):
            change, at = unpack_varint(data, at, last)
            if at < 0:
                return at
            changes[bucket] += change
            levels[bucket] += changes[bucket]
    return at


@kernel
def write_rows(sample, floats, count, zero_count, sum_bits, layout, scratch, rows):
    """Write one sample to each row that stands for it."""
    row = rows.first[sample]
    while row < rows.samples.size and rows.samples[row] == sample:
        rows.schema[row] = layout[SCHEMA]
        rows.zero_threshold.view(np.int64)[row] = layout[THRESHOLD]
        rows.sums.view(np.uint64)[row] = sum_bits
        if floats:
            rows.observations.view(np.uint64)[row] = count
            rows.zero_count.view(np.uint64)[row] = zero_count
        else:
            rows.observations[row] = np.float64(count)
            rows.zero_count[row] = np.float64(zero_count)
        write_side(row, floats, np.int64(0), layout[POSITIVE], scratch, rows.positive)
        write_side(row, floats, layout[POSITIVE], layout[NEGATIVE], scratch, rows.negative)
        begin = rows.bound_begins[row]
        rows.bounds[begin : begin + layout[BOUNDS]] = scratch.bounds[: layout[BOUNDS]]
        row += 1


@kernel
def write_side(row, floats, first, buckets, scratch, side):
    """Write the buckets of one side that are not empty, and the spans that cover just them."""
    begin = side.begins[row]
    count_at = begin
    span_at = begin
    run = np.int64(0)  # how many buckets behind one another were written last, the very last at index ``place``
    after = np.int64(0)
    total = np.int64(0)
    bits = side.counts.view(np.uint64)
    for bucket in range(first, first + buckets):
        if floats:
            bits[count_at] = np.uint64(scratch.levels[bucket])
        else:
            total += scratch.levels[bucket]
            side.counts[count_at] = np.float64(total)
        if side.counts[count_at] == 0.0:
            continue
        place = scratch.places[bucket]
        if run == 0 or place != after:
            if run:
                side.lengths[span_at] = run
                span_at += 1
            side.offsets[span_at] = place - after
            run = np.int64(0)
        run += 1
        after = place + 1
        count_at += 1
    if run:
        side.lengths[span_at] = run
        span_at += 1
    side.buckets[row] = count_at - begin
    side.spans[row] = span_at - begin


@kernel
def pack_side(side):
    """Move all rows' spans and counts together, in place. Returns (spans, counts) in all."""
    span_at = np.int64(0)
    count_at = np.int64(0)
    for row in range(side.buckets.size):
        begin = side.begins[row]
        for index in range(side.spans[row]):
            side.offsets[span_at] = side.offsets[begin + index]
            side.lengths[span_at] = side.lengths[begin + index]
            span_at += 1
        for index in range(side.buckets[row]):
            side.counts[count_at] = side.counts[begin + index]
            count_at += 1
    return span_at, count_at
