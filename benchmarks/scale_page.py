"""The figures of docs/scale.md, computed from the runs in docs/scale.json. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.model import Cost, Part, Run, fit_cost, worst_error

SIZES: Final = (10_000, 100_000, 1_000_000, 10_000_000)
METRICS: Final = 60
"""What the shipped tables declare."""
POINTS_A_WINDOW: Final = 120
RUNS_A_DAY: Final = 24
MOST_SECONDS: Final = 900.0
"""All of a run: the hour must hold a retry and a part of a backlog too."""
MOST_MIB: Final = 512.0
"""A process: the default of ``limits.memory``."""
FULL_SAMPLES: Final = 1_000_000
"""From here on the buffers of a process are full, and memory grows with the series alone."""
_COSTS: Final[dict[str, tuple[Part, ...]]] = {
    "seconds": ("metrics", "series", "samples"),
    "client_cpu_seconds": ("metrics", "series", "samples"),
    "prometheus_cpu_seconds": ("metrics", "series", "samples"),
    "bytes": ("series", "samples"),
    "peak_mib": ("fixed", "series"),
}
_TITLES: Final = {
    "seconds": ("time", ("s", "ms", "µs", "ns")),
    "client_cpu_seconds": ("CPU of the process", ("s", "ms", "µs", "ns")),
    "prometheus_cpu_seconds": ("CPU of Prometheus", ("s", "ms", "µs", "ns")),
    "bytes": ("staged files", ("B", "B", "B", "B")),
    "peak_mib": ("peak memory", ("MiB", "MiB", "KiB", "KiB")),
}
_FACTORS: Final = {"s": 1.0, "ms": 1e3, "µs": 1e6, "ns": 1e9, "B": 1.0, "MiB": 1.0, "KiB": 1024.0}
_HOUR: Final = 3600.0
_Report = Mapping[str, Any]


@dataclass(frozen=True)
class Estimate:
    """A run every hour over so many series, each with a sample at every grid point of the window.

    The series are spread evenly over ``processes``, which may run one after another: ``process_seconds`` each,
    ``seconds`` all of them, or side by side, ``side_by_side`` at a time.
    """

    series: int
    processes: int
    process_seconds: float
    process_mib: float
    bytes_a_day: float
    prometheus_cpu_seconds: float

    @property
    def seconds(self) -> float:
        """What all processes take one after another."""
        return self.processes * self.process_seconds

    @property
    def side_by_side(self) -> int:
        """How many processes must run at a time so that all are done in time."""
        return math.ceil(self.seconds / MOST_SECONDS)

    @property
    def share_of_a_core(self) -> float:
        """What Prometheus spends on it, of one core, over the hour."""
        return self.prometheus_cpu_seconds / _HOUR


def fit_all(report: _Report) -> dict[str, Cost]:
    """Return what each cost is made of, from the runs that are not held out.

    Memory is that of windows of an hour which fill the buffers.
    """
    return {name: fit_cost(_measured(report, name), parts) for name, parts in _COSTS.items()}


def estimate(report: _Report, series: int) -> Estimate:
    """Return what a run every hour over so many series takes.

    It is spread over so many processes that none needs too much memory or takes more series than was measured.
    """
    costs = fit_all(report)
    processes = math.ceil(series / max(point["series"] for point in report["points"]))
    while costs["peak_mib"].of(_share(series, processes)) > MOST_MIB and processes < series:
        processes += 1
    own = _share(series, processes)
    return Estimate(
        series=series,
        processes=processes,
        process_seconds=report["start_seconds"] + costs["seconds"].of(own),
        process_mib=costs["peak_mib"].of(own),
        bytes_a_day=RUNS_A_DAY * costs["bytes"].of(own) * processes,
        prometheus_cpu_seconds=costs["prometheus_cpu_seconds"].of(own) * processes,
    )


def _share(series: int, processes: int) -> Run:
    """Return the run of one of several processes: each takes some of the metrics, or a source of its own."""
    own = math.ceil(series / processes)
    return Run(math.ceil(METRICS / processes), own, own * POINTS_A_WINDOW)


def scale_lines(report: _Report) -> Iterator[str]:
    """Yield the generated part of the page."""
    machine = report["machine"]
    yield f"Measured at commit `{report['commit']}`; Prometheus {report['prometheus']} and one process of ours share"
    yield f"{machine['cpus']} cores ({machine['architecture']}, Python {machine['python']})."
    for title, lines in (
        ("A run every hour", _estimate_lines(report)),
        ("What a run costs", _cost_lines(report)),
        ("What was measured", _point_lines(report)),
    ):
        yield from ("", f"### {title}", "")
        yield from lines


def _estimate_lines(report: _Report) -> Iterator[str]:
    largest = max(point["series"] for point in report["points"])
    yield (
        "| series in a window | processes | each takes | memory of each | one after another | at a time "
        "| staged a day | CPU of Prometheus a run | share of a core | |"
    )
    yield "|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|"
    for series in SIZES:
        found = estimate(report, series)
        known = "as measured" if series <= largest else f"{series / largest:.1f} times what was measured"
        yield (
            f"| {series:,} | {found.processes} | {_seconds(found.process_seconds)} | {found.process_mib:.0f} MiB "
            f"| {_seconds(found.seconds)} | {found.side_by_side} | {_bytes(found.bytes_a_day)} "
            f"| {_seconds(found.prometheus_cpu_seconds)} | {100 * found.share_of_a_core:.2g} % | {known} |"
        )


def _cost_lines(report: _Report) -> Iterator[str]:
    yield "| | process | each metric | each series | each sample | largest error of the fit |"
    yield "|---|--:|--:|--:|--:|--:|"
    for name, cost in fit_all(report).items():
        title, units = _TITLES[name]
        fixed = report["start_seconds"] if name == "seconds" else cost.fixed
        amounts = (fixed, cost.metrics, cost.series, cost.samples)
        cells = [
            f"{amount * _FACTORS[unit]:.3g} {unit}" if amount else ""
            for amount, unit in zip(amounts, units, strict=True)
        ]
        yield f"| {title} | {' | '.join(cells)} | {worst_error(cost, _measured(report, name)):.0%} |"


def _point_lines(report: _Report) -> Iterator[str]:
    costs = fit_all(report)
    yield "| series | window | samples | time | M samples/s | memory | bytes a sample | CPU of Prometheus | |"
    yield "|--:|--:|--:|--:|--:|--:|--:|--:|---|"
    for point in sorted(report["points"], key=lambda point: (point["hours"], point["series"])):
        samples, run = point["samples"], _run(point)
        cells = [f"{point['series']:,}", f"{point['hours']} h", f"{samples / 1e6:.2f} M", _seconds(point["seconds"])]
        cells += [f"{samples / point['seconds'] / 1e6:.1f}", f"{point['peak_mib']:.0f} MiB"]
        cells += [f"{point['bytes'] / samples:.2f}", _seconds(point["prometheus_cpu_seconds"])]
        if point["held_out"]:
            told = {name: cost.of(run) for name, cost in costs.items()}
            cells.append(
                f"held out; foretold were {_seconds(told['seconds'])}, {told['peak_mib']:.0f} MiB, "
                f"{told['bytes'] / samples:.2f} bytes, {_seconds(told['prometheus_cpu_seconds'])}"
            )
        else:
            cells.append("")
        yield f"| {' | '.join(cells)} |"


def _measured(report: _Report, name: str) -> list[tuple[Run, float]]:
    points = [point for point in report["points"] if not point["held_out"]]
    if name == "peak_mib":
        points = [point for point in points if point["hours"] == 1 and point["samples"] >= FULL_SAMPLES]
    return [(_run(point), point[name]) for point in points]


def _run(point: Mapping[str, Any]) -> Run:
    return Run(point["metrics"], point["series"], point["samples"])


def _seconds(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.2g} s"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _bytes(count: float) -> str:
    units = ("B", "kB", "MB", "GB", "TB")
    step = min(len(units) - 1, int(math.log10(max(count, 1)) // 3))
    return f"{count / 1000**step:.3g} {units[step]}"
