"""Speed and size in one run beside what else there is: ``python -m benchmarks.bench`` writes reports/bench.json.

The peer is what a notebook does today: prometheus-api-client's get_metric_range_data, MetricRangeDataFrame, to_parquet.
Every path runs in a process of its own against one real Prometheus on this machine; ours goes up to the finished,
read back and scanned files. Rates hold for this machine; the ratios are what travels.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from benchmarks.generate import Stretch
from benchmarks.machine import describe_machine, read_commit
from benchmarks.measure import Measured, What
from benchmarks.render import render_report
from benchmarks.scale import ALL, HOURS, POINTS, measure_points
from benchmarks.series import PEER_SHAPE, SHAPES
from benchmarks.served import Served, serve_generated
from demo.errors import DemoError
from demo.packages import find_programs, read_version

REPOSITORY: Final = Path(__file__).resolve().parents[1]
ONE: Final = (PEER_SHAPE.metric,)
STRETCHES: Final = (
    Stretch(500, 24, shapes=tuple(shape for shape in SHAPES if shape is not PEER_SHAPE)),
    Stretch(500, 16 * 24, shapes=(PEER_SHAPE,), scrape_job="cadvisor"),
    Stretch(2_000, 24, day=20, shapes=(PEER_SHAPE,)),
    Stretch(8_000, 24, day=22, shapes=(PEER_SHAPE,)),
    *HOURS,
)
"""1x is 1.44 M samples of one metric: 500 series of a day."""
PATHS: Final = {"ours": 10, "chunks": 5, "dump": 1, "ours-http": 3, "query_range": 1, "peer": 1}
"""The paths that take every shape, and how often: the server's CPU is counted in steps of 10 ms."""
GROWTH: Final = {
    "series, windows of a day": ("ours", (What(ONE, 24), What(ONE, 24, day=20), What(ONE, 24, day=22))),
    "one window of days": ("ours", (What(ONE, 24), What(ONE, 96), What(ONE, 384))),
    "windows of a day, one by one": ("ours", tuple(What(ONE, 24 * days, window_hours=24) for days in (1, 4, 16))),
    "series, windows of an hour": ("ours", tuple(What(ALL, 1, day=day) for day in (28, 31, 37))),
    "series, by the query API": ("ours-http", (What(ONE, 24), What(ONE, 24, day=20))),
}
"""What grows, the path, and what is taken at 1x, 4x and 16x."""
SIZES: Final = ("1x", "4x", "16x")


