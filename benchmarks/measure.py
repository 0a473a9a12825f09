"""Measure one path in a process of its own: ``python -m benchmarks.measure PATH ...`` prints one line of JSON."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_REPOSITORY: Final = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Measured:
    """What one path took: median seconds, least CPU of the client, mean CPU of Prometheus, each of one repeat."""

    path: str
    samples: int
    output_bytes: int
    seconds: float
    client_cpu_seconds: float
    prometheus_cpu_seconds: float
    prometheus_peak_mib: float
    peak_mib: float
    import_mib: float
    first_call_seconds: float
    repeats: int

    @property
    def samples_a_second(self) -> float:
        """Samples a second, end to end."""
        return self.samples / self.seconds

    @property
    def bytes_a_sample(self) -> float:
        """Bytes of output for each sample."""
        return self.output_bytes / self.samples

    @property
    def cpu_ns_a_sample(self) -> float:
        """Nanoseconds of Prometheus's CPU for each sample."""
        return 1e9 * self.prometheus_cpu_seconds / self.samples

    @property
    def all_cpu_ns_a_sample(self) -> float:
        """Nanoseconds of CPU on both sides for each sample: other work on the machine hardly changes it."""
        return 1e9 * (self.client_cpu_seconds + self.prometheus_cpu_seconds) / self.samples


def measure(
    path: str,
    *,
    url: str,
    pid: int,
    hours: int,
    metrics: Sequence[str],
    repeats: int = 1,
    environment: Mapping[str, str] | None = None,
) -> Measured:
    """Run a path in a new process and return what it took."""
    command = [
        *(sys.executable, "-m", "benchmarks.measure", path, "--url", url, "--pid", str(pid)),
        *("--hours", str(hours), "--metrics", ",".join(metrics), "--repeats", str(repeats)),
    ]
    ran = subprocess.run(
        command,
        cwd=_REPOSITORY,
        env={**os.environ, **(environment or {})},  # noqa: TID251 - handed on whole, nothing is read
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=600,
    )
    return Measured(**json.loads(ran.stdout.splitlines()[-1]))


def main(argv: Sequence[str]) -> int:
    """Measure, and print the result."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.measure", description=__doc__)
    parser.add_argument("path")
    parser.add_argument("--url", required=True)
    parser.add_argument("--pid", type=int, required=True, help="of the Prometheus")
    parser.add_argument("--hours", type=int, required=True)
    parser.add_argument("--metrics", required=True)
    parser.add_argument("--repeats", type=int, default=1)
    args = parser.parse_args(argv)
    warnings.simplefilter("ignore")  # those of the peer's libraries are not ours to mend
    print(json.dumps(asdict(_measure_here(args))))
    return 0


def _measure_here(args: argparse.Namespace) -> Measured:
    from benchmarks.generate import make_span
    from benchmarks.paths import PATHS, Job

    run = PATHS[args.path]
    imported = _peak_mib("self")
    metrics = tuple(args.metrics.split(","))
    with tempfile.TemporaryDirectory(prefix="bench-") as name:

        def job(hours: int, turn: int) -> Job:
            folder = Path(name) / str(turn)
            folder.mkdir()
            return Job(args.url, make_span(hours), metrics[:1] if turn < 0 else metrics, folder)

        begun = time.perf_counter()
        run(job(1, -1))  # compiles, or loads what was compiled; imports what is imported late
        first = time.perf_counter() - begun
        seconds, cpu_seconds = [], []
        cpu = _cpu_seconds(args.pid)
        for turn in range(args.repeats):
            one = job(args.hours, turn)
            begun, cpu_begun = time.perf_counter(), time.process_time()
            output = run(one)
            seconds.append(time.perf_counter() - begun)
            cpu_seconds.append(time.process_time() - cpu_begun)
        cpu = _cpu_seconds(args.pid) - cpu
    return Measured(
        path=args.path,
        samples=output.samples,
        output_bytes=output.bytes,
        seconds=statistics.median(seconds),
        client_cpu_seconds=min(cpu_seconds),
        prometheus_cpu_seconds=cpu / args.repeats,
        prometheus_peak_mib=_peak_mib(str(args.pid)),
        peak_mib=_peak_mib("self"),
        import_mib=imported,
        first_call_seconds=first,
        repeats=args.repeats,
    )


def _cpu_seconds(pid: int) -> float:
    """Return the user and system time of a process and all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _peak_mib(pid: str) -> float:
    """Return the peak of resident memory. Unlike getrusage's, it doesn't begin at the parent's after an exec."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("this system doesn't tell the peak memory of a process")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
