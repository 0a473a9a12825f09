"""Coverage is data: what a window should have, what the source had, and why the rest is missing, hour by hour."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from collector.grid import Grid, Samples
from collector.kernels.stats import EXPECTED, HELD, HOUR_COLUMNS, RECEIVED
from collector.scrapes import ScrapeTimes, find_scrapes, no_scrapes
from collector.up import DOWN, UP, UpSamples
from jobs.snapshot.coverage import CoverageCounter
from schemas.commit import MetricCoverage
from schemas.hours import HOUR_MS
from schemas.raw import Raw
from schemas.windows import to_ms
from tests.jobs.builders import DAY

START = to_ms(DAY)
STEP_MS = 30_000
METRIC = "DCGM_FI_DEV_GPU_UTIL"


def a_grid(hours: int = 1) -> Grid:
    return Grid(START, START + hours * HOUR_MS, STEP_MS, 300_000, lookback_includes_edge=True)


def a_source(grid: Grid, *targets: dict[str, tuple[int, int]]) -> ScrapeTimes:
    """Targets scraped every 30 s but when nobody was there (``off``), and with success but when they are ``down``."""
    lengths, times, states = [], [], []
    for number, target in enumerate(targets):
        off, down = target.get("off", (0, 0)), target.get("down", (0, 0))
        span = range(START - 900_000 + number, grid.end_ms + 900_000, STEP_MS)
        own = [at for at in span if not off[0] <= at < off[1]]
        lengths.append(len(own))
        times += own
        states += [DOWN if down[0] <= at < down[1] else UP for at in own]
    labels = [{"job": "planted", "instance": str(number)} for number in range(len(targets))]
    samples = UpSamples(
        Raw("up", labels),
        np.array(lengths, int),
        np.array(times, np.int64),
        np.array(states, np.uint8),
        shows_ends=True,
    )
    return find_scrapes(samples, grid)


def count(
    scrapes: ScrapeTimes,
    hours: Sequence[tuple[int, int, int]],
    *,
    targets: Sequence[int] = (0,),
    points: Sequence[int] | None = None,
    received: Sequence[int] | None = None,
) -> MetricCoverage:
    """Return what is counted of series with these (expected, received, held) in the hours, of these targets."""
    grid = a_grid(len(hours))
    counter = CoverageCounter(grid, scrapes)
    sums = np.zeros((len(hours), HOUR_COLUMNS), dtype=np.int64)
    sums[:, [EXPECTED, RECEIVED, HELD]] = hours
    times = np.array(
        [grid.start_ms + n * STEP_MS for n in (range(grid.points) if points is None else points)], np.int64
    )
    more = len(targets) - 1  # other series have one point each
    samples = Samples(
        np.array([len(times), *[1] * more], dtype=np.int64),
        np.concatenate([times, np.full(more, grid.start_ms)]),
        np.zeros(len(times) + more),
        sums,
        np.full(len(targets), 30_004, dtype=np.int64),
    )
    counter.add(samples, np.array(targets, dtype=np.int32))
    if received is not None:
        counter.estimate(np.array(received, dtype=np.int64))
    return counter.result(METRIC, dropped_labels=(), outside_vocabulary={})


def test_every_hour_of_a_long_window_is_counted_by_itself() -> None:
    found = count(a_source(a_grid(3), {}), [(120, 120, 0), (120, 100, 7), (120, 120, 0)])

    assert [to_ms(hour.start) for hour in found.hours] == [START, START + HOUR_MS, START + 2 * HOUR_MS]
    assert [(hour.expected, hour.received, hour.held) for hour in found.hours] == [
        (120, 120, 0),
        (120, 100, 7),
        (120, 120, 0),
    ]
    assert [hour.points for hour in found.hours] == [120, 120, 120]
    assert [hour.reason for hour in found.hours] == [None, "scrape incomplete", None]
    assert [hour.scrapes for hour in found.hours] == [120, 120, 120]
    assert (found.status, found.series, found.rows, found.interval_ms) == ("complete", 1, 360, 30_000)
    assert not any(hour.estimated for hour in found.hours)


def test_what_the_source_missed_is_its_own_fault() -> None:
    off = (START + 20 * 60_000, START + 50 * 60_000)

    hour = count(a_source(a_grid(), {"off": off}), [(120, 60, 5)]).hours[0]

    assert (hour.reason, hour.scrapes, hour.scrapes_failed, hour.scrapes_unseen) == ("source down", 120, 0, 60)


def test_a_target_that_was_down_is_named_although_nothing_is_missing() -> None:
    """Failed scrapes promise nothing, so the share is whole; without the reason the hole would be invisible."""
    down = (START + 20 * 60_000, START + 50 * 60_000)

    hour = count(a_source(a_grid(), {"down": down}), [(60, 60, 0)]).hours[0]

    assert (hour.reason, hour.scrapes, hour.scrapes_failed, hour.scrapes_unseen) == ("target down", 120, 60, 0)


def test_failed_scrapes_are_no_loss_to_up_itself() -> None:
    grid = a_grid()
    scrapes = a_source(grid, {"down": (START, START + HOUR_MS // 2)})
    counter = CoverageCounter(grid, scrapes)
    hours = np.zeros((1, HOUR_COLUMNS), dtype=np.int64)
    hours[0, [EXPECTED, RECEIVED]] = 120
    counter.add(
        Samples(np.array([120]), grid.timestamps, np.zeros(120), hours, np.array([STEP_MS])), np.zeros(1, np.int32)
    )

    reasons = [
        counter.result(metric, dropped_labels=(), outside_vocabulary={}).hours[0].reason
        for metric in ("up", "node_load1")
    ]

    assert reasons == [None, "target down"]


def test_the_reason_names_what_cost_most_samples() -> None:
    """Ten series of the target that was down for a minute, one of that which lost half its samples otherwise."""
    scrapes = a_source(a_grid(), {"down": (START, START + 60_000)}, {})

    assert count(scrapes, [(1_300, 1_290, 0)], targets=[0] * 10 + [1]).hours[0].reason == "target down"
    assert count(scrapes, [(1_300, 1_240, 0)], targets=[0] * 10 + [1]).hours[0].reason == "scrape incomplete"


def test_only_targets_of_the_metric_are_counted_and_each_once() -> None:
    scrapes = a_source(a_grid(), {}, {"down": (START, START + HOUR_MS)}, {})

    hour = count(scrapes, [(360, 360, 0)], targets=[0, 0, 2, -1]).hours[0]

    assert (hour.reason, hour.scrapes, hour.scrapes_failed) == (None, 240, 0)


@pytest.mark.parametrize(
    ("targets", "reason"),
    [
        ([{}], "target absent"),
        ([{}, {"down": (START, START + HOUR_MS)}], "target absent"),
        ([{"down": (START, START + HOUR_MS)}], "target down"),
        ([{"off": (START - 600_000, START + HOUR_MS + 600_000)}], "source down"),
        ([], "source down"),
    ],
    ids=["scraped", "some scraped", "all failed", "off", "no targets at all"],
)
def test_a_metric_without_series_says_why(targets: list[dict[str, tuple[int, int]]], reason: str) -> None:
    found = count(a_source(a_grid(), *targets), [(0, 0, 0)], targets=(-1,), points=())

    assert (found.status, found.reason, found.hours[0].reason) == ("empty", reason, reason)
    assert found.hours[0].scrapes is None


def test_an_hour_after_the_last_series_says_why_it_is_empty() -> None:
    """In the second hour its target failed throughout; in the third it succeeded, and gave the metric no more."""
    scrapes = a_source(a_grid(3), {"down": (START + HOUR_MS, START + 2 * HOUR_MS)}, {})

    found = count(scrapes, [(120, 120, 0), (0, 0, 0), (0, 0, 0)], points=range(120))

    assert [hour.reason for hour in found.hours] == [None, "target down", "target absent"]
    assert (found.status, found.reason) == ("complete", None)


def test_a_metric_without_a_single_point_is_empty_whatever_was_received() -> None:
    """A sample whose series ends before the next grid point is received, and seen by nobody."""
    found = count(a_source(a_grid(), {}), [(1, 1, 0)], points=())

    assert (found.status, found.reason, found.rows) == ("empty", "target absent", 0)


def test_where_samples_are_hidden_the_count_is_an_estimate_and_held_unknown() -> None:
    """The query API tells how many samples there are, not which grid points are old."""
    found = count(a_source(a_grid(2), {}), [(120, 0, 0), (120, 0, 0)], received=[119, 124])

    assert [(hour.expected, hour.received) for hour in found.hours] == [(120, 119), (120, 124)]
    assert all(hour.estimated and hour.held is None for hour in found.hours)
    assert [hour.reason for hour in found.hours] == ["scrape incomplete", None]


def test_an_interval_that_grid_points_hide_is_the_target_s() -> None:
    grid = a_grid()
    counter = CoverageCounter(grid, a_source(grid, {}))
    hours = np.zeros((1, HOUR_COLUMNS), dtype=np.int64)
    flat = np.repeat(grid.start_ms, 3)
    samples = Samples(np.ones(3, np.int64), flat, np.zeros(3), hours, np.zeros(3, np.int64))
    counter.add(samples, np.array([-1, 0, -1], dtype=np.int32))

    assert counter.result(METRIC, dropped_labels=(), outside_vocabulary={}).interval_ms == STEP_MS


def test_a_source_without_targets_is_counted_by_its_series() -> None:
    found = count(no_scrapes(a_grid(2)), [(8, 7, 1), (3, 3, 0)], targets=(-1,))

    assert [(hour.expected, hour.received, hour.held) for hour in found.hours] == [(8, 7, 1), (3, 3, 0)]
    assert [hour.scrapes for hour in found.hours] == [None, None]
