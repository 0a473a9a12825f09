"""What the scrapes of a window promise: their times, by target, and which series is whose."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from collector.grid import Grid, Schedule
from collector.labels import LabelSets, RawLabels
from collector.up import DOWN, UP, Ints, UpSamples, find_targets, find_unseen
from schemas.hours import cut_at_hours
from schemas.raw import Raw, open_raw

SUCCEEDED: Final = 0
FAILED: Final = 1
UNSEEN: Final = 2
"""Columns of ``ScrapeTimes.counts``; unseen scrapes are those that the source itself missed."""

RULE_MADE: Final = frozenset({"ALERTS", "ALERTS_FOR_STATE"})
"""Made by rules, not scraped: their ``job`` and ``instance`` say what an alert is about."""

SCRAPE_MADE: Final = frozenset(
    {
        "up",
        "scrape_body_size_bytes",
        "scrape_duration_seconds",
        "scrape_sample_limit",
        "scrape_samples_post_metric_relabeling",
        "scrape_samples_scraped",
        "scrape_series_added",
        "scrape_timeout_seconds",
    }
)
"""Made by every scrape, one that fails included."""

_TARGET: Final = ("job", "instance")


@dataclass(frozen=True, slots=True)
class ScrapeTimes:
    """The scrapes of every target of a source in one window.

    Those of target n from which samples are expected are ``scheduled[offsets[n]:offsets[n + 1]]``, ordered, from one
    lookback before the window on (int64, ms), with ``unseen`` (bool) beside them. ``intervals`` (int64 [targets], ms)
    is 0 for a target that was scraped once. ``counts`` (int64 [targets, hours, 3]) has SUCCEEDED, FAILED and UNSEEN
    within the window, by the hours between ``bounds`` (int64 [hours + 1], ms). ``failed`` (int64, ms) are the failed
    scrapes and ``failed_of`` (int64) their targets. ``labels`` are those of the targets.
    """

    bounds: Ints
    scheduled: Ints = field(repr=False)
    unseen: npt.NDArray[np.bool_] = field(repr=False)
    offsets: Ints = field(repr=False)
    intervals: Ints = field(repr=False)
    counts: Ints = field(repr=False)
    failed: Ints = field(repr=False)
    failed_of: Ints = field(repr=False)
    labels: RawLabels

    @property
    def targets(self) -> int:
        """How many there are."""
        return len(self.intervals)


def find_scrapes(samples: UpSamples, grid: Grid, *, ignored: Collection[str] = ()) -> ScrapeTimes:
    """Return the scrapes of a window from samples of ``up``. Pure."""
    targets = find_targets(samples, grid, ignored=ignored)
    lost_owners, lost_times = find_unseen(targets, grid)
    bounds = np.array(cut_at_hours(grid.start_ms, grid.end_ms), dtype=np.int64)
    succeeded, failed = targets.states == UP, targets.states == DOWN
    begin = grid.start_ms - grid.lookback_ms
    inside = (targets.times >= begin) & (targets.times < grid.end_ms)
    count = len(targets.labels)
    counts = (
        _count(targets.owners[succeeded], targets.times[succeeded], count, bounds),
        _count(targets.owners[failed], targets.times[failed], count, bounds),
        _count(lost_owners, lost_times, count, bounds),
    )
    owners = np.concatenate((targets.owners[succeeded], lost_owners))
    times = np.concatenate((targets.times[succeeded], lost_times))
    unseen = np.arange(len(times)) >= np.count_nonzero(succeeded)
    order = np.lexsort((times, owners))
    order = order[(times[order] >= begin) & (times[order] < grid.end_ms)]
    return ScrapeTimes(
        bounds,
        times[order],
        unseen[order],
        np.searchsorted(owners[order], np.arange(count + 1)),
        targets.intervals,
        np.stack(counts, axis=-1),
        targets.times[failed & inside],
        targets.owners[failed & inside],
        targets.labels,
    )


def make_schedule(labels: LabelSets, scrapes: ScrapeTimes, *, metric: str = "") -> Schedule:
    """Return when the series of a block of ``metric`` should have been scraped."""
    targets = target_indices(labels, scrapes, metric=metric)
    times, unseen, offsets = scrapes.scheduled, scrapes.unseen, scrapes.offsets
    if metric in SCRAPE_MADE and len(scrapes.failed):
        owners = np.concatenate((np.repeat(np.arange(scrapes.targets), np.diff(offsets)), scrapes.failed_of))
        times = np.concatenate((times, scrapes.failed))
        order = np.lexsort((times, owners))
        times = times[order]
        unseen = np.append(unseen, np.zeros(len(scrapes.failed), dtype=np.bool_))[order]
        offsets = np.searchsorted(owners[order], np.arange(scrapes.targets + 1))
    return Schedule(targets, offsets, times, unseen, scrapes.intervals, scrapes.bounds)


def no_scrapes(grid: Grid) -> ScrapeTimes:
    """Return the scrapes of a source of which nothing is known: each series' own interval says what is expected."""
    none = np.empty(0, dtype=np.int64)
    return find_scrapes(UpSamples(Raw("up", ()), none, none, none.astype(np.uint8), shows_ends=True), grid)


def target_indices(labels: LabelSets, scrapes: ScrapeTimes, *, metric: str = "") -> npt.NDArray[np.int32]:
    """Return the number of each series' target, -1 where it is not known: int32 [series].

    A target is known by ``job`` and ``instance``. Where several share both, as the endpoints of one kubelet do, the
    labels in which their ``up`` differs decide; a series that fits none of them is nobody's.
    """
    found = np.full(len(labels), -1, dtype=np.int32)
    if metric in RULE_MADE or not len(labels) or not scrapes.targets:
        return found
    known = open_raw(scrapes.labels)
    rivals: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, target in enumerate(known):
        rivals[tuple(target.get(name, "") for name in _TARGET)].append(number)
    deciding = {key: _differing_labels([known[each] for each in group]) for key, group in rivals.items()}
    names = (*_TARGET, *sorted(set().union(*deciding.values())))
    columns = labels.columns()
    codes = [columns[name][0] if name in columns else np.full(len(labels), -1, np.int32) for name in names]
    values = [
        [*open_raw(columns[name][1]), ""] if name in columns else [""] for name in names
    ]  # code -1, none, is the last
    kinds, kind_of = np.unique(np.stack(codes, axis=1), axis=0, return_inverse=True)
    resolved = np.full(len(kinds), -1, dtype=np.int32)
    for number, kind in enumerate(kinds.tolist()):
        series = {name: values[at][code] for at, (name, code) in enumerate(zip(names, kind, strict=True))}
        key = tuple(series[name] for name in _TARGET)
        for rival in rivals.get(key, ()):
            if all(known[rival].get(name, "") == series[name] for name in deciding[key]):
                resolved[number] = rival
    found[:] = resolved[kind_of.reshape(-1)]
    return found


def _differing_labels(targets: Sequence[Mapping[str, str]]) -> set[str]:
    names = {name for target in targets for name in target}
    return {name for name in names if len({target.get(name, "") for target in targets}) > 1}


def _count(owners: Ints, times: Ints, targets: int, bounds: Ints) -> Ints:
    """Return how many instants each target has in each hour: int64 [targets, hours]."""
    hours = len(bounds) - 1
    inside = (times >= bounds[0]) & (times < bounds[-1])
    hour = np.searchsorted(bounds, times[inside], "right") - 1
    return np.bincount(owners[inside] * hours + hour, minlength=targets * hours).reshape(targets, hours)