def main(argv: Sequence[str]) -> int:
    """Measure everything, write the report and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench", description=__doc__)
    parser.add_argument("--report", type=Path, default=REPOSITORY / "reports" / "bench.json")
    args = parser.parse_args(argv)
    try:
        programs = find_programs(REPOSITORY / ".demo", environment=dict(os.environ))  # noqa: TID251 - PROMETHEUS_BIN
    except DemoError as error:
        print(error, file=sys.stderr)
        return 1
    begun = time.perf_counter()
    with (
        tempfile.TemporaryDirectory(prefix="opscommons-bench-") as name,
        serve_generated(programs, Path(name), STRETCHES) as served,
    ):
        print(f"generated {served.samples / 1e6:.1f} M samples in {time.perf_counter() - begun:.0f} s", flush=True)
        report = {
            "commit": read_commit(REPOSITORY),
            "machine": describe_machine(),
            "prometheus": read_version(programs.prometheus),
            "samples": served.samples,
            **build_report(served),
        }
    report["seconds"] = round(time.perf_counter() - begun)
    args.report.parent.mkdir(parents=True, exist_ok=True)
    args.report.write_text(json.dumps(report, indent=2) + "\n")
    print("\n".join(render_report(report)))
    return 0


def build_report(served: Served) -> dict[str, Any]:
    """Measure every path against a running server."""

    def run(path: str, what: What, *, repeats: int, environment: Mapping[str, str] | None = None) -> Measured:
        print(f"measuring {path}: {len(what.metrics)} metrics, {what.hours} h, {repeats} times", flush=True)
        return served.measure(path, what, repeats=repeats, environment=environment)

    def grow(path: str) -> dict[str, dict[str, Any]]:
        return {
            axis: {size: _describe(run(path, what, repeats=2)) for size, what in zip(SIZES, whats, strict=False)}
            for axis, (own, whats) in GROWTH.items()
            if own == path
        }

    with tempfile.TemporaryDirectory(prefix="bench-numba-") as cache:
        cold = run("ours-read-only", What(ONE, 1), repeats=1, environment={"NUMBA_CACHE_DIR": cache})
    together = run("ours", What(ALL, 24), repeats=2)
    growth = grow("ours")
    read = run("ours-read-only", What(ONE, 24), repeats=10)
    shapes: dict[str, dict[str, Measured]] = {shape.metric: {} for shape in SHAPES}
    for path, repeats in PATHS.items():  # Prometheus keeps the memory that JSON took: those that need it come last
        for metric, paths in shapes.items():
            paths[path] = run(path, What((metric,), 24), repeats=repeats)
    read_only = {"ours-read-only": read, "peer-read-only": run("peer-read-only", What(ONE, 24), repeats=1)}
    growth |= grow("ours-http")
    scale = measure_points(served, POINTS)
    compared = {**shapes[PEER_SHAPE.metric], **read_only}
    return {
        "compile_seconds": cold.first_call_seconds,
        "compared": PEER_SHAPE.metric,
        "shapes": {
            shape.metric: {
                "says": shape.says,
                "paths": {path: _describe(took) for path, took in shapes[shape.metric].items()},
            }
            for shape in SHAPES
        },
        "read_only": {path: _describe(took) for path, took in read_only.items()},
        "all_shapes": _describe(together),
        "growth": growth,
        "scale": scale,
        "ratios": {**make_ratios(compared), **make_worst(list(shapes.values()))},
    }


def make_ratios(paths: Mapping[str, Measured]) -> dict[str, float]:
    """Return how many times better ours is, by the sample."""
    ours, http, peer = paths["ours"], paths["ours-http"], paths["peer"]
    read, peer_read = paths["ours-read-only"], paths["peer-read-only"]
    dump, query_range = paths["dump"], paths["query_range"]
    return {
        "samples a second, ours / peer": ours.samples_a_second / peer.samples_a_second,
        "the same, reading only": read.samples_a_second / peer_read.samples_a_second,
        "the same, ours by the query API / peer": http.samples_a_second / peer.samples_a_second,
        "the same, ours / promtool tsdb dump": ours.samples_a_second / dump.samples_a_second,
        "the same, ours / download of query_range": ours.samples_a_second / query_range.samples_a_second,
        "CPU of Prometheus, peer / ours": peer.cpu_ns_a_sample / max(ours.cpu_ns_a_sample, 1e-3),
        "CPU of client and Prometheus, peer / ours": peer.all_cpu_ns_a_sample / ours.all_cpu_ns_a_sample,
        "peak memory of the client, peer / ours": peer.peak_mib / ours.peak_mib,
        "bytes a sample, peer / ours": peer.bytes_a_sample / ours.bytes_a_sample,
    }


def make_worst(shapes: Sequence[Mapping[str, Measured]]) -> dict[str, float]:
    """Return the ratios that matter most for the shape that does worst."""
    pairs = [(paths["ours"], paths["peer"], paths["chunks"]) for paths in shapes]
    return {
        "worst shape: samples a second, ours / peer": min(
            ours.samples_a_second / peer.samples_a_second for ours, peer, _ in pairs
        ),
        "worst shape: CPU of Prometheus, peer / ours": min(
            peer.cpu_ns_a_sample / max(ours.cpu_ns_a_sample, 1e-3) for ours, peer, _ in pairs
        ),
        "worst shape: bytes a sample, TSDB's chunks / ours": min(
            chunks.bytes_a_sample / ours.bytes_a_sample for ours, _, chunks in pairs
        ),
    }


def _describe(measured: Measured) -> dict[str, Any]:
    rates = ("samples_a_second", "bytes_a_sample", "cpu_ns_a_sample", "all_cpu_ns_a_sample")
    return {**asdict(measured), **{name: getattr(measured, name) for name in rates}}


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
