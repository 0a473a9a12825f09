"""Our ways from a Prometheus to files, each as a function from a job to what came out."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Final, Literal

from anonymize.identity import IdentityFrame
from anonymize.key_strength import KEY_BYTES
from anonymize.keys import PseudonymKey
from anonymize.pseudonyms import Pseudonymizer
from benchmarks.job import Job, Output
from benchmarks.series import SHAPES, STEP
from collector.grid import SeriesBlock, make_grid
from jobs.config import Settings
from jobs.snapshot.collect import OpenWindow, TableCollector
from jobs.source import open_source
from schemas.policy import Policy, TableRule
from schemas.registry import read_policy
from schemas.table import TableSchema
from schemas.windows import windows_between

_LABELS: Final = ("namespace", "pod", "container", "node", "workload", "device")


def run_ours(job: Job) -> Output:
    """Do what ``opspub snapshot`` does for one table and window, up to the commit, by remote read."""
    return _collect_windows(job, "remote-read")


def run_ours_http(job: Job) -> Output:
    """The same by the query API, for servers without remote read."""
    return _collect_windows(job, "http")


def _collect_windows(job: Job, read: Literal["remote-read", "http"]) -> Output:
    width = timedelta(hours=job.window_hours)
    outputs = []
    for window in windows_between(job.span.start, job.span.end, width) if width else (job.span,):
        folder = job.folder / window.name
        folder.mkdir()
        outputs.append(_collect(replace(job, span=window, folder=folder), read))
    return Output(sum(output.samples for output in outputs), sum(output.bytes for output in outputs))


def run_read_only(job: Job) -> Output:
    """Read and grid by remote read, and write nothing."""
    settings = _settings(job, "remote-read")
    source = open_source(settings, now=job.span.end)
    grid = make_grid(job.span, step_ms=30_000, lookback_ms=300_000, includes_edge=source.server.lookback_includes_edge)
    blocks = (block for metric in job.metrics for block in source.reader.read(metric, (), grid))
    return Output(sum(int(block.decode_all().lengths.sum()) for block in blocks if isinstance(block, SeriesBlock)), 0)


PATHS: Final[dict[str, Callable[[Job], Output]]] = {
    "ours": run_ours,
    "ours-http": run_ours_http,
    "ours-read-only": run_read_only,
}


def make_table(metrics: tuple[str, ...]) -> TableSchema:
    """Return a table of those metrics with six pseudonymised label columns, and the numbers that some have."""
    shapes = [shape for shape in SHAPES if shape.metric in metrics]
    numbers = sorted({name for shape in shapes for name in shape.numbers})
    return TableSchema.model_validate(
        {
            "table": "bench",
            "version": "1.0",
            "family": "ops",
            "description": "Made-up metrics of the benchmark.",
            "labels": [
                *({"name": name, "identity": name, "meaning": f"The {name} of a series."} for name in _LABELS),
                *({"name": name, "number": "text", "meaning": f"The {name} of a series."} for name in numbers),
            ],
            "sort_key": ["namespace", "pod", "container", "node", *numbers],
            "metrics": [
                {
                    "name": shape.metric,
                    "type": shape.type,
                    "unit": "1",
                    "exporter": "benchmarks.generate",
                    "meaning": f"A {shape.says}.",
                    "labels": [*_LABELS, *shape.numbers],
                }
                for shape in shapes
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
    opened = OpenWindow(job.span, grid, pseudonymizer, frame, source.read_scrapes(grid))
    collector = TableCollector(source, table, make_policy(table), opened)
    staged = collector.collect(job.folder)
    return Output(staged.rows, sum(file.bytes for file in staged.files.values()))
