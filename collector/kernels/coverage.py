"""Count by hours what a series had against what the scrapes of its target should have given it.

A series lives from its first sample until a stale marker, or until more than the lookback's worth of successful
scrapes went by without it. What is expected of it are the ``scheduled`` scrapes of that life: the successful ones, and
the ``unseen`` ones that the source itself missed. Only counts are compared, since a sample with a timestamp of its own
falls on no scrape. Hours are ``bounds``, int64 [hours + 1] in milliseconds; sums go to ``hours``, int64
[hours, HOUR_COLUMNS].
"""

from typing import Final

import numpy as np

from collector.kernels.compiled import kernel
from collector.kernels.stats import EXPECTED, RECEIVED

_STALE: Final = np.uint64(0x7FF0000000000002)


@kernel
def hour_of(bounds, hour, time):
    """Return the number of the hour that ``time`` is in, which is ``hour`` or a later one."""
    while time >= bounds[hour + 1]:
        hour += 1
    return hour


@kernel
def count_hours(times, bits, count, interval, scheduled, unseen, first, last, bounds, lookback, hours):
    """Add one series' RECEIVED and EXPECTED to ``hours``.

    ``times`` (int64, ms) and ``bits`` (uint64) are ordered, ``count`` long, from one lookback before the window on.
    The target's scrapes are ``scheduled[first:last]`` (int64, ms, ordered) with ``unseen`` (bool) beside them, and
    ``interval`` is the target's. No scrapes mean an unknown target: then ``interval`` is the series' own, 0 for none.
    """
    hour = 0
    for index in range(count):
        time = times[index]
        if time >= bounds[-1]:
            break
        if time >= bounds[0] and bits[index] != _STALE:
            hour = hour_of(bounds, hour, time)
            hours[hour, RECEIVED] += 1
    if first < last:
        expect_scrapes(times, bits, count, interval, scheduled, unseen, first, last, bounds, lookback, hours)
    else:
        expect_own_interval(times, bits, count, interval, bounds, lookback, hours)


@kernel
def expect_scrapes(times, bits, count, interval, scheduled, unseen, first, last, bounds, lookback, hours):
    """Add the scheduled scrapes of every life of a series to EXPECTED. Arguments as in ``count_hours``."""
    start = bounds[0]
    end = bounds[-1]
    at = first
    hour = 0
    index = 0
    while index < count and times[index] < end:
        if bits[index] == _STALE:
            index += 1
            continue
        begin = times[index]
        earlier = start - lookback
        if index == 0 and begin > start and count_seen(scheduled, unseen, first, last, earlier, begin) == 0:
            begin = start  # nobody looked before: an outage hides when it began
        until = end
        while True:
            newest = times[index]
            index += 1
            following = min(times[index], end) if index < count else end
            if following - newest > lookback:
                passed = count_seen(scheduled, unseen, first, last, newest + 1, following)
                if passed * interval > lookback:
                    until = min(newest + interval // 2 + 1, following)
                    break
            if following == end:
                break
            if bits[index] == _STALE:
                until = following
                break
        at, hour = _expect(scheduled, at, last, max(begin, start), until, bounds, hour, hours)


@kernel
def expect_own_interval(times, bits, count, interval, bounds, lookback, hours):
    """Add to EXPECTED the samples of a series and those missing by its own interval, while it lived."""
    start = bounds[0]
    end = bounds[-1]
    hour = 0
    for index in range(count):
        time = times[index]
        if time >= end:
            break
        if bits[index] == _STALE:
            continue
        if time >= start:
            hour = hour_of(bounds, hour, time)
            hours[hour, EXPECTED] += 1
        is_newest = index + 1 >= count or times[index + 1] >= end
        following = end if is_newest else times[index + 1]
        silence = following - time
        if interval <= 0 or silence > lookback:
            continue
        if is_newest:
            missing = (silence - 1) // interval
            parts = missing + 1
            silence = parts * interval
        else:
            missing = (silence + interval // 2) // interval - 1
            parts = missing + 1
        inner = hour
        for number in range(1, missing + 1):
            lost = time + number * silence // parts
            if lost >= start:
                inner = hour_of(bounds, inner, lost)
                hours[inner, EXPECTED] += 1


@kernel
def estimate_hours(lengths, timestamps, step, targets, offsets, scheduled, unseen, bounds, lookback, hours):
    """Add many series' EXPECTED to ``hours`` where only grid points are known, and no samples.

    ``lengths`` (int64 [series]) says how many of the flat ``timestamps`` (int64, ms) are a series' points; ``targets``
    (int32 [series]) is its target or -1, and then nothing is expected. A series is taken to have lived while it has
    points, from a step before the first of them, and on through a time in which its target had no successful scrape.
    """
    start = bounds[0]
    end = bounds[-1]
    begin_of = 0
    for series in range(lengths.size):
        end_of = begin_of + lengths[series]
        target = targets[series]
        if target >= 0 and lengths[series] > 0:
            first = offsets[target]
            last = offsets[target + 1]
            at = first
            hour = 0
            begin = timestamps[begin_of] - step + 1
            if count_seen(scheduled, unseen, first, last, start - lookback, begin) == 0:
                begin = start
            for place in range(begin_of, end_of):
                newest = timestamps[place]
                is_newest = place + 1 == end_of
                following = end if is_newest else timestamps[place + 1] - step + 1
                if following <= newest + 1 or (is_newest and newest + step >= end):
                    alive = True
                else:
                    alive = count_seen(scheduled, unseen, first, last, newest + 1, following) == 0
                if alive and not is_newest:
                    continue
                until = end if alive else newest + 1
                at, hour = _expect(scheduled, at, last, max(begin, start), until, bounds, hour, hours)
                begin = following
        begin_of = end_of


@kernel
def count_seen(scheduled, unseen, first, last, begin, until):
    """Return how many of ``scheduled[first:last]`` in ``[begin, until)`` somebody saw."""
    seen = 0
    at = first + np.searchsorted(scheduled[first:last], begin)
    while at < last and scheduled[at] < until:
        if not unseen[at]:
            seen += 1
        at += 1
    return seen


@kernel
def _expect(scheduled, at, last, begin, until, bounds, hour, hours):
    """Count the scheduled scrapes in ``[begin, until)``, looking from ``at`` on; returns where to look next."""
    while at < last and scheduled[at] < begin:
        at += 1
    while at < last and scheduled[at] < until:
        hour = hour_of(bounds, hour, scheduled[at])
        hours[hour, EXPECTED] += 1
        at += 1
    return at, hour
