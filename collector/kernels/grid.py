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
def put_on_grid(times, bits, count, start, step, lookback, edge, values, present, stats):
    """Fill one row of ``values`` (uint64 bits), ``present`` (bool) and ``stats`` (int64) from ordered samples."""
    points = values.size
    end = start + points * step
    interval = median_gap(times, count)
    oldest_allowed = lookback if edge else lookback - 1
    received = 0
    for index in range(count):
        if start <= times[index] < end and bits[index] != STALE:
            received += 1
    newest = -1
    held = 0
    for point in range(points):
        at = start + point * step
        while newest + 1 < count and times[newest + 1] <= at:
            newest += 1
        if newest < 0:
            continue
        age = at - times[newest]
        if age > oldest_allowed or bits[newest] == STALE:
            continue
        values[point] = bits[newest]
        present[point] = True
        if interval > 0 and 2 * age > 3 * interval:
            held += 1
    stats[RECEIVED] = received
    stats[EXPECTED] = count_expected(times, bits, count, interval, start, end, lookback)
    stats[HELD] = held
    stats[INTERVAL] = interval


@njit(cache=True, nogil=True)
def grid_series(
    data,
    chunk_ends,
    series_chunks,
    times,
    bits,
    start,
    step,
    lookback,
    edge,
    values,
    present,
    stats,
):
    """Decode all chunks of all series and fill the grids; returns 0, or the negative code of a broken chunk.

    ``data`` is uint8 [bytes + PADDING], ``chunk_ends`` int64 [chunks], ``series_chunks`` int64 [series], the
    number of chunks up to and with each series; ``times`` (int64) and ``bits`` (uint64) are scratch for the
    longest series. ``values`` is uint64 [series, points], ``present`` bool [series, points] and ``stats`` int64
    [series, STATS], all zero.
    """
    chunk = 0
    begin = np.int64(0)
    for series in range(series_chunks.size):
        count = np.int64(0)
        while chunk < series_chunks[series]:
            found = decode_chunk(data, begin, chunk_ends[chunk], times, bits, count)
            if found < 0:
                return found
            begin = chunk_ends[chunk]
            count += found
            chunk += 1
        if count:
            count = order_samples(times, bits, count)
            put_on_grid(
                times,
                bits,
                count,
                start,
                step,
                lookback,
                edge,
                values[series],
                present[series],
                stats[series],
            )
    return 0
