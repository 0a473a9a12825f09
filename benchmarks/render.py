"""The benchmark's report as tables for people. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from benchmarks.scale_page import scale_lines

_NAMES: Final = {
    "ours": "ours",
    "ours-http": "ours, query API",
    "query_range": "query_range, no decode",
    "peer": "peer to_parquet",
    "dump": "promtool tsdb dump",
    "chunks": "TSDB's own chunks",
    "ours-read-only": "ours, read only",
    "peer-read-only": "peer, read only",
}
_COLUMNS: Final = ("M samples", "M/s", "client MiB", "server MiB", "server ns/sample", "both ns/sample", "bytes/sample")
_HEAD: Final = "".join(f"{title:>{width}}" for title, width in zip(_COLUMNS, (10, 8, 12, 12, 18, 16, 14), strict=True))


def render_report(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of the report."""
    for metric, shape in report["shapes"].items():
        yield ""
        yield f"{metric}: {shape['says']}"
        yield f"{'':<26}{_HEAD}"
        for path, row in shape["paths"].items():
            yield _row(_NAMES[path], row)
        if metric == report["compared"]:
            for path, row in report["read_only"].items():
                yield _row(_NAMES[path], row)
    yield ""
    yield f"{'all shapes, one run':<26}{_HEAD}"
    yield _row("ours", report["all_shapes"])
    yield ""
    yield f"{'growth':<36}{'M samples':>10}{'seconds':>10}{'M/s':>8}{'client MiB':>12}{'time':>8}{'memory':>8}"
    for axis, sizes in report["growth"].items():
        first = sizes["1x"]
        for size, row in sizes.items():
            yield (
                f"{f'{axis}, {size}':<36}{row['samples'] / 1e6:>10.2f}{row['seconds']:>10.2f}"
                f"{row['samples_a_second'] / 1e6:>8.2f}{row['peak_mib']:>12.0f}"
                f"{row['seconds'] / first['seconds']:>7.1f}x{row['peak_mib'] / first['peak_mib']:>7.2f}x"
            )
    yield ""
    yield f"{'bytes/sample':<36}{'ours':>8}{'TSDB chunks':>14}{'peer':>8}"
    for shape in report["shapes"].values():
        paths = shape["paths"]
        sizes = [paths[path]["bytes_a_sample"] for path in ("ours", "chunks", "peer")]
        mark = "" if sizes[0] <= sizes[1] else "  MORE THAN THE TSDB"
        yield f"{shape['says']:<36}{sizes[0]:>8.2f}{sizes[1]:>14.2f}{sizes[2]:>8.2f}{mark}"
    yield ""
    yield from scale_lines({**report, **report["scale"]})
    yield ""
    for name, ratio in report["ratios"].items():
        yield f"{name:<52}{ratio:>8.1f}"
    yield f"first call without a numba cache: {report['compile_seconds']:.1f} s, left out of the rates"
    yield f"{report['samples'] / 1e6:.0f} M samples on the server; all took {report['seconds']} s at {report['commit']}"


def _row(name: str, row: Mapping[str, Any]) -> str:
    return (
        f"{name:<26}{row['samples'] / 1e6:>10.2f}{row['samples_a_second'] / 1e6:>8.2f}{row['peak_mib']:>12.0f}"
        f"{row['prometheus_peak_mib']:>12.0f}{row['cpu_ns_a_sample']:>18.0f}{row['all_cpu_ns_a_sample']:>16.0f}{row['bytes_a_sample']:>14.2f}"
    )
