"""Put the samples of many series on a step grid, exactly as an instant selector would see them.

The value at grid point t is the newest sample at or before t, unless it is older than the lookback or a stale
marker (a NaN with the bits ``STALE``). In Prometheus 2.x a sample exactly one lookback old still counts, in 3.x
it does not.
"""

from typing import Final

import numpy as np

from collector.kernels.compiled import kernel
from collector.kernels.coverage import count_hours, hour_of
from collector.kernels.stats import HELD
from collector.kernels.xor import decode_chunk

STALE: Final = np.uint64(0x7FF0000000000002)
NO_ROOM: Final = -3
"""There are more samples than the caller made room for."""
_DELTAS = 33  # an odd number of gaps is enough for a median


@kernel
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


@kernel
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


@kernel
def put_on_grid(
    times, bits, count, interval, start, step, points, lookback, edge, bounds, out_times, out_bits, at, hours
):
    """Write the grid points that see a sample to ``out_times`` and ``out_bits`` from index ``at`` on.

    ``times`` (int64) and ``bits`` (uint64) are ordered; ``interval`` is the series' own, or 0. Points held for longer
    than 1.5 of it are added to ``hours``. Returns the next index.
    """
    end = start + points * step
    oldest_allowed = lookback if edge else lookback - 1
    late = 3 * interval // 2 if interval > 0 else lookback
    newest = -1
    hour = 0
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
                    hour = hour_of(bounds, hour, grid_time)
                    hours[hour, HELD] += 1
        grid_time += step
    return at


@kernel
def keep_raw(times, bits, count, start, end, out_times, out_bits, at):
    """Write the samples in ``[start, end)`` but stale markers, as they are. Returns the next index."""
    for index in range(count):
        if start <= times[index] < end and bits[index] != STALE:
            out_times[at] = times[index]
            out_bits[at] = bits[index]
            at += 1
    return at


@kernel
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
    raw,
    targets,
    offsets,
    scheduled,
    unseen,
    target_intervals,
    bounds,
    out_times,
    out_bits,
    lengths,
    intervals,
    hours,
):
    """Decode the chunks of the series ``rows``, in that order, put each on the grid, and count it.

    ``data`` is uint8 [bytes + PADDING]; ``chunk_begins`` and ``chunk_ends`` (int64 [chunks]) are places in it;
    ``first_chunks`` (int64 [series + 1]) says which chunks are a series'; ``times`` (int64) and ``bits`` (uint64)
    are scratch for the longest series. ``targets`` to ``bounds`` are a ``Schedule``. ``out_times`` and ``out_bits``
    have room for one series more than are written; ``lengths`` and ``intervals`` are int64 [rows], ``hours`` is int64
    [hours, HOUR_COLUMNS], all zero. Returns how many samples were written, or a negative code.
    """
    at = np.int64(0)
    end = start + points * step
    for place in range(rows.size):
        series = rows[place]
        count = np.int64(0)
        for chunk in range(first_chunks[series], first_chunks[series + 1]):
            found = decode_chunk(data, chunk_begins[chunk], chunk_ends[chunk], times, bits, count)
            if found < 0:
                return found
            count += found
        if not count:
            continue
        if at + (count if raw else points) > out_times.size:
            return np.int64(NO_ROOM)
        count = order_samples(times, bits, count)
        interval = median_gap(times, count)
        if raw:
            after = keep_raw(times, bits, count, start, end, out_times, out_bits, at)
        else:
            after = put_on_grid(
                times,
                bits,
                count,
                interval,
                start,
                step,
                points,
                lookback,
                edge,
                bounds,
                out_times,
                out_bits,
                at,
                hours,
            )
        lengths[place] = after - at
        intervals[place] = interval
        at = after
        target = targets[series]
        first = np.int64(0)
        last = np.int64(0)
        if target >= 0:
            first = offsets[target]
            last = offsets[target + 1]
        own = target_intervals[target] if first < last else interval
        count_hours(times, bits, count, own, scheduled, unseen, first, last, bounds, lookback, hours)
    return at
