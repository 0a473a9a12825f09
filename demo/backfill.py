"""Turn series of the past into the blocks of a new Prometheus TSDB, before its server starts.

Only ever into an empty folder: samples that are older than the newest block are dropped from a write-ahead log, and
overlapping blocks change the density of the data. The folder gets its name when it is complete.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from demo.cluster.span import HOUR, Series, Span
from demo.errors import DemoError
from demo.openmetrics import write_openmetrics

BLOCK = 2 * HOUR  # the TSDB's own block range; a block never crosses a multiple of it
_WORKERS = 2  # promtool keeps one core busy per process
_PROMTOOL_SECONDS = 600


def backfill(promtool: Path, tsdb: Path, series: Sequence[Series], span: Span) -> int:
    """Make ``tsdb`` hold the samples of ``span``; return their number.

    Builds one block per two hours, since promtool reads its whole input anew for each block.
    """
    refuse_used(tsdb)
    partial = tsdb.with_name(f"{tsdb.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # an earlier run was interrupted
    (partial / "blocks").mkdir(parents=True)
    with ThreadPoolExecutor(_WORKERS) as pool:
        built = list(pool.map(lambda part: _build_block(promtool, partial, series, part), split_span(span)))
    if tsdb.exists():
        tsdb.rmdir()  # refuse_used has seen that it is empty
    (partial / "blocks").rename(tsdb)
    shutil.rmtree(partial)
    return sum(built)


def refuse_used(tsdb: Path) -> None:
    """Raise unless ``tsdb`` is missing or empty."""
    if tsdb.exists() and any(tsdb.iterdir()):
        raise DemoError(f"found blocks or a write-ahead log in {tsdb}, wanted an empty TSDB; remove the folder first")


def split_span(span: Span) -> Iterator[Span]:
    """Yield the parts of ``span`` between multiples of a block's length."""
    start = span.start
    while start < span.end:
        end = min((start // BLOCK + 1) * BLOCK, span.end)
        yield Span(start, end)
        start = end


def _build_block(promtool: Path, partial: Path, series: Sequence[Series], span: Span) -> int:
    text = partial / f"{span.start}.om"
    try:
        with text.open("w", encoding="utf-8") as file:
            samples = write_openmetrics(file, series, span)
        command: list[str | Path] = [
            promtool,
            "tsdb",
            "create-blocks-from",
            "openmetrics",
            "--quiet",
            text,
            partial / "blocks",
        ]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=_PROMTOOL_SECONDS, check=False)
    finally:
        text.unlink(missing_ok=True)
    if ran.returncode:
        said = (ran.stderr or ran.stdout).strip().splitlines() or [f"exit code {ran.returncode}"]
        raise DemoError(f"promtool made no block of {span.start}..{span.end}, wanted one; it said: {said[-1]}")
    return samples
