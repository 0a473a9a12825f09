"""From raw samples of ``up`` to the scrapes of each target, those included that nobody saw. Pure arrays.

A scrape leaves one sample of ``up``: 1 when it succeeded, 0 when it failed. A target ends with a stale marker. Where
its samples pause without one, the source itself was down; what it missed is placed evenly into the pause.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from collector.grid import Grid
from collector.labels import RawLabels
from schemas.raw import Raw, open_raw

UP: Final = 1
DOWN: Final = 0
GONE: Final = 2
"""States of a sample of ``up``; gone is its stale marker."""

Ints = npt.NDArray[np.int64]
_States = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class UpSamples:
    """Raw samples of ``up``, series after series: ``times`` (int64, ms) and ``states`` (uint8) are flat."""

    labels: RawLabels
    lengths: Ints
    times: Ints = field(repr=False)
    states: _States = field(repr=False)
    shows_ends: bool
    """Whether stale markers are among them: the query API hides these."""


@dataclass(frozen=True, slots=True)
class Targets:
    """The targets of a source, and their samples, flat and in order of owner and time.

    ``owners`` (int64) says whose each is. ``intervals`` (int64 [targets], ms) is the median gap; 0 for a target that
    was scraped once.
    """

    labels: RawLabels
    intervals: Ints
    owners: Ints = field(repr=False)
    times: Ints = field(repr=False)
    states: _States = field(repr=False)


def up_span(grid: Grid) -> tuple[int, int]:
    """Return ``[begin, until)`` in milliseconds: what must be known of ``up`` to judge the scrapes of a window.

    It begins two lookbacks before the window: samples matter from one on, and their target from before that.
    """
    return grid.start_ms - 2 * grid.lookback_ms, grid.end_ms + grid.lookback_ms


def find_targets(samples: UpSamples, grid: Grid, *, ignored: Collection[str]) -> Targets:
    """Return every target with its samples; ``ignored`` are the labels that a server or a replica adds."""
    begin, until = up_span(grid)
    ends = np.cumsum(samples.lengths)
    best: dict[tuple[tuple[str, str], ...], int] = {}
    for number, given in enumerate(open_raw(samples.labels)):
        kept = tuple(sorted((name, v) for name, v in given.items() if name != "__name__" and name not in ignored))
        known = best.setdefault(kept, number)
        if samples.lengths[number] > samples.lengths[known]:  # of replicas the one that saw most
            best[kept] = number
    pieces = [np.arange(ends[number] - samples.lengths[number], ends[number]) for number in best.values()]
    at = np.concatenate(pieces) if pieces else np.empty(0, np.int64)
    owners = np.repeat(np.arange(len(best)), [len(piece) for piece in pieces])
    inside = (samples.times[at] >= begin) & (samples.times[at] < until)
    at, owners = at[inside], owners[inside]
    times, states = samples.times[at], samples.states[at]
    intervals = _median_gaps(owners, times, states, len(best))
    if not samples.shows_ends:
        owners, times, states = _add_ends(owners, times, states, intervals, until)
    return Targets(Raw("target", [dict(key) for key in best]), intervals, owners, times, states)


def find_unseen(targets: Targets, grid: Grid) -> tuple[Ints, Ints]:
    """Return (owners, times) of the scrapes that the source missed, up to the end of the window."""
    owners, times, states = targets.owners, targets.times, targets.states
    if not len(times):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    begin, until = up_span(grid)
    interval = np.maximum(targets.intervals[owners], 1)
    lives = (targets.intervals[owners] > 0) & (states != GONE)
    is_last = np.append(owners[1:] != owners[:-1], True)
    is_first = np.append(True, is_last[:-1])
    gap = np.append(np.diff(times), 0)
    between = np.where(lives & ~is_last, (gap + interval // 2) // interval - 1, 0)
    fell_silent = lives & is_last & (2 * (until - times) >= 3 * interval)
    behind = np.where(fell_silent, np.maximum(grid.end_ms - times - 1, 0) // interval, 0)
    # a source is older than any window that is due: when all its targets begin at once, it was down before
    sighted = times.min()
    came_back = lives & is_first & (2 * (sighted - begin) >= 3 * interval) & (2 * (times - sighted) <= 3 * interval)
    before = np.where(came_back, (times - begin) // interval, 0)
    found = (
        _spread(owners, between, times, gap, between + 1),
        _spread(owners, behind, times, interval, np.ones_like(interval)),
        _spread(owners, before, times - (before + 1) * interval, interval, np.ones_like(interval)),
    )
    return np.concatenate([part[0] for part in found]), np.concatenate([part[1] for part in found])


def _spread(owners: Ints, counts: Ints, firsts: Ints, widths: Ints, parts: Ints) -> tuple[Ints, Ints]:
    """Return (owners, times) of ``counts`` instants behind each of ``firsts``, ``widths / parts`` from one another."""
    counts = np.maximum(counts, 0)
    rows = np.repeat(np.arange(len(counts)), counts)
    number = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts) + 1
    return owners[rows], firsts[rows] + number * widths[rows] // parts[rows]


def _median_gaps(owners: Ints, times: Ints, states: _States, targets: int) -> Ints:
    paired = (owners[1:] == owners[:-1]) & (states[:-1] != GONE)
    gaps, of = np.diff(times)[paired], owners[1:][paired]
    gaps = gaps[np.lexsort((gaps, of))]
    counts = np.bincount(of, minlength=targets)
    medians = np.zeros(targets, dtype=np.int64)
    has_gaps = counts > 0
    medians[has_gaps] = gaps[(np.cumsum(counts) - counts + counts // 2)[has_gaps]]
    return medians


def _add_ends(owners: Ints, times: Ints, states: _States, intervals: Ints, until: int) -> tuple[Ints, Ints, _States]:
    """Let a target end where it falls silent while the source goes on scraping others."""
    if not len(times):
        return owners, times, states
    interval = intervals[owners]
    is_last = np.append(owners[1:] != owners[:-1], True)
    following = np.where(is_last, until + interval, np.append(times[1:], until))
    everything = np.sort(times)
    # who was scraped just before an outage began or just after it ended says nothing about it
    others = np.searchsorted(everything, following - interval) - np.searchsorted(everything, times + interval, "right")
    ended = (following - times > interval) & (others > 0)
    owners = np.concatenate((owners, owners[ended]))
    times = np.concatenate((times, times[ended] + 1))  # behind the sample that was the last
    states = np.concatenate((states, np.full(np.count_nonzero(ended), GONE, dtype=np.uint8)))
    order = np.lexsort((times, owners))
    return owners[order], times[order], states[order]
