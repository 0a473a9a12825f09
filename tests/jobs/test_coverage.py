"""Coverage is data: counted by hours, with reasons, windows that nobody collected included."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from collector.grid import Grid, Samples
from collector.kernels.stats import EXPECTED, HELD, HOUR_COLUMNS, RECEIVED
from collector.scrapes import ScrapeTimes, find_scrapes, no_scrapes
from collector.up import DOWN, UP, UpSamples
from jobs.release.card import merge_gaps, render_card
from jobs.release.coverage import CoverageRow, ReleaseCoverage, cover_release
from jobs.release.facts import Gap, HourFacts
from jobs.release.picture import draw_coverage
from jobs.snapshot.coverage import CoverageCounter
from schemas.arrow import COVERAGE_SCHEMA
from schemas.commit import CommitRecord, HourCoverage, MetricCoverage, ReadInfo, Span
from schemas.coverage import REASONS
from schemas.hours import HOUR_MS, cut_at_hours
from schemas.raw import Raw
from schemas.windows import Window, from_ms, to_ms
from tests.jobs.builders import DAY, HOUR, a_gpu_schema, a_metric_facts, a_release_facts, a_table_facts

ROOT = Path(__file__).parents[2]
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


def test_a_commit_of_format_1_0_is_still_read() -> None:
    """Staged windows are never written again: a year of them must stay readable."""
    hour = TypeAdapter(HourCoverage).validate_json(
        '{"start": "2026-11-01T00:00:00Z", "expected": 120, "received": 119, "held": 0, "points": 120}'
    )

    assert (hour.estimated, hour.reason, hour.scrapes) == (False, None, None)
    assert a_commit(DAY, a_metric(hour)).format_version == "1.3"


def an_hour(start: datetime, expected: int, received: int | None = None, **more: Any) -> HourCoverage:  # noqa: ANN401
    got = expected if received is None else received
    return HourCoverage(start=start, expected=expected, received=got, **{"held": 0, "points": got, **more})


def a_metric(*hours: HourCoverage, **more: Any) -> MetricCoverage:  # noqa: ANN401 - any field
    return MetricCoverage(metric=METRIC, hours=hours, **{"status": "complete", **more})


def a_commit(start: datetime, *metrics: MetricCoverage, width: timedelta = HOUR) -> CommitRecord:
    return CommitRecord(
        run="0",
        source="made-up",
        source_token="src_aaaaaaaaaaaaaaaa",
        provenance="simulated",
        table="gpu",
        schema_version="2.1",
        schema_digest="sha256:0",
        window=Span(start=start, end=start + width),
        files=(),
        key_id="k_0",
        policy="default",
        policy_digest="sha256:0",
        read=ReadInfo(path="remote-read", server_version="2.42", lookback_ms=300_000, lookback_includes_edge=True),
        coverage=metrics,
        created=start + 2 * HOUR,
    )


def cover(*commits: CommitRecord, hours: int, width: timedelta = HOUR) -> ReleaseCoverage:
    return cover_release(
        commits, [a_gpu_schema()], Window(DAY, DAY + hours * HOUR), width, token="src_aaaaaaaaaaaaaaaa"
    )


def told(rows: Sequence[CoverageRow]) -> list[tuple[Any, ...]]:
    return [((from_ms(r.hour) - DAY) // HOUR, r.expected, r.received, r.status, r.reason, r.estimated) for r in rows]


def test_hours_of_commits_are_rows_of_the_release() -> None:
    hour = an_hour(DAY, 120, 60, reason="source down", scrapes=120, scrapes_failed=0, scrapes_unseen=60, held=8)

    coverage = cover(a_commit(DAY, a_metric(hour)), hours=1)

    table = coverage.to_table()
    assert table.schema == COVERAGE_SCHEMA
    assert [field.name for field in fields(CoverageRow)] == COVERAGE_SCHEMA.names
    assert table.to_pylist() == [
        {
            "source": "src_aaaaaaaaaaaaaaaa",
            "table": "gpu",
            "metric": METRIC,
            "hour": DAY,
            "expected": 120,
            "received": 60,
            "points": 60,
            "held": 8,
            "status": "complete",
            "reason": "source down",
            "estimated": False,
            "scrapes": 120,
            "scrapes_failed": 0,
            "scrapes_unseen": 60,
        }
    ]
    assert coverage.gaps == ()


def test_windows_of_less_than_an_hour_are_summed() -> None:
    quarter = timedelta(minutes=15)
    pieces = [
        an_hour(DAY + n * quarter, 30, 30 - n, held=n, scrapes=30, reason="scrape incomplete" if n else None)
        for n in range(4)
    ]

    coverage = cover(
        *(a_commit(piece.start, a_metric(piece), width=quarter) for piece in pieces), hours=1, width=quarter
    )

    assert told(coverage.rows) == [(0, 120, 114, "complete", "scrape incomplete", False)]
    assert [(row.held, row.scrapes, row.scrapes_failed) for row in coverage.rows] == [(6, 120, None)]


def test_windows_that_nobody_collected_count_as_missing() -> None:
    """Otherwise a release with half its windows could claim to be complete."""
    commits = [a_commit(DAY + n * HOUR, a_metric(an_hour(DAY + n * HOUR, 100 + 40 * n))) for n in (0, 3)]

    coverage = cover(*commits, hours=5)

    assert told(coverage.rows) == [
        (0, 100, 100, "complete", None, False),
        (1, 160, 0, "failed", "not collected", True),
        (2, 160, 0, "failed", "not collected", True),
        (3, 220, 220, "complete", None, False),
        (4, 220, 0, "failed", "not collected", True),
    ]
    assert coverage.gaps == (
        Gap("gpu", "all metrics", DAY + HOUR, DAY + 3 * HOUR, "not collected"),
        Gap("gpu", "all metrics", DAY + 4 * HOUR, DAY + 5 * HOUR, "not collected"),
    )


def test_an_hour_of_which_a_part_was_not_collected_is_partial() -> None:
    half = timedelta(minutes=30)

    coverage = cover(a_commit(DAY, a_metric(an_hour(DAY, 60)), width=half), hours=1, width=half)

    assert told(coverage.rows) == [(0, 120, 60, "partial", "not collected", True)]


def test_long_windows_that_are_missing_are_spread_over_their_hours() -> None:
    width = 3 * HOUR
    hours = [an_hour(DAY + n * HOUR, 100) for n in range(2)]

    coverage = cover(a_commit(DAY, a_metric(*hours, an_hour(DAY + 2 * HOUR, 101)), width=width), hours=6, width=width)

    assert [row.expected for row in coverage.rows] == [100, 100, 101, 100, 101, 100]
    assert sum(row.missing for row in coverage.rows) == 301


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("empty", "source down"),
        ("failed", "the source gave no usable answer"),
        ("partial", "the source said that data are missing"),
    ],
)
def test_committed_windows_that_tell_nothing_count_as_missing(status: str, reason: str) -> None:
    nothing = a_metric(an_hour(DAY + HOUR, 0), status=status, reason=reason)
    commits = [
        a_commit(DAY, a_metric(an_hour(DAY, 100))),
        a_commit(DAY + HOUR, nothing),
        a_commit(DAY + 2 * HOUR, a_metric(an_hour(DAY + 2 * HOUR, 50))),
    ]

    coverage = cover(*commits, hours=3)

    assert told(coverage.rows)[1] == (1, 75, 0, status, reason, True)
    assert coverage.gaps == (Gap("gpu", METRIC, DAY + HOUR, DAY + 2 * HOUR, reason),)


def test_an_absent_metric_is_not_missing() -> None:
    """A cluster without GPUs lacks nothing; and a metric that ended is not expected ever after."""
    gone = a_metric(an_hour(DAY + HOUR, 0, reason="target absent"), status="empty", reason="target absent")

    coverage = cover(a_commit(DAY, a_metric(an_hour(DAY, 100))), a_commit(DAY + HOUR, gone), hours=3)

    assert told(coverage.rows) == [
        (0, 100, 100, "complete", None, False),
        (1, 0, 0, "empty", "target absent", False),
        (2, 0, 0, "failed", "not collected", True),
    ]


def test_hours_without_series_after_a_failing_target_keep_its_reason() -> None:
    """When the last series has ended, no window by itself can tell whose it was."""

    def empty(hour: int) -> CommitRecord:
        start = DAY + hour * HOUR
        return a_commit(
            start, a_metric(an_hour(start, 0, reason="target absent"), status="empty", reason="target absent")
        )

    went_down = a_commit(DAY + HOUR, a_metric(an_hour(DAY + HOUR, 60, reason="target down")))

    lost_some = a_commit(DAY + 4 * HOUR, a_metric(an_hour(DAY + 4 * HOUR, 120, 100, reason="scrape incomplete")))

    coverage = cover(empty(0), went_down, empty(2), empty(3), lost_some, empty(5), hours=6)

    assert [row.reason for row in coverage.rows] == [
        "target absent",
        "target down",
        "target down",
        "target down",
        "scrape incomplete",
        "target absent",
    ]
    assert Gap("gpu", METRIC, DAY + 2 * HOUR, DAY + 4 * HOUR, "target down") in coverage.gaps


def test_more_than_expected_hides_no_loss() -> None:
    rows = cover(
        a_commit(DAY, a_metric(an_hour(DAY, 100, 150))),
        a_commit(DAY + HOUR, a_metric(an_hour(DAY + HOUR, 100, 60, reason="scrape incomplete"))),
        hours=2,
    ).rows

    assert [(row.received, row.missing) for row in rows] == [(150, 0), (60, 40)]


def test_every_reason_fits_the_audit_and_is_documented() -> None:
    """The audit lets no other text into a release, and a reader must find out what each one means."""
    documented = (ROOT / "docs/format.md").read_text("utf-8")

    for reason, meaning in REASONS.items():
        assert re.fullmatch(r"[a-z][a-z ]{0,60}", reason)
        assert f"| `{reason}` | {meaning} |" in documented


def test_the_card_draws_every_hour_and_explains_its_reasons() -> None:
    metric = a_metric_facts(expected=200, received=150, missing=50, reasons=("source down",))
    hours = (HourFacts(DAY, 100, 0), HourFacts(DAY + HOUR, 100, 50), HourFacts(DAY + 2 * HOUR, 0, 0))
    facts = a_release_facts(tables=(a_table_facts(metrics=(metric,)),), hours=hours, estimated=0.25)

    card = render_card(facts)

    assert "2026-11-01 █▒·\n```" in card
    assert f"| `source down` | {REASONS['source down']} |" in card
    assert "25.00 % of the metric-hours are estimates" in card
    assert "| coverage | 75.00 %" in card


def test_windows_that_were_not_collected_are_one_line_of_the_card() -> None:
    """An hour in which no run came concerns seven tables; one line says so as well as seven."""
    tables = (a_table_facts(), a_table_facts(a_gpu_schema()))
    gaps = [Gap(name, "all metrics", DAY, DAY + HOUR, "not collected") for name in ("gpu", "node", "never seen")]

    def told(*gaps: Gap) -> list[str]:
        return [line.what for line in merge_gaps(a_release_facts(tables=tables, gaps=gaps))]

    assert told(*gaps) == ["every table"]
    assert told(gaps[0]) == ["all of `gpu`"]
    assert told(gaps[2]) == ["all of `never seen`"]


def test_a_picture_shows_days_where_hours_would_be_too_many() -> None:
    hours = [HourFacts(DAY + n * HOUR, 100, 100 if n // 24 == 40 else 0) for n in range(70 * 24)]

    lines = draw_coverage(hours).splitlines()

    assert [line.split()[0] for line in lines] == ["UTC", "2026-11", "2026-12", "2027-01"]
    assert lines[1].split()[1] == "█" * 30
    assert lines[2].split()[1] == "█" * 10 + "x" + "█" * 20


@pytest.mark.parametrize(("missing", "drawn"), [(0, "█"), (5, "█"), (6, "▓"), (51, "▒"), (501, "░"), (1000, "x")])
def test_a_shade_never_promises_more_than_there_is(missing: int, drawn: str) -> None:
    picture = draw_coverage([HourFacts(DAY.astimezone(UTC), 1_000, missing)])

    assert picture.splitlines()[1] == f"2026-11-01 {drawn}"


def test_pieces_of_a_window_join_without_a_seam() -> None:
    for start, end in ((0, 1), (0, 24), (5, 12), (7, 9)):
        cuts = cut_at_hours(start * HOUR_MS // 2, end * HOUR_MS // 2)
        assert (cuts[0], cuts[-1]) == (start * HOUR_MS // 2, end * HOUR_MS // 2)
        assert all(a < b for a, b in pairwise(cuts))
        assert all(cut % HOUR_MS == 0 for cut in cuts[1:-1])
