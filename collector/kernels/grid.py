"""Put the samples of many series on a step grid, exactly as an instant selector would see them.

The value at grid point t is the newest sample at or before t, unless it is older than the lookback or a stale
marker (a NaN with the bits ``STALE``). In Prometheus 2.x a sample exactly one lookback old still counts, in 3.x
it does not.
"""

from typing import Final

import numpy as np
from numba import njit

from collector.kernels.stats import EXPECTED, HELD, INTERVAL, RECEIVED
from collector.kernels.xor import decode_chunk

STALE: Final = np.uint64(0x7FF0000000000002)
_DELTAS = 33  # an odd number of gaps is enough for a median


@njit(cache=True, nogil=True)
def order_samples(times, bits, count):
    """Sort samples by time in place where chunks overlap; of equal times the first stays. Returns the count."""
    ordered = True
    for index in range(1, count):
        if times[index] <= times[index - 1]:
            ordered = False
            break
    if ordered:
        return count
    order = np.argsort(times[:count], kind="mergesort")
    sorted_times = times[:count][order]
    sorted_bits = bits[:count][order]
    kept = 0
    for index in range(count):
        if kept == 0 or sorted_times[index] != times[kept - 1]:
            times[kept] = sorted_times[index]
            bits[kept] = sorted_bits[index]
            kept += 1
    return kept


@njit(cache=True, nogil=True)
def median_gap(times, count):
    """Return the median of the first gaps between samples, in milliseconds; 0 without two samples."""
    gaps = min(count - 1, _DELTAS)
    if gaps < 1:
        return np.int64(0)
    deltas = np.empty(gaps, np.int64)
    for index in range(gaps):
        deltas[index] = times[index + 1] - times[index]
    deltas.sort()
    return deltas[gaps // 2]


@njit(cache=True, nogil=True)
def count_expected(times, bits, count, interval, start, end, lookback):
    """Return how many samples a series should have in ``[start, end)`` while it lived, by its own interval.

    It lived from its first sample (or the window's start, where it has older ones) until a stale marker. One that
    falls silent without a marker counts as alive, unless for longer than the lookback: then it had ended.
    """
    if interval <= 0:
        return np.int64(0)
    first = times[0]
    newest = times[count - 1]
    if newest < start:
        return np.int64(0)
    until = end
    if bits[count - 1] == STALE:
        until = newest
    elif end - newest > lookback:
        until = newest + interval
    begin = max(first, start)
    return max(np.int64(0), (until - begin + interval // 2) // interval)


@njit(cache=True, nogil=True)
def put_on_grid(times, bits, count, start, step, points, lookback, edge, out_times, out_bits, at, stats):
    """Write the grid points that see a sample to ``out_times`` and ``out_bits`` from index ``at`` on.

    ``times`` (int64) and ``bits`` (uint64) are ordered; ``stats`` is one row of int64 [STATS]. Returns the next index.
    """
    end = start + points * step
    interval = median_gap(times, count)
    oldest_allowed = lookback if edge else lookback - 1
    late = 3 * interval // 2 if interval > 0 else lookback
    received = 0
    for index in range(count):
        if start <= times[index] < end and bits[index] != STALE:
            received += 1
    held = 0
    index = 0
    while index < count and times[index] <= start:
        index += 1
    newest = index - 1
    grid_time = start
    while grid_time < end:
        while newest + 1 < count and times[newest + 1] <= grid_time:
            newest += 1
        if newest >= 0:
            age = grid_time - times[newest]
            if age <= oldest_allowed and bits[newest] != STALE:
                out_times[at] = grid_time
                out_bits[at] = bits[newest]
                at += 1
                if age > late:
                    held += 1
        grid_time += step
    stats[RECEIVED] = received
    stats[EXPECTED] = count_expected(times, bits, count, interval, start, end, lookback)
    stats[HELD] = held
    stats[INTERVAL] = interval
    return at


@njit(cache=True, nogil=True)
def grid_series(
    data,
    chunk_begins,
    chunk_ends,
    first_chunks,
    rows,
    times,
    bits,
    start,
    step,
    points,
    lookback,
    edge,
    out_times,
    out_bits,
    lengths,
    stats,
):
    """Decode the chunks of the series ``rows``, in that order, and put each on the grid.

    ``data`` is uint8 [bytes + PADDING]; ``chunk_begins`` and ``chunk_ends`` (int64 [chunks]) are places in it;
    ``first_chunks`` (int64 [series + 1]) says which chunks are a series'; ``times`` (int64) and ``bits`` (uint64)
    are scratch for the longest series. ``out_times`` and ``out_bits`` hold up to ``points`` for each row; ``lengths``
    int64 [rows] and ``stats`` int64 [rows, STATS] are zero. Returns the number of samples written, or the negative
    code of a broken chunk.
    """
    at = np.int64(0)
    for place in range(rows.size):
        series = rows[place]
        count = np.int64(0)
        for chunk in range(first_chunks[series], first_chunks[series + 1]):
            found = decode_chunk(data, chunk_begins[chunk], chunk_ends[chunk], times, bits, count)
            if found < 0:
                return found
            count += found
        if count:
            count = order_samples(times, bits, count)
            after = put_on_grid(
                times, bits, count, start, step, points, lookback, edge, out_times, out_bits, at, stats[place]
            )
            lengths[place] = after - at
            at = after
    return at
