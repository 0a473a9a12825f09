"""Which windows of which tables are due: settled ones without a commit, the newest first, then the oldest."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from collector.plan import plan_windows
from jobs.config import Settings
from jobs.kept import windows_given_up
from jobs.snapshot.commits import committed_windows
from jobs.store import Store
from schemas.errors import UsageError
from schemas.table import TableSchema
from schemas.windows import Window, format_duration, snap_outward, span_ms


@dataclass(frozen=True)
class SnapshotPlan:
    """Which tables of which windows are due, the newest window first, then the oldest."""

    windows: tuple[tuple[Window, tuple[TableSchema, ...]], ...]

    @property
    def commits(self) -> int:
        """How many commits this would make."""
        return sum(len(tables) for _, tables in self.windows)


def plan_snapshot(
    settings: Settings,
    store: Store,
    tables: Sequence[TableSchema],
    *,
    oldest: datetime | None,
    now: datetime,
    span: Window | None = None,
) -> SnapshotPlan:
    """Return what is due: all settled windows without a commit, or those of ``span``, snapped outward.

    Windows that were given up with their key are due no more; a ``span`` that names them asks for what cannot be.
    """
    collection = settings.collection
    width_ms = span_ms(collection.window)
    given_up = {} if span else windows_given_up(store, settings.source.name, collection.window)
    due: dict[Window, list[TableSchema]] = {}
    for table in tables:
        committed = committed_windows(store, settings.source.name, table, width_ms)
        committed |= given_up.get(table.table, frozenset())
        windows = plan_windows(
            committed=committed,
            oldest=oldest,
            now=now,
            width=collection.window,
            settle=collection.settle,
            max_catch_up=now - span.start if span else collection.max_catch_up,
        )
        for window in windows:
            if span is None or window.end <= span.end:
                due.setdefault(window, []).append(table)
    newest = sorted(due, reverse=True)[:1]
    backlog = [window for window in sorted(due) if window not in newest]
    return SnapshotPlan(tuple((window, tuple(due[window])) for window in (*newest, *backlog)))


def snap_span(settings: Settings, start: datetime, end: datetime, *, now: datetime) -> Window:
    """Return a span given by hand as whole windows; raise ``UsageError`` when it has not settled yet."""
    collection = settings.collection
    if start >= end:
        raise UsageError(f"found a span that ends at {end:%FT%TZ}, not after its start; wanted --start before --end")
    span = snap_outward(start, end, collection.window)
    if span.end > now - collection.settle:
        raise UsageError(
            f"the span {span} has not settled: it is {now:%FT%TZ} and collection.settle is "
            f"{format_duration(collection.settle)}; wanted an end at or before {now - collection.settle:%FT%TZ}"
        )
    return span
