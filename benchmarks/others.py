"""The ways that are not ours: what else takes samples out of a Prometheus, and what they cost it."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from typing import Any, Final

from benchmarks.job import Job, Output
from benchmarks.process import read_peak_mib

_STEP_SECONDS: Final = 30
_READ_BYTES: Final = 1 << 20


def run_peer(job: Job) -> Output:
    """Do what a notebook does today: prometheus-api-client, its data frame, pandas' Parquet."""
    samples = size = 0
    for number, frame in enumerate(_read_frames(job)):
        path = job.folder / f"peer-{number}.parquet"
        frame.to_parquet(path)
        samples += len(frame)
        size += path.stat().st_size
    return Output(samples, size)


def run_peer_read_only(job: Job) -> Output:
    """Read into the peer's data frame, and write nothing."""
    return Output(sum(map(len, _read_frames(job))), 0)


def _read_frames(job: Job) -> Iterator[Any]:
    from prometheus_api_client import MetricRangeDataFrame, PrometheusConnect

    connect = PrometheusConnect(url=job.url)
    for metric in job.metrics:
        answer = connect.get_metric_range_data(metric, start_time=job.span.start, end_time=job.span.end)
        yield MetricRangeDataFrame(answer)


def run_query_range(job: Job) -> Output:
    """Only download what the server's query_range answers, with the headers of requests; count, decode nothing."""
    import requests

    samples = size = 0
    for metric in job.metrics:
        params: dict[str, str | float] = {
            "query": metric,
            "start": job.span.start.timestamp(),
            "end": job.span.end.timestamp() - _STEP_SECONDS,
            "step": _STEP_SECONDS,
        }
        answer = requests.get(f"{job.url}/api/v1/query_range", params=params, timeout=300)
        answer.raise_for_status()
        size += len(answer.content)
        samples += answer.content.count(b'"],[') + answer.content.count(b'"values":[[')
    return Output(samples, size)


def run_dump(job: Job) -> Output:
    """Let promtool dump the samples from the server's folder as text; the server does nothing."""
    assert job.data
    assert job.promtool
    samples = size = 0
    peak = 0.0
    bounds = (f"--min-time={job.span.start_ms}", f"--max-time={job.span.end_ms - 1}")
    match = f"--match={{__name__=~'{'|'.join(job.metrics)}'}}"
    command = [str(job.promtool), "tsdb", "dump", *bounds, match, str(job.data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0) as dump:
        assert dump.stdout
        while part := dump.stdout.read(_READ_BYTES):
            samples += part.count(b"\n")
            size += len(part)
            with contextlib.suppress(RuntimeError):  # it may just have ended
                peak = max(peak, read_peak_mib(str(dump.pid)))
    if dump.returncode:
        raise RuntimeError(f"promtool tsdb dump ended with code {dump.returncode}")
    return Output(samples, size, peak)
