"""What all commands share: their common options, and how results and progress reach a terminal."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs.clock import read_clock
from schemas.errors import UsageError
from schemas.windows import Window, parse_duration, parse_instant

if TYPE_CHECKING:
    from jobs.config import Settings

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON for machines.")]
Start = Annotated[str | None, typer.Option(help="First instant, ISO 8601; UTC unless it says otherwise.")]
End = Annotated[str | None, typer.Option(help="First instant after the span.")]
Tables = Annotated[list[str] | None, typer.Option("--table", help="Only this table; may be given again.")]
Version = Annotated[str, typer.Argument(help="Calendar version, such as 2026.11.0.")]
Progress = Callable[[int, int, str], None]


def settings_of(context: typer.Context) -> "Settings":
    """Return the configuration that the command line names."""
    from jobs.config import read_settings

    return read_settings(context.obj)


def instant_of(text: str | None) -> datetime | None:
    """Return the instant of an option; raise ``UsageError`` for what is none."""
    if text is None:
        return None
    try:
        return parse_instant(text)
    except ValueError:
        raise UsageError(f"found the instant {text!r}; wanted ISO 8601, such as 2026-11-01T06:00Z") from None


def duration_of(text: str) -> timedelta:
    """Return the duration of an option; raise ``UsageError`` for what is none."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(str(error)) from None


def span_of(settings: "Settings", start: str | None, end: str | None) -> Window | None:
    """Return the whole windows that ``--start`` and ``--end`` touch; ``None`` when neither is given."""
    from jobs.snapshot.plan import snap_span

    first, last = instant_of(start), instant_of(end)
    if first is None and last is None:
        return None
    if first is None or last is None:
        raise UsageError("found one of --start and --end; wanted both, or neither for all that is due")
    return snap_span(settings, first, last, now=read_clock())


def print_result(as_json: bool, facts: object, lines: Sequence[str]) -> None:
    """Write a result to stdout: as JSON for machines, as lines for people."""
    text = json.dumps(facts, indent=1, default=str) if as_json else "\n".join(lines)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


@contextmanager
def show_progress() -> Iterator[Progress]:
    """Yield a progress callback: a bar where stderr is a terminal, silence elsewhere."""
    if not sys.stderr.isatty():
        yield lambda done, total, what: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns: list[Any] = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total, what: bar.update(task, completed=done, total=total, description=what)
