"""Coverage of a release: windows that nobody collected included, and what the card draws of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from jobs.card.card import render_card
from jobs.card.facts import Gap, HourFacts
from jobs.card.gaps import merge_gaps
from jobs.card.picture import draw_coverage
from jobs.release.coverage import CoverageRow, ReleaseCoverage, cover_release
from schemas.arrow import COVERAGE_SCHEMA
from schemas.commit import CommitFile, CommitRecord, HourCoverage, MetricCoverage
from schemas.coverage import REASONS
from schemas.hours import HOUR_MS, cut_at_hours
from schemas.windows import Window, from_ms
from tests.jobs.builders import DAY, HOUR, a_commit_record, a_gpu_schema, a_metric_facts, a_release_facts, a_table_facts

ROOT = Path(__file__).parents[2]
METRIC = "DCGM_FI_DEV_GPU_UTIL"


def test_a_commit_of_format_1_0_is_still_read() -> None:
    """Staged windows are never written again: a year of them must stay readable."""
    hour = TypeAdapter(HourCoverage).validate_json(
        '{"start": "2026-11-01T00:00:00Z", "expected": 120, "received": 119, "held": 0, "points": 120}'
    )

    file = CommitFile.model_validate_json(
        '{"path": "data/a.parquet", "sha256": "00", "bytes": 1, "rows": 1, "raw_scan": {"searched": 7, "hits": 0}}'
    )

    assert (hour.estimated, hour.reason, hour.scrapes) == (False, None, None)
    assert (file.form, file.raw_order) == ("float", None)
    assert a_commit(DAY, a_metric(hour)).format_version == "1.4"


def an_hour(start: datetime, expected: int, received: int | None = None, **more: Any) -> HourCoverage:  # noqa: ANN401
    got = expected if received is None else received
    return HourCoverage(start=start, expected=expected, received=got, **{"held": 0, "points": got, **more})


def a_metric(*hours: HourCoverage, **more: Any) -> MetricCoverage:  # noqa: ANN401 - any field
    return MetricCoverage(metric=METRIC, hours=hours, **{"status": "complete", **more})


def a_commit(start: datetime, *metrics: MetricCoverage, width: timedelta = HOUR) -> CommitRecord:
    return a_commit_record(start, width=width, source="made-up", table="gpu", schema_version="2.1", coverage=metrics)


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
