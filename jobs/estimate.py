"""What the next run would take: windows, series, samples, bytes, requests. Reads no samples."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from collector.promql import Matcher
from jobs.config import Settings
from jobs.snapshot.run import choose_tables, plan_snapshot
from jobs.source import OpenSource, open_source
from jobs.store import open_store
from schemas.table import TableSchema
from schemas.windows import Window, to_ms

_BYTES_A_SAMPLE = 3.0  # zstd Parquet of gauges and counters, measured: research and `make bench`


@dataclass(frozen=True)
class TableEstimate:
    """One table of the next run. ``series`` were counted at the end of the newest due window."""

    table: str
    windows: int
    series: int
    samples: int
    bytes: int


@dataclass(frozen=True)
class Estimate:
    """The next run."""

    first: str | None
    last: str | None
    windows: int
    commits: int
    requests: int
    read_path: str
    tables: tuple[TableEstimate, ...]


def estimate_snapshot(settings: Settings, *, now: datetime, span: Window | None, only: tuple[str, ...]) -> Estimate:
    """Return what is due and how much it is, by one cheap count for each table."""
    tables = choose_tables(settings, only)
    source = open_source(settings, now=now)
    store = open_store(settings.staging, endpoint_url=settings.s3_endpoint_url)
    oldest = source.oldest(now=now, span=span)
    plan = plan_snapshot(settings, store, tables, oldest=oldest, now=now, span=span)
    windows = sorted(window for window, _ in plan.windows)
    points = settings.collection.window // settings.collection.step
    estimates = []
    for table in tables:
        due = sorted(window for window, due_tables in plan.windows if table in due_tables)
        series = _count_series(source, table, at_ms=to_ms(due[-1].end - timedelta(milliseconds=1))) if due else 0
        samples = series * points * len(due)
        estimates.append(TableEstimate(table.table, len(due), series, samples, round(samples * _BYTES_A_SAMPLE)))
    metrics = {table.table: len(table.metrics) for table in tables}
    requests = sum(1 + sum(metrics[table.table] for table in due) for _, due in plan.windows)
    return Estimate(
        first=f"{windows[0].start:%FT%TZ}" if windows else None,
        last=f"{windows[-1].end:%FT%TZ}" if windows else None,
        windows=len(windows),
        commits=plan.commits,
        requests=requests,
        read_path=source.reader.path,
        tables=tuple(estimates),
    )


def _count_series(source: OpenSource, table: TableSchema, *, at_ms: int) -> int:
    names = Matcher("__name__", "=~", "|".join(metric.name for metric in table.metrics))
    selector = ",".join(map(str, (names, *source.matchers)))
    vector = source.reader.api.query(f"count({{{selector}}})", at_ms=at_ms)
    return int(float(vector[0]["value"][1])) if vector else 0
