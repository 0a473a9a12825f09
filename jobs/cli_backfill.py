"""The command ``backfill``: a snapshot of a long span, by several workers."""

import dataclasses
from typing import Annotated

import typer

from jobs.clock import read_stopwatch
from jobs.terminal import End, Json, Start, Tables, print_result, settings_of, show_progress, span_of
from schemas.errors import UsageError


def backfill(
    context: typer.Context,
    start: Start = None,
    end: End = None,
    table: Tables = None,
    workers: Annotated[
        int, typer.Option(help="Windows at a time, each in a process; limits.concurrent_reads is for all.")
    ] = 1,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler, such as tcp://dask.example:8786.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Collect a long span, the oldest window first; goes on where it ended, as often as it is called."""
    from jobs.backfill import PATIENCE_SECONDS, run_backfill
    from jobs.config import find_config
    from jobs.lean import leave_pandas_out
    from jobs.signals import told_to_stop

    leave_pandas_out()
    settings = settings_of(context)
    span = span_of(settings, start, end)
    if span is None:
        raise UsageError("found neither --start nor --end; wanted the span to collect")
    began = read_stopwatch()
    with show_progress() as progress, told_to_stop(patience_seconds=PATIENCE_SECONDS + 1) as stopped:
        result = run_backfill(
            settings,
            span=span,
            only=tuple(table or ()),
            workers=workers,
            scheduler=scheduler,
            config=find_config(context.obj).absolute(),
            progress=progress,
            stop=stopped.is_set,
        )
    seconds = read_stopwatch() - began
    lines = [
        f"committed {result.commits} of {result.due} due snapshots in {result.windows} windows: {result.rows:,} rows, "
        f"{result.bytes / (1 << 20):.1f} MiB, {seconds:.1f} s"
        if result.due
        else "nothing is due in this span"
    ]
    lines += [f"left out for good: {gap}" for gap in result.gaps]
    print_result(as_json, {**dataclasses.asdict(result), "seconds": round(seconds, 3)}, lines)
