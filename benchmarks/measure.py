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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from benchmarks.job import Job, Output, make_span
from benchmarks.process import read_age_seconds, read_cpu_seconds, read_peak_mib, reset_peak

_REPOSITORY: Final = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Measured:
    """What one path took: median seconds, least CPU of the client, mean CPU of Prometheus, each of one repeat.

    ``peak_mib`` is the client's, imports included; ``start_seconds`` is from the start of its process to the end of
    its imports, ``first_call_seconds`` what an hour of one metric took as the first thing it did.
    """

    path: str
    samples: int
    output_bytes: int
    seconds: float
    client_cpu_seconds: float
    prometheus_cpu_seconds: float
    prometheus_peak_mib: float
    peak_mib: float
    import_mib: float
    start_seconds: float
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


@dataclass(frozen=True)
class What:
    """What is taken: some hours of some metrics, from an hour of a day on; ``window_hours`` as in ``Job``."""

    metrics: tuple[str, ...]
    hours: int
    day: int = 0
    hour: int = 0
    window_hours: int = 0


def measure(
    path: str,
    what: What,
    *,
    url: str,
    pid: int,
    repeats: int = 1,
    data: Path | None = None,
    promtool: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Measured:
    """Run a path in a new process and return what it took."""
    command = [sys.executable, "-m", "benchmarks.measure", path, f"--url={url}", f"--pid={pid}"]
    command += [
        f"--hours={what.hours}",
        f"--day={what.day}",
        f"--hour={what.hour}",
        f"--metrics={','.join(what.metrics)}",
    ]
    command += [f"--window-hours={what.window_hours}", f"--repeats={repeats}"]
    command += [f"--{name}={value}" for name, value in (("data", data), ("promtool", promtool)) if value]
    ran = subprocess.run(
        command,
        cwd=_REPOSITORY,
        env={**os.environ, **(environment or {})},  # noqa: TID251 - handed on whole, nothing is read
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=900,
    )
    return Measured(**json.loads(ran.stdout.splitlines()[-1]))


def main(argv: Sequence[str]) -> int:
    """Measure, and print the result."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.measure", description=__doc__)
    parser.add_argument("path")
    parser.add_argument("--url", required=True)
    parser.add_argument("--pid", type=int, required=True, help="of the Prometheus")
    parser.add_argument("--hours", type=int, required=True)
    parser.add_argument("--day", type=int, default=0)
    parser.add_argument("--hour", type=int, default=0)
    parser.add_argument("--window-hours", type=int, default=0)
    parser.add_argument("--metrics", required=True)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--promtool", type=Path)
    args = parser.parse_args(argv)
    warnings.simplefilter("ignore")  # those of the peer's libraries are not ours to mend
    print(json.dumps(asdict(_measure_here(args))))
    return 0


def _find_path(name: str) -> Callable[[Job], Output]:
    """Return the function of a path; only what it needs itself is imported, or its memory would not be its own."""
    if name == "chunks":
        from benchmarks.chunks import run_chunks

        return run_chunks
    from benchmarks import others

    found = {
        "dump": others.run_dump,
        "peer": others.run_peer,
        "peer-read-only": others.run_peer_read_only,
        "query_range": others.run_query_range,
    }
    if name in found:
        return found[name]
    from benchmarks.paths import PATHS
    from jobs.lean import leave_pandas_out

    leave_pandas_out()  # as `opspub snapshot` does
    return PATHS[name]


def _measure_here(args: argparse.Namespace) -> Measured:
    run = _find_path(args.path)
    started, imported = read_age_seconds(), read_peak_mib("self")
    metrics = tuple(args.metrics.split(","))
    with tempfile.TemporaryDirectory(prefix="bench-") as name:

        def job(turn: int) -> Job:
            folder = Path(name) / str(turn)
            folder.mkdir()
            first = turn < 0
            return Job(
                args.url,
                make_span(1 if first else args.hours, day=args.day, hour=args.hour),
                metrics[:1] if first else metrics,
                folder,
                window_hours=0 if first else args.window_hours,
                data=args.data,
                promtool=args.promtool,
            )

        begun = time.perf_counter()
        run(job(-1))  # compiles, or loads what was compiled; imports what is imported late
        first_call = time.perf_counter() - begun
        reset_peak(args.pid)
        seconds, cpu_seconds = [], []
        cpu = read_cpu_seconds(args.pid)
        for turn in range(args.repeats):
            one = job(turn)
            begun, cpu_begun = time.perf_counter(), _own_cpu_seconds()
            output = run(one)
            seconds.append(time.perf_counter() - begun)
            cpu_seconds.append(_own_cpu_seconds() - cpu_begun)
        cpu = read_cpu_seconds(args.pid) - cpu
    return Measured(
        path=args.path,
        samples=output.samples,
        output_bytes=output.bytes,
        seconds=statistics.median(seconds),
        client_cpu_seconds=min(cpu_seconds),
        prometheus_cpu_seconds=cpu / args.repeats,
        prometheus_peak_mib=read_peak_mib(str(args.pid)),
        peak_mib=read_peak_mib("self") if output.peak_mib is None else output.peak_mib,
        import_mib=imported,
        start_seconds=started,
        first_call_seconds=first_call,
        repeats=args.repeats,
    )


def _own_cpu_seconds() -> float:
    """Return the CPU time of this process and of the programs that it started and that ended."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
