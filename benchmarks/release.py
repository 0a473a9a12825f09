"""How long a release takes to build, and how much memory: ``python -m benchmarks.release --rows 50000000``.

Windows are staged with our own writer first; then each step runs in a process of its own, as the command line does.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from benchmarks.machine import describe_machine, read_commit
from benchmarks.process import read_cpu_seconds, read_peak_mib

_REPOSITORY: Final = Path(__file__).resolve().parents[1]
_REPORT: Final = _REPOSITORY / "reports/release.json"
_VERSION: Final = "2026.11.0"
_ROWS_AN_HOUR: Final = 240
"""Of a series of both metrics."""


@dataclass(frozen=True)
class Built:
    """What building a release took: its own process's peak of resident memory, imports included."""

    rows: int
    series: int
    hours: int
    data_bytes: int
    seconds: float
    cpu_seconds: float
    peak_mib: float
    audit_seconds: float = 0.0
    audit_peak_mib: float = 0.0


def measure_build(folder: Path, *, series: int, hours: int, audit: bool = False) -> Built:
    """Stage windows of some series of two metrics in ``folder``, build a release of them, and say what that took."""
    for step in ("stage", "build", *(["audit"] if audit else [])):
        given = [f"--folder={folder}", f"--series={series}", f"--hours={hours}"]
        command = [sys.executable, "-m", "benchmarks.release", "--step", step, *given]
        subprocess.run(command, cwd=_REPOSITORY, env=dict(os.environ), check=True)  # noqa: TID251 - handed on whole
    return Built(**json.loads((folder / "built.json").read_text()))


def main(argv: Sequence[str]) -> int:
    """Measure a release of about so many rows and keep the figures, or run one step of that."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.release", description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000_000)
    parser.add_argument("--series", type=int, default=0)
    parser.add_argument("--hours", type=int, default=24)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--step", choices=("stage", "build", "audit"))
    args = parser.parse_args(argv)
    series = args.series or -(-args.rows // (_ROWS_AN_HOUR * args.hours))
    if args.step:
        {"stage": _stage, "build": _build, "audit": _audit}[args.step](args.folder, series, args.hours)
        return 0
    with tempfile.TemporaryDirectory(prefix="opscommons-release-") as name:
        built = measure_build(args.folder or Path(name), series=series, hours=args.hours, audit=True)
    report = {"commit": read_commit(_REPOSITORY), "machine": describe_machine(), **asdict(built)}
    _REPORT.parent.mkdir(exist_ok=True)
    _REPORT.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    print(
        f"a release of {built.rows:,} rows from {built.hours} windows of {series:,} series of two metrics: "
        f"{built.seconds:.0f} s, {built.cpu_seconds:.0f} s of CPU, {built.peak_mib:.0f} MiB at most; its audit "
        f"{built.audit_seconds:.0f} s, {built.audit_peak_mib:.0f} MiB"
    )
    return 0


def _stage(folder: Path, series: int, hours: int) -> None:
    from benchmarks.staged import Staged, settings_in, stage

    stage(settings_in(folder), Staged(series, hours), folder / "files")


def _build(folder: Path, series: int, hours: int) -> None:
    from jobs.lean import leave_pandas_out

    leave_pandas_out()  # as `opspub release` does
    from benchmarks.staged import START, settings_in
    from jobs.release.build import build_release
    from schemas.windows import Window

    span = Window(START, START + timedelta(hours=hours))
    began = time.perf_counter()
    built = build_release(settings_in(folder), _VERSION, choose_span=lambda _: span)
    totals = built.manifest.totals
    found = Built(
        rows=totals.rows,
        series=series,
        hours=hours,
        data_bytes=totals.data_bytes,
        seconds=round(time.perf_counter() - began, 2),
        cpu_seconds=round(read_cpu_seconds(os.getpid()), 2),
        peak_mib=round(read_peak_mib("self"), 1),
    )
    (folder / "built.json").write_text(json.dumps(asdict(found)))


def _audit(folder: Path, series: int, hours: int) -> None:
    from benchmarks.staged import START, settings_in
    from jobs.release.audited import run_audit
    from jobs.release.build import release_folder

    settings = settings_in(folder)
    began = time.perf_counter()
    report = run_audit(settings, release_folder(settings, _VERSION), now=START + timedelta(hours=hours + 1))
    assert not report.findings, f"a release of {series} series: {report.findings[0]}"
    took = {"audit_seconds": round(time.perf_counter() - began, 2), "audit_peak_mib": round(read_peak_mib("self"), 1)}
    (folder / "built.json").write_text(json.dumps(json.loads((folder / "built.json").read_text()) | took))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
