"""Speed and size in one run beside the peer: ``python -m benchmarks.bench`` writes reports/bench.json.

The peer is what a notebook does today: prometheus-api-client's get_metric_range_data, MetricRangeDataFrame, to_parquet.
Every path runs in a process of its own against one real Prometheus on this machine; ours goes up to the finished,
read back and scanned files. Rates hold for this machine; the ratios are what travels.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from benchmarks.generate import PEER_SHAPE, SERIES, SHAPES, Shape, build_tsdb
from benchmarks.measure import Measured, measure
from demo.errors import DemoError
from demo.packages import Programs, find_programs, read_version
from demo.servers import Server, start_prometheus

REPOSITORY: Final = Path(__file__).resolve().parents[1]
CONFIG: Final = "scrape_configs: []\n"
ALL: Final = tuple(shape.metric for shape in SHAPES)
PEER_LIMIT_SECONDS: Final = 60.0


def main(argv: Sequence[str]) -> int:
    """Measure everything, write the report and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench", description=__doc__)
    parser.add_argument("--series", type=int, default=SERIES, help="of each of the four shapes (%(default)s)")
    parser.add_argument("--hours", type=int, default=24, help="of data (%(default)s)")
    parser.add_argument("--report", type=Path, default=REPOSITORY / "reports" / "bench.json")
    args = parser.parse_args(argv)
    try:
        programs = find_programs(REPOSITORY / ".demo", environment=dict(os.environ))  # noqa: TID251 - PROMETHEUS_BIN
    except DemoError as error:
        print(error, file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="opscommons-bench-") as name:
        begun = time.perf_counter()
        with serve_generated(programs, Path(name), series=args.series, hours=args.hours) as (server, samples):
            print(f"generated {samples / 1e6:.2f} M samples in {time.perf_counter() - begun:.1f} s", flush=True)
            report = build_report(server, args.hours)
    report["generated"] = {"series_a_shape": args.series, "hours": args.hours, "samples": samples}
    report["prometheus"] = read_version(programs.prometheus)
    args.report.parent.mkdir(parents=True, exist_ok=True)
    args.report.write_text(json.dumps(report, indent=2) + "\n")
    print("\n".join(render_report(report)))
    return 0


@contextmanager
def serve_generated(
    programs: Programs, folder: Path, *, series: int, hours: int, shapes: Sequence[Shape] = SHAPES
) -> Iterator[tuple[Server, int]]:
    """Generate a TSDB and serve it; yield the server and the number of samples."""
    samples = build_tsdb(programs.promtool, folder / "tsdb", series=series, hours=hours, shapes=shapes)
    with start_prometheus(programs, folder, config=CONFIG) as server:
        yield server, samples


def build_report(server: Server, hours: int) -> dict[str, Any]:
    """Measure every path against a running server."""

    def run(path: str, metrics: Sequence[str], *, repeats: int, span: int = hours, cold: str = "") -> Measured:
        print(f"measuring {path} of {len(metrics)} metrics, {span} h, {repeats} times", flush=True)
        return measure(
            path,
            url=server.url,
            pid=server.pid,
            hours=span,
            metrics=metrics,
            repeats=repeats,
            environment={"NUMBA_CACHE_DIR": cold} if cold else None,
        )

    one = (PEER_SHAPE.metric,)
    with tempfile.TemporaryDirectory(prefix="bench-numba-") as cache:
        cold = run("ours-read-only", one, repeats=1, span=1, cold=cache)
    # the peer grows with its input, so a short slice tells whether the whole would take too long
    slice_hours = max(1, hours // 8)
    slice_seconds = run("peer", one, repeats=1, span=slice_hours).seconds
    peer_hours = hours if slice_seconds * hours / slice_hours < PEER_LIMIT_SECONDS else slice_hours
    measured = {
        "ours": run("ours", one, repeats=5),
        "ours 4x": run("ours", ALL, repeats=3),
        "ours, read only": run("ours-read-only", one, repeats=5),
        "ours by HTTP": run("ours-http", one, repeats=3),
        "query_range JSON": run("query_range", one, repeats=3),
        "peer": run("peer", one, repeats=1, span=peer_hours),
        "peer, read only": run("peer-read-only", one, repeats=1, span=peer_hours),
    }
    shapes = {
        shape.metric: {
            "shape": shape.says,
            "bytes_a_sample": run("ours", (shape.metric,), repeats=1).bytes_a_sample,
            "tsdb_bytes_a_sample": run("chunks", (shape.metric,), repeats=1).bytes_a_sample,
        }
        for shape in SHAPES
    }
    ours, http, peer = measured["ours"], measured["ours by HTTP"], measured["peer"]
    return {
        "commit": _read_commit(),
        "machine": {"cpus": os.cpu_count(), "python": platform.python_version()},
        "compile_seconds": cold.first_call_seconds,
        "peer_fraction": peer_hours / hours,
        "paths": {name: _describe(one) for name, one in measured.items()},
        "shapes": shapes,
        "ratios": {
            "ours/peer, samples a second": ours.samples_a_second / peer.samples_a_second,
            "ours 4x/peer, samples a second": measured["ours 4x"].samples_a_second / peer.samples_a_second,
            "ours/peer, samples a second, read only": measured["ours, read only"].samples_a_second
            / measured["peer, read only"].samples_a_second,
            "ours by HTTP/peer, samples a second": http.samples_a_second / peer.samples_a_second,
            "peer/ours, CPU of Prometheus": peer.cpu_ns_a_sample / max(ours.cpu_ns_a_sample, 1e-3),
            "peer/ours, CPU of client and Prometheus": peer.all_cpu_ns_a_sample / ours.all_cpu_ns_a_sample,
            "peer/ours, peak memory": peer.peak_mib / ours.peak_mib,
            "peer/ours, bytes a sample": peer.bytes_a_sample / ours.bytes_a_sample,
        },
    }


def render_report(report: dict[str, Any]) -> Iterable[str]:
    """Yield the lines of the report for people."""
    yield f"\n{'path':<18}{'M samples':>10}{'M/s':>8}{'peak MiB':>10}{'Prometheus ns/sample':>22}{'bytes/sample':>14}"
    for name, row in report["paths"].items():
        yield (
            f"{name:<18}{row['samples'] / 1e6:>10.2f}{row['samples_a_second'] / 1e6:>8.2f}{row['peak_mib']:>10.0f}"
            f"{row['cpu_ns_a_sample']:>22.0f}{row['bytes_a_sample']:>14.2f}"
        )
    yield f"\n{'shape':<32}{'ours bytes/sample':>18}{'TSDB chunks':>13}"
    for row in report["shapes"].values():
        yield f"{row['shape']:<32}{row['bytes_a_sample']:>18.2f}{row['tsdb_bytes_a_sample']:>13.2f}"
    yield ""
    for name, ratio in report["ratios"].items():
        yield f"{name:<42}{ratio:>8.1f}"
    yield f"first call without a numba cache: {report['compile_seconds']:.1f} s, left out of the rates"
    if report["peer_fraction"] < 1:
        yield f"the peer took {report['peer_fraction']:.0%} of the samples; it is compared by the sample"


def _describe(measured: Measured) -> dict[str, Any]:
    rates = ("samples_a_second", "bytes_a_sample", "cpu_ns_a_sample")
    return {**asdict(measured), **{name: getattr(measured, name) for name in rates}}


def _read_commit() -> str:
    ran = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    return ran.stdout.strip() or "unknown"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
