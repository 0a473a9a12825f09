"""The counts of coverage, case by case and against a reference that asks, instant by instant, who was alive."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.kernels.coverage import count_hours, estimate_hours, hour_of
from collector.kernels.stats import EXPECTED, HELD, HOUR_COLUMNS, RECEIVED
from schemas.hours import HOUR_MS, cut_at_hours
from tests.collector.effort import FULL
from tests.collector.hostile import MINUTE, SECOND, STALE, to_bits

ONE: Final = to_bits(1.0)
START: Final = 1_000 * HOUR_MS
LOOKBACK: Final = 5 * MINUTE
INTERVAL: Final = 15 * SECOND
Samples = Sequence[tuple[int, int]]
Scrapes = Sequence[tuple[int, bool]]
"""(time, whether nobody saw it)."""


def every(interval: int, begin: int, end: int) -> list[int]:
    return list(range(begin, end, interval))


def values(times: Sequence[int]) -> list[tuple[int, int]]:
    return [(time, ONE) for time in times]


def seen(times: Sequence[int]) -> list[tuple[int, bool]]:
    return [(time, False) for time in times]


def count(
    samples: Samples, scrapes: Scrapes, *, end: int = START + HOUR_MS, start: int = START, interval: int = INTERVAL
) -> list[tuple[int, int]]:
    """Return (expected, received) of every hour, as the kernel counts them."""
    bounds = np.array(cut_at_hours(start, end), dtype=np.int64)
    hours = np.zeros((len(bounds) - 1, HOUR_COLUMNS), dtype=np.int64)
    scheduled = np.array([0, *(time for time, _ in scrapes)], dtype=np.int64)  # another target's lie before
    unseen = np.array([False, *(lost for _, lost in scrapes)], dtype=np.bool_)
    count_hours(
        np.array([time for time, _ in samples] + [0], dtype=np.int64),
        np.array([bits for _, bits in samples] + [0], dtype=np.uint64),
        len(samples),
        interval,
        scheduled,
        unseen,
        1,
        len(scheduled),
        bounds,
        LOOKBACK,
        hours,
    )
    assert not hours[:, HELD].any()
    return [(int(row[EXPECTED]), int(row[RECEIVED])) for row in hours]


SCRAPES: Final = every(INTERVAL, START - LOOKBACK + 7 * SECOND, START + HOUR_MS)
INSIDE: Final = [time for time in SCRAPES if time >= START]


def test_a_whole_series_has_all_that_is_expected() -> None:
    assert count(values(SCRAPES), seen(SCRAPES)) == [(240, 240)]


def test_samples_missing_from_good_scrapes_are_missed() -> None:
    kept = [time for number, time in enumerate(SCRAPES) if number % 4]

    expected, received = count(values(kept), seen(SCRAPES))[0]

    assert expected == 240
    assert received == len([time for time in kept if time >= START])


def test_a_series_that_is_born_and_dies_inside_is_expected_while_it_lived() -> None:
    """A pod of ten minutes has forty samples, not 240: it must not look like a loss."""
    life = INSIDE[80:120]

    assert count([*values(life), (INSIDE[120], STALE)], seen(SCRAPES)) == [(40, 40)]


def test_a_series_that_returns_is_not_expected_in_between() -> None:
    samples = [*values(INSIDE[:10]), (INSIDE[10], STALE), *values(INSIDE[200:])]

    assert count(samples, seen(SCRAPES)) == [(50, 50)]


def test_failed_scrapes_are_expected_of_nobody() -> None:
    """The target was down for twenty minutes: the series got a stale marker, and ``up`` was 0."""
    down = range(80, 160)
    scrapes = [time for number, time in enumerate(INSIDE) if number not in down]
    samples = [*values(INSIDE[:80]), (INSIDE[80], STALE), *values(INSIDE[160:])]

    assert count(samples, seen(scrapes)) == [(160, 160)]


def test_scrapes_that_nobody_made_are_expected() -> None:
    """The source was off for half an hour: no marker, no ``up``. Without this the gap would look complete."""
    lost = range(60, 180)
    scrapes = [(time, number in lost) for number, time in enumerate(INSIDE)]
    samples = values([time for number, time in enumerate(INSIDE) if number not in lost])

    assert count(samples, scrapes) == [(240, 120)]


@pytest.mark.parametrize("lost", [range(120), range(100, 240)], ids=["from before the window", "beyond its end"])
def test_an_outage_across_an_edge_is_expected_on_both_sides_of_it(lost: range) -> None:
    scrapes = [(time, number in lost) for number, time in enumerate(INSIDE)]
    samples = values([time for number, time in enumerate(INSIDE) if number not in lost])

    assert count(samples, scrapes) == [(240, 240 - len(lost))]


def test_a_series_born_by_a_scrape_that_others_came_before_is_new() -> None:
    scrapes = [(time, number in range(10, 100)) for number, time in enumerate(INSIDE)]

    assert count(values(INSIDE[100:]), scrapes) == [(140, 140)]


def test_silence_beyond_the_lookback_without_a_marker_is_an_end() -> None:
    """Series with timestamps of their own get no stale marker; five minutes of scrapes without them end them."""
    assert count(values(INSIDE[:100]), seen(SCRAPES)) == [(100, 100)]
    assert count([*values(INSIDE[:100]), *values(INSIDE[150:])], seen(SCRAPES)) == [(190, 190)]


def test_silence_within_the_lookback_is_a_loss() -> None:
    assert count([*values(INSIDE[:100]), *values(INSIDE[120:])], seen(SCRAPES)) == [(240, 220)]
    assert count(values(INSIDE[:225]), seen(SCRAPES)) == [(240, 225)]


def test_own_timestamps_are_counted_never_matched() -> None:
    own = [time - 4 * SECOND - number % 3 * SECOND for number, time in enumerate(SCRAPES)]

    assert count(values(own), seen(SCRAPES)) == [(240, 240)]


def test_more_than_expected_is_said() -> None:
    """A target that sends several samples in one scrape gives more than one for each: nothing is clipped."""
    assert count(values(every(5 * SECOND, START, START + HOUR_MS)), seen(SCRAPES)) == [(240, 720)]


@pytest.mark.parametrize("offset", [0, 1, HOUR_MS // 2], ids=["on the hour", "a millisecond later", "in between"])
def test_a_sample_on_the_full_hour_belongs_to_the_hour_that_begins(offset: int) -> None:
    times = every(INTERVAL, START - LOOKBACK + offset % INTERVAL, START + 3 * HOUR_MS)

    found = count(values(times), seen(times), end=START + 3 * HOUR_MS)

    assert found == [(240, 240)] * 3


def test_a_window_within_an_hour_is_one_piece_and_one_across_it_two() -> None:
    times = every(INTERVAL, START, START + 2 * HOUR_MS)
    samples, scrapes = values(times), seen(times)

    assert count(samples, scrapes, start=START + 15 * MINUTE, end=START + 30 * MINUTE) == [(60, 60)]
    assert count(samples, scrapes, start=START + 45 * MINUTE, end=START + 90 * MINUTE) == [(60, 60), (120, 120)]


def test_targets_of_other_intervals_expect_others() -> None:
    for interval in (10 * SECOND, 30 * SECOND, 60 * SECOND):
        times = every(interval, START - LOOKBACK, START + HOUR_MS)
        assert count(values(times), seen(times), interval=interval) == [(HOUR_MS // interval,) * 2]


def test_an_unknown_target_leaves_the_series_its_own_interval() -> None:
    """What rules make has no scrapes: gaps up to the lookback are missed, longer ones are ends."""
    holes = [time for number, time in enumerate(INSIDE) if number not in (50, 51, 52, *range(100, 150))]

    assert count(values(SCRAPES), []) == [(240, 240)]
    assert count(values(holes), []) == [(190, 187)]
    assert count(values(INSIDE[:230]), []) == [(240, 230)]
    assert count([(INSIDE[5], ONE)], [], interval=0) == [(1, 1)]


def test_nothing_is_expected_of_nothing() -> None:
    assert count([], seen(SCRAPES)) == [(0, 0)]
    assert count([], []) == [(0, 0)]
    assert count([(START - 1, STALE)], seen(SCRAPES)) == [(0, 0)]


def test_the_hour_of_an_instant_is_found_from_an_earlier_one() -> None:
    bounds = np.array(cut_at_hours(START, START + 3 * HOUR_MS), dtype=np.int64)

    assert [hour_of(bounds, 0, START + n) for n in (0, HOUR_MS - 1, HOUR_MS, 3 * HOUR_MS - 1)] == [0, 0, 1, 2]
    assert hour_of(bounds, 2, START + 2 * HOUR_MS) == 2


def reference(samples: Samples, scrapes: Scrapes, bounds: Sequence[int], interval: int) -> list[tuple[int, int]]:
    """Return (expected, received) of every hour from the definition: is the series alive at this scrape?"""
    start, end = bounds[0], bounds[-1]
    samples = [(time, bits) for time, bits in samples if time < end]

    def passed(begin: int, until: int) -> int:
        return sum(begin <= time < until and not lost for time, lost in scrapes)

    def alive(at: int) -> bool:
        before = [sample for sample in samples if sample[0] <= at]
        after = min([time for time, _ in samples if time > at], default=end)
        if not before:
            begun = samples[0] if samples else (end, STALE)
            return begun[1] != STALE and begun[0] > start and passed(start - LOOKBACK, begun[0]) == 0
        newest, bits = before[-1]
        if bits == STALE:
            return False
        silent = after - newest > LOOKBACK and passed(newest + 1, after) * interval > LOOKBACK
        return not silent or at <= newest + interval // 2

    due: list[int] = []
    if scrapes:
        due = [time for time, _ in scrapes if start <= time < end and alive(time)]
    else:
        living = [time for time, bits in samples if bits != STALE]
        due = [time for time in living if time >= start]
        for (begin, bits), (until, _) in pairwise([*samples, (end, 0)]):
            if bits == STALE or until - begin > LOOKBACK or not interval:
                continue
            if until == end:
                due += [time for time in range(begin + interval, end, interval) if time >= start]
            else:
                parts = (until - begin + interval // 2) // interval
                between = [begin + part * (until - begin) // parts for part in range(1, parts)]
                due += [time for time in between if time >= start]
    got = [time for time, bits in samples if start <= time < end and bits != STALE]
    return [(sum(a <= t < b for t in due), sum(a <= t < b for t in got)) for a, b in pairwise(bounds)]


@given(seed=st.integers(0, 2**32 - 1))
@settings(
    max_examples=3_000 if FULL else 300,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_drawn_series_are_counted_as_the_definition_says(seed: int) -> None:
    """Markers, jitter, outages, own timestamps, edges: two ways to say one thing agree."""
    rng = random.Random(seed)
    start = START + rng.choice([0, 0, 20 * MINUTE, 45 * MINUTE])
    end = start + rng.choice([5 * MINUTE, 30 * MINUTE, HOUR_MS, 3 * HOUR_MS])
    interval = rng.choice([10 * SECOND, 30 * SECOND, 61 * SECOND, 7 * MINUTE])
    jitter = rng.choice([0, 0, 5, 900])
    times = [t + rng.randint(0, jitter) for t in range(start - 2 * LOOKBACK, end, interval)]
    holes = [(at, at + rng.choice([2, 10, 40]) * MINUTE) for at in rng.sample(range(start - LOOKBACK, end), 3)]
    down, lost, silent = (holes[n : n + 1] if rng.random() < 0.6 else [] for n in range(3))

    def within(spans: Sequence[tuple[int, int]], at: int) -> bool:
        return any(a <= at < b for a, b in spans)

    scrapes = [(t, within(lost, t)) for t in times if t >= start - LOOKBACK and not within(down, t)]
    lag = rng.choice([0, 0, 0, 3 * SECOND])
    born = rng.choice([times[0], rng.choice(times), start, start - LOOKBACK])
    samples = []
    for t in times:
        if t >= born and not within(lost, t) and not within(silent, t) and rng.random() < 0.95:
            stale = within(down, t) or rng.random() < rng.choice([0.0, 0.02])
            samples.append((t - lag, STALE if stale else ONE))
    samples = [sample for sample in samples if sample[0] >= start - LOOKBACK]
    known = rng.random() < 0.7

    found = count(samples, scrapes if known else [], start=start, end=end, interval=interval)

    assert found == reference(samples, scrapes if known else [], cut_at_hours(start, end), interval)


def estimate(points: Sequence[int], scrapes: Scrapes, *, step: int, end: int = START + HOUR_MS) -> list[int]:
    """Return what is expected, by hours, of a series by its grid points; it is there twice, among others."""
    bounds = np.array(cut_at_hours(START, end), dtype=np.int64)
    hours = np.zeros((len(bounds) - 1, HOUR_COLUMNS), dtype=np.int64)
    estimate_hours(
        np.array([len(points), 1, 0, len(points)], dtype=np.int64),
        np.array([*points, START, *points], dtype=np.int64),
        step,
        np.array([1, -1, 1, 1], dtype=np.int32),
        np.array([0, 1, 1 + len(scrapes)], dtype=np.int64),
        np.array([START, *(time for time, _ in scrapes)], dtype=np.int64),
        np.array([False, *(lost for _, lost in scrapes)], dtype=np.bool_),
        bounds,
        LOOKBACK,
        hours,
    )
    assert not hours[:, [RECEIVED, HELD]].any()
    assert not (hours[:, EXPECTED] % 2).any()
    return [int(each) // 2 for each in hours[:, EXPECTED]]


def on_grid(samples: Samples, *, step: int, end: int = START + HOUR_MS) -> list[int]:
    """Return the grid points at which the series has a value: the rule of an instant selector, in plain Python."""
    found = []
    for at in range(START, end, step):
        newest = max(((time, bits) for time, bits in samples if time <= at), default=None)
        if newest and newest[1] != STALE and at - newest[0] <= LOOKBACK:
            found.append(at)
    return found


@pytest.mark.parametrize("step", [15 * SECOND, 30 * SECOND, 60 * SECOND])
@pytest.mark.parametrize(
    ("samples", "scrapes"),
    [
        (values(SCRAPES), seen(SCRAPES)),
        ([*values(INSIDE[80:120]), (INSIDE[120], STALE)], seen(SCRAPES)),
        ([*values(INSIDE[:10]), (INSIDE[10], STALE), *values(INSIDE[200:])], seen(SCRAPES)),
        (
            values([time for number, time in enumerate(SCRAPES) if number not in range(80, 180)]),
            [(time, number in range(80, 180)) for number, time in enumerate(SCRAPES)],
        ),
        (
            values(INSIDE[120:]),
            [(time, time < INSIDE[120]) for time in SCRAPES],
        ),
        (values(SCRAPES[:150]), [(time, number >= 150) for number, time in enumerate(SCRAPES)]),
    ],
    ids=["whole", "born and died", "stale and back", "outage", "outage before", "outage to the end"],
)
def test_grid_points_tell_nearly_what_samples_tell(samples: Samples, scrapes: Scrapes, step: int) -> None:
    """Where samples are hidden, the count may be off by a step at each birth and death, and by no more."""
    exact = count(samples, scrapes)[0][0]

    estimated = estimate(on_grid(samples, step=step), scrapes, step=step)[0]

    assert abs(estimated - exact) <= 2 * max(1, step // INTERVAL)


def test_estimates_are_made_by_hours() -> None:
    end = START + 3 * HOUR_MS
    times = every(INTERVAL, START - LOOKBACK, end)

    found = estimate(every(30 * SECOND, START, end), seen(times), step=30 * SECOND, end=end)

    assert found == [240, 240, 240]
