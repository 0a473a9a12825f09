"""The scale table is arithmetic on measured runs: planted costs come back, and the table multiplies them rightly."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.model import Cost, Run, fit_cost, worst_error
from benchmarks.scale_page import MOST_MIB, estimate, scale_lines
from docs.generate import DOCS

RUNS = [Run(8, 2_000, 240_000), Run(8, 12_000, 1_440_000), Run(8, 48_000, 5_760_000), Run(8, 7_000, 11_520_000)]


def a_report(*, mib_a_series: float = 0.0005) -> dict[str, Any]:
    """Return a report of runs that cost 1 ms a metric, 20 µs a series, 50 ns a sample; a tenth on Prometheus."""
    points = []
    for run in (*RUNS, Run(8, 96_000, 11_520_000), Run(8, 200_000, 24_000_000)):
        seconds = 1e-3 * run.metrics + 20e-6 * run.series + 50e-9 * run.samples
        points.append(
            {
                "hours": 1 if run.samples == 120 * run.series else 24,
                "metrics": run.metrics,
                "series": run.series,
                "samples": run.samples,
                "seconds": seconds,
                "client_cpu_seconds": seconds,
                "prometheus_cpu_seconds": seconds / 10,
                "bytes": 40.0 * run.series + 1.5 * run.samples,
                "peak_mib": 250 + mib_a_series * run.series,
                "held_out": run.series == 200_000,
            }
        )
    machine = {"cpus": 2, "architecture": "x86_64", "python": "3.11.0"}
    return {"commit": "abc", "machine": machine, "prometheus": "2.42.0", "start_seconds": 0.5, "points": points}


def test_planted_costs_are_found() -> None:
    planted = Cost(metrics=2e-3, series=30e-6, samples=80e-9)

    found = fit_cost([(run, planted.of(run)) for run in RUNS], ("metrics", "series", "samples"))

    for part in ("metrics", "series", "samples"):
        assert getattr(found, part) == pytest.approx(getattr(planted, part), rel=1e-6)
    assert found.fixed == 0


def test_no_part_of_a_cost_is_negative() -> None:
    """Noise must not make series cheaper the more there are, ten million of them above all."""
    planted = Cost(series=30e-6, samples=80e-9)
    costs = [(run, planted.of(run) - 1e-3 * run.metrics) for run in RUNS]

    found = fit_cost(costs, ("metrics", "series", "samples"))

    assert found.metrics == 0
    assert found.series > 0
    assert worst_error(found, costs) < 0.2


def test_a_small_run_weighs_as_much_as_a_large_one() -> None:
    """Else the largest run alone would say what a metric and a series cost."""
    costs = [(Run(1, 100, 100), 1.0), (Run(1, 1_000_000, 1_000_000), 1_000.0)]

    found = fit_cost(costs, ("fixed", "series"))

    assert worst_error(found, costs) < 1e-9


@pytest.mark.parametrize(
    ("runs", "message"),
    [(RUNS[:2], "at least one for each of 3 parts"), (RUNS[:3], "do not tell metrics, series, samples apart")],
)
def test_runs_that_do_not_tell_the_parts_apart_are_refused(runs: list[Run], message: str) -> None:
    """Windows of one length alone can't tell what a series costs from what its samples cost."""
    with pytest.raises(ValueError, match=message):
        fit_cost([(run, 1.0 + run.series) for run in runs], ("metrics", "series", "samples"))


def test_the_table_multiplies_what_was_planted() -> None:
    """100,000 series: 60 metrics at 1 ms, 100,000 x 20 µs, 12 M samples at 50 ns, half a second to begin."""
    found = estimate(a_report(), 100_000)

    assert found.processes == 1
    assert found.process_seconds == pytest.approx(0.5 + 0.06 + 2.0 + 0.6)
    assert found.process_mib == pytest.approx(250 + 50)
    assert found.bytes_a_day == pytest.approx(24 * (4e6 + 18e6))
    assert found.prometheus_cpu_seconds == pytest.approx(0.266)
    assert found.share_of_a_core == pytest.approx(0.266 / 3600)


def test_no_process_takes_more_series_than_was_measured() -> None:
    """What nobody has seen one process do is given to several; that their work adds up needs no measurement."""
    found = estimate(a_report(), 10_000_000)

    assert found.processes == 50  # of 200,000 each
    assert found.seconds == pytest.approx(50 * (0.5 + 0.002 + 4.0 + 1.2))
    assert found.bytes_a_day == pytest.approx(24 * (4e8 + 18e8))
    assert found.side_by_side == 1


def test_no_process_takes_more_memory_than_it_may() -> None:
    found = estimate(a_report(mib_a_series=0.004), 1_000_000)

    assert found.process_mib <= MOST_MIB
    assert found.processes == 16  # of 62,500 each: 250 MiB and as much again


def test_the_run_that_is_held_out_is_not_fitted() -> None:
    """A foretelling that knows the answer is none."""
    report = a_report()
    report["points"][-1]["seconds"] *= 3

    assert estimate(report, 100_000).process_seconds == pytest.approx(estimate(a_report(), 100_000).process_seconds)


def test_the_page_tells_measured_from_extrapolated() -> None:
    rows = [line for line in scale_lines(a_report()) if line.startswith(("| 10,000 |", "| 10,000,000 |"))]

    assert rows[0].endswith("| as measured |")
    assert rows[1].endswith("| 50.0 times what was measured |")


def test_what_was_measured_is_kept_with_the_page() -> None:
    """The page itself is compared with these runs by the test of all generated pages."""
    report = json.loads((DOCS / "scale.json").read_text("utf-8"))

    assert sum(point["held_out"] for point in report["points"]) == 1
    assert max(point["series"] for point in report["points"]) >= 190_000
    assert {point["hours"] for point in report["points"]} >= {1, 24}
