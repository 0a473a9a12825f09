"""Put series of native histograms on a step grid, together with the floats that the same series may have.

Chunks are decoded twice: ``survey_series`` finds the times, so that the grid chooses the samples that are wanted, and
``write_samples`` writes these. The grid is that of ``collector.kernels.grid``: the sample at grid point t is the newest
at or before t, of either kind, unless it is older than the lookback or a stale marker. Coverage is counted by
``collector.kernels.coverage``.
"""

from typing import Final

import numpy as np

from collector.kernels.compiled import kernel
from collector.kernels.coverage import count_hours, hour_of
from collector.kernels.grid import STALE, median_gap, order_samples
from collector.kernels.histogram import FLOAT, INTEGER, decode_histograms
from collector.kernels.histogram_layout import UNKNOWN_TYPE
from collector.kernels.stats import EXPECTED, RECEIVED
from collector.kernels.xor import decode_chunk

XOR: Final = 1


@kernel
def survey_series(
    data,
    chunk_begins,
    chunk_ends,
    kinds,
    first_chunks,
    scratch,
    no_rows,
    start,
    step,
    points,
    lookback,
    edge,
    raw,
    times,
    codes,
    bits,
    first_samples,
    layouts,
    counts,
    skipped,
    row_times,
    row_codes,
    sampled,
    lengths,
):
    """Find which sample, histogram or float, each series has at each grid point.

    ``data`` is uint8 [bytes + PADDING]; ``chunk_begins``, ``chunk_ends`` and ``kinds`` are int64 [chunks], and
    ``first_chunks`` (int64 [series + 1]) says which chunks are a series'. Samples are numbered in the order of the
    chunks, and a series' begin at its first chunk's entry of ``first_samples`` (int64 [chunks]). There ``times``
    (int64, ms) and ``codes`` (uint64) are filled with its samples by time, ``counts`` (int64 [series]) of them: twice
    a sample's number, and one more for a histogram; or STALE. ``bits`` (uint64) takes the floats by their numbers,
    ``layouts`` (int64 [chunks, LAYOUT]) those of histograms' chunks, ``skipped`` (int64 [series], zero) the code of a
    series in an unknown form, which has no samples. ``row_times``, ``row_codes`` and ``sampled`` (the time of the
    sample itself) have room for the ``points`` of each series or, ``raw``, all samples; ``lengths`` (int64 [series])
    says how many it has. Returns how many rows there are, or the negative code of a broken chunk.
    """
    at = np.int64(0)
    row = np.int64(0)
    for series in range(first_chunks.size - 1):
        first = at
        for chunk in range(first_chunks[series], first_chunks[series + 1]):
            first_samples[chunk] = at
            begin = chunk_begins[chunk]
            end = chunk_ends[chunk]
            kind = kinds[chunk]
            if kind == XOR:
                found = np.int64(decode_chunk(data, begin, end, times, bits, at))
                for sample in range(at, at + found):
                    codes[sample] = STALE if bits[sample] == STALE else np.uint64(2 * sample)
            elif kind in (INTEGER, FLOAT):
                found = decode_histograms(data, begin, end, kind, layouts[chunk], scratch, times, codes, at, no_rows)
            else:
                found = np.int64(UNKNOWN_TYPE)
            if found <= UNKNOWN_TYPE:
                skipped[series] = found
                break
            if found < 0:
                return found
            at += found
        if skipped[series]:
            at = first
            first_samples[first_chunks[series] : first_chunks[series + 1]] = first
        count = order_samples(times[first:at], codes[first:at], at - first)
        after = choose_samples(
            times[first:at],
            codes[first:at],
            count,
            start,
            step,
            points,
            lookback if edge else lookback - 1,
            raw,
            row_times,
            row_codes,
            sampled,
            row,
        )
        counts[series] = count
        lengths[series] = after - row
        row = after
    return row


@kernel
def choose_samples(times, codes, count, start, step, points, oldest, raw, row_times, row_codes, sampled, row):
    """Write the grid points that see a sample no more than ``oldest`` ms old, from ``row`` on; return the next row.

    With ``raw``, write the samples within the window instead, as they are.
    """
    if raw:
        for index in range(count):
            if start <= times[index] < start + step * points and codes[index] != STALE:
                row_times[row] = sampled[row] = times[index]
                row_codes[row] = codes[index]
                row += 1
        return row
    newest = np.int64(-1)
    for point in range(points):
        at = start + point * step
        while newest + 1 < count and times[newest + 1] <= at:
            newest += 1
        if newest >= 0 and times[newest] >= at - oldest and codes[newest] != STALE:
            row_times[row] = at
            row_codes[row] = codes[newest]
            sampled[row] = times[newest]
            row += 1
    return row


@kernel
def count_survey(
    times,
    codes,
    starts,
    counts,
    targets,
    offsets,
    scheduled,
    unseen,
    target_intervals,
    bounds,
    lookback,
    intervals,
    hours,
    float_hours,
):
    """Count what was surveyed, and find each series' own interval, as ``collector.kernels.grid`` does for floats.

    A series' samples are ``counts[series]`` of ``times`` and ``codes`` from ``starts[series]`` on; ``targets`` to
    ``bounds`` are a ``Schedule``. Fills ``intervals`` (int64 [series]). ``hours`` and ``float_hours`` are int64
    [hours, HOUR_COLUMNS], zero: of a series with both kinds, the floats received are expected as such, all else is
    the histograms'.
    """
    for series in range(counts.size):
        count = counts[series]
        if count == 0:
            continue
        own_times = times[starts[series] : starts[series] + count]
        own_codes = codes[starts[series] : starts[series] + count]
        intervals[series] = median_gap(own_times, count)
        first = np.int64(0)
        last = np.int64(0)
        interval = intervals[series]
        if targets[series] >= 0:
            first = offsets[targets[series]]
            last = offsets[targets[series] + 1]
            if first < last:
                interval = target_intervals[targets[series]]
        count_hours(own_times, own_codes, count, interval, scheduled, unseen, first, last, bounds, lookback, hours)
        hour = 0
        for index in range(count):
            time = own_times[index]
            if own_codes[index] & np.uint64(1) == 0 and own_codes[index] != STALE and bounds[0] <= time < bounds[-1]:
                hour = hour_of(bounds, hour, time)
                float_hours[hour, RECEIVED] += 1
                float_hours[hour, EXPECTED] += 1
    for hour in range(bounds.size - 1):
        hours[hour, RECEIVED] -= float_hours[hour, RECEIVED]
        hours[hour, EXPECTED] = max(0, hours[hour, EXPECTED] - float_hours[hour, EXPECTED])


@kernel
def write_samples(data, chunk_begins, chunk_ends, kinds, chunks, first_samples, layout, scratch, times, codes, rows):
    """Decode ``chunks`` again and write what ``rows`` asks for; returns 0, or a negative code.

    ``times`` and ``codes`` stay as they are.
    """
    for chunk in chunks:
        found = decode_histograms(
            data,
            chunk_begins[chunk],
            chunk_ends[chunk],
            kinds[chunk],
            layout,
            scratch,
            times,
            codes,
            first_samples[chunk],
            rows,
        )
        if found < 0:
            return found
    return np.int64(0)
