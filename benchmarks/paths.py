"""The ways from a Prometheus to files, each as a function from a job to what came out."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Final, Literal

from anonymize.identity import IdentityFrame
from anonymize.keys import KEY_BYTES, PseudonymKey
from anonymize.pseudonyms import Pseudonymizer
from benchmarks.generate import SHAPES, STEP
from collector.grid import make_grid
from jobs.config import Settings
from jobs.snapshot.collect import TableCollector
from jobs.source import open_source
from schemas.policy import Policy, TableRule
from schemas.registry import read_policy
from schemas.table import TableSchema
from schemas.windows import Window

_LABELS: Final = ("namespace", "pod", "container", "node", "workload", "device")


@dataclass(frozen=True)
class Job:
    """Which metrics of which span are taken from where, and where to."""

    url: str
    span: Window
    metrics: tuple[str, ...]
    folder: Path


@dataclass(frozen=True)
class Output:
    """How much came out."""

    samples: int
    bytes: int


def run_ours(job: Job) -> Output:
    """Do what ``opspub snapshot`` does for one table and window, up to the commit, by remote read."""
    return _collect(job, "remote-read")


def run_ours_http(job: Job) -> Output:
    """The same by the query API, for servers without remote read."""
    return _collect(job, "http")


def run_read_only(job: Job) -> Output:
    """Read and grid by remote read, and write nothing."""
    settings = _settings(job, "remote-read")
    source = open_source(settings, now=job.span.end)
    grid = make_grid(job.span, step_ms=30_000, lookback_ms=300_000, includes_edge=source.server.lookback_includes_edge)
    blocks = (block for metric in job.metrics for block in source.reader.read(metric, (), grid))
    return Output(sum(int(block.decode_all().lengths.sum()) for block in blocks), 0)


def run_chunks(job: Job) -> Output:
    """Fetch the TSDB's own chunks: their bytes are what Prometheus stores for these samples."""
    from collector.connection import Access, Connection
    from collector.grid import Grid
    from collector.remote_read import decode_frames, encode_request

    connection = Connection(Access(job.url))
    grid = Grid(job.span.start_ms, job.span.end_ms, 30_000, 0, lookback_includes_edge=True)
    samples = size = 0
    for metric in job.metrics:
        with connection.session.post(
            f"{job.url}/api/v1/read",
            data=encode_request(metric, (), grid),
            headers={"Content-Encoding": "snappy", "X-Prometheus-Remote-Read-Version": "0.1.0"},
            stream=True,
            timeout=60,
        ) as response:
            for _, chunks in decode_frames("chunks", response):
                samples += sum(int.from_bytes(chunk.data[:2], "big") for chunk in chunks)
                size += sum(len(chunk.data) for chunk in chunks)
    return Output(samples, size)


def run_peer(job: Job) -> Output:
    """Do what a notebook does today: prometheus-api-client, its data frame, pandas' Parquet."""
    from prometheus_api_client import MetricRangeDataFrame, PrometheusConnect

    samples = size = 0
    connect = PrometheusConnect(url=job.url)
    for metric in job.metrics:
        answer = connect.get_metric_range_data(metric, start_time=job.span.start, end_time=job.span.end)
        frame = MetricRangeDataFrame(answer)
        path = job.folder / f"peer-{metric}.parquet"
        frame.to_parquet(path)
        samples += len(frame)
        size += path.stat().st_size
    return Output(samples, size)


def run_peer_read_only(job: Job) -> Output:
    """Read into the peer's data frame, and write nothing."""
    from prometheus_api_client import MetricRangeDataFrame, PrometheusConnect

    connect = PrometheusConnect(url=job.url)
    frames = (
        MetricRangeDataFrame(connect.get_metric_range_data(name, start_time=job.span.start, end_time=job.span.end))
        for name in job.metrics
    )
    return Output(sum(map(len, frames)), 0)


def run_query_range(job: Job) -> Output:
    """Only download what the server's query_range answers, with the headers of requests, and look at nothing."""
    import requests

    size = 0
    for metric in job.metrics:
        params: dict[str, str | float] = {
            "query": metric,
            "start": job.span.start.timestamp(),
            "end": (job.span.end - STEP).timestamp(),
            "step": STEP.total_seconds(),
        }
        answer = requests.get(f"{job.url}/api/v1/query_range", params=params, timeout=120)
        answer.raise_for_status()
        size += len(answer.content)
        series = answer.content.count(b'"metric":{')
    return Output(series * len(job.metrics) * ((job.span.end - job.span.start) // STEP), size)


PATHS: Final[dict[str, Callable[[Job], Output]]] = {
    "ours": run_ours,
    "ours-http": run_ours_http,
    "ours-read-only": run_read_only,
    "chunks": run_chunks,
    "peer": run_peer,
    "peer-read-only": run_peer_read_only,
    "query_range": run_query_range,
}


def make_table(metrics: tuple[str, ...]) -> TableSchema:
    """Return a table of those metrics with six pseudonymised label columns."""
    return TableSchema.model_validate(
        {
            "table": "bench",
            "version": "1.0",
            "family": "ops",
            "description": "Made-up metrics of the benchmark.",
            "labels": [{"name": name, "identity": name, "meaning": f"The {name} of a series."} for name in _LABELS],
            "sort_key": ["namespace", "pod", "container", "node"],
            "metrics": [
                {
                    "name": shape.metric,
                    "type": shape.type,
                    "unit": "1",
                    "exporter": "benchmarks.generate",
                    "meaning": f"A {shape.says}.",
                    "labels": list(_LABELS),
                }
                for shape in SHAPES
                if shape.metric in metrics
            ],
        }
    )


def make_policy(table: TableSchema) -> Policy:
    """Return the shipped policy with a rule for the benchmark's table."""
    shipped = _read_shipped()
    some = next(iter(shipped.tables.values()))
    rule: TableRule = some.model_copy(update={"metrics": tuple(metric.name for metric in table.metrics)})
    return shipped.model_copy(update={"tables": {**shipped.tables, table.table: rule}})


@cache
def _read_shipped() -> Policy:
    return read_policy("default")  # once a process, as `opspub` does


def _settings(job: Job, read: Literal["remote-read", "http"]) -> Settings:
    source = {"name": "bench", "provenance": "simulated", "url": job.url, "read": read, "identity": "none"}
    window = job.span.end - job.span.start
    return Settings.model_validate({"source": source, "collection": {"window": window, "step": STEP}})


def _collect(job: Job, read: Literal["remote-read", "http"]) -> Output:
    source = open_source(_settings(job, read), now=job.span.end)
    table = make_table(job.metrics)
    grid = make_grid(
        job.span,
        step_ms=STEP // timedelta(milliseconds=1),
        lookback_ms=300_000,
        includes_edge=source.server.lookback_includes_edge,
    )
    pseudonymizer = Pseudonymizer(PseudonymKey("k_bench", secrets.token_bytes(KEY_BYTES)))
    frame = IdentityFrame(kubernetes=False)
    collector = TableCollector(source, table, make_policy(table), pseudonymizer, job.span, grid, frame)
    staged = collector.collect(job.folder)
    return Output(staged.rows, sum(file.bytes for file in staged.files.values()))
