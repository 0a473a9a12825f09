"""Scale on paper: measure runs of several sizes on a made-up cluster, and rewrite docs/scale.md from what they took.

``python -m benchmarks.scale`` does all of it in some two minutes; ``--million`` also measures a window of a million
series. What was measured is kept in docs/scale.json, from which the page's figures are computed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.generate import Stretch
from benchmarks.machine import describe_machine, read_commit
from benchmarks.measure import Measured, What
from benchmarks.series import SHAPES
from benchmarks.served import Served, serve_generated
from demo.errors import DemoError
from demo.packages import find_programs, read_version

REPOSITORY: Final = Path(__file__).resolve().parents[1]
DOCS: Final = REPOSITORY / "docs"
ALL: Final = tuple(shape.metric for shape in SHAPES)
_DIGITS: Final = 4


@dataclass(frozen=True)
class Point:
    """One run that is measured."""

    what: What
    repeats: int


HOURS: Final = (
    Stretch(250, 1, day=25),
    Stretch(1_500, 1, day=28),
    Stretch(6_000, 1, day=31),
    Stretch(12_000, 1, day=34),
    Stretch(24_000, 1, day=37),
)
"""Windows of an hour, of 2,000 to 192,000 series. No block begins with these days, so each lies in one."""
MILLION: Final = Stretch(125_000, 1, day=40)
POINTS: Final = (
    Point(What(ALL, 1, day=25), 10),
    Point(What(ALL, 1, day=28), 5),
    Point(What(ALL, 1, day=31), 3),
    Point(What(ALL, 1, day=0, hour=11), 10),
    Point(What(ALL, 6, day=0, hour=11), 5),
    Point(What(ALL, 24, day=0), 2),
    Point(What(ALL, 1, day=34), 2),
    Point(What(ALL, 1, day=37), 2),
)
MILLION_POINT: Final = Point(What(ALL, 1, day=40), 1)


def main(argv: Sequence[str]) -> int:
    """Measure, keep what was measured, rewrite the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--million", action="store_true", help="also measure a window of a million series")
    args = parser.parse_args(argv)
    stretches, points = [Stretch(), *HOURS], [*POINTS]
    if args.million:
        stretches.append(MILLION)
        points.append(MILLION_POINT)
    try:
        programs = find_programs(REPOSITORY / ".demo", environment=dict(os.environ))  # noqa: TID251 - PROMETHEUS_BIN
    except DemoError as error:
        print(error, file=sys.stderr)
        return 1
    with (
        tempfile.TemporaryDirectory(prefix="opscommons-scale-") as name,
        serve_generated(programs, Path(name), stretches) as served,
    ):
        measured = measure_points(served, points)
    report = {
        "commit": read_commit(REPOSITORY),
        "machine": describe_machine(),
        "prometheus": read_version(programs.prometheus),
        **measured,
    }
    (DOCS / "scale.json").write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    from docs.generate import render_all

    (DOCS / "scale.md").write_text(render_all()[DOCS / "scale.md"], "utf-8")
    print((DOCS / "scale.md").read_text("utf-8"))
    return 0


def measure_points(served: Served, points: Sequence[Point]) -> dict[str, Any]:
    """Return what every run took, and how long a process needs before it can begin.

    The run of the most series is held out: it is not fitted but foretold from the others, and compared.
    """
    rows, starts = [], []
    for point in points:
        series = served.count_series(point.what)
        print(f"measuring a run of {series} series, {point.what.hours} h, {point.repeats} times", flush=True)
        took = served.measure("ours", point.what, repeats=point.repeats)
        rows.append(_describe(point, series, took))
        starts.append(took.start_seconds)
    most = max(row["series"] for row in rows)
    held_out = [{**row, "held_out": row["series"] == most} for row in rows]
    return {"start_seconds": _round(statistics.median(starts)), "points": held_out}


def _describe(point: Point, series: int, took: Measured) -> dict[str, Any]:
    costs = {
        "seconds": took.seconds,
        "client_cpu_seconds": took.client_cpu_seconds,
        "prometheus_cpu_seconds": took.prometheus_cpu_seconds,
        "bytes": took.output_bytes,
        "peak_mib": took.peak_mib,
        "prometheus_peak_mib": took.prometheus_peak_mib,
    }
    run = {"hours": point.what.hours, "metrics": len(point.what.metrics), "series": series, "samples": took.samples}
    return {**run, **{name: _round(cost) for name, cost in costs.items()}}


def _round(number: float) -> float:
    return float(f"{number:.{_DIGITS}g}")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
