"""What the next run would take: windows, series, samples, bytes, requests and load. Counts series, reads no samples."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from collector.counts import list_wanted
from collector.grid import Grid, make_grid
from collector.http_read import plan_spans
from collector.reader import ReadPath
from collector.split import Read
from jobs.config import Settings
from jobs.registry import choose_tables
from jobs.snapshot.plan import plan_snapshot
from jobs.source import OpenSource, open_source
from jobs.store import open_store
from schemas.derived import is_derived
from schemas.table import TableSchema
from schemas.windows import Window, span_ms

_BYTES_A_SAMPLE: Final = 3.0  # zstd Parquet of gauges and counters, measured: research and `make bench`


@dataclass(frozen=True)
class Cost:
    """CPU seconds that Prometheus spends on a series of a window, and on each of its samples."""

    series: float
    sample: float


# measured on Prometheus 2.42, rounded up: an hour of a series costs more from its head than from a block
_COSTS: Final[Mapping[ReadPath, Cost]] = {"remote-read": Cost(20e-6, 20e-9), "http": Cost(5e-6, 240e-9)}
_COUNT_SECONDS: Final = 6e-6  # for each series at one instant, of which a window adds one


@dataclass(frozen=True)
class DividedMetric:
    """A metric that has more series than ``limits.max_series_per_read``. ``labels`` divide it."""

    metric: str
    series: int
    reads: int
    labels: tuple[str, ...]
    largest: int
    """Series in the largest of its reads."""


@dataclass(frozen=True)
class TableEstimate:
    """One table of the next run. ``series`` and ``reads`` are those of its newest due window."""

    table: str
    windows: int
    series: int
    samples: int
    bytes: int
    reads: int
    requests: int
    prometheus_cpu_seconds: float
    divided: tuple[DividedMetric, ...] = ()


@dataclass(frozen=True)
class Estimate:
    """The next run."""

    first: str | None
    last: str | None
    windows: int
    commits: int
    requests: int
    samples: int
    bytes: int
    prometheus_cpu_seconds: float
    read_path: str
    max_series_per_read: int
    tables: tuple[TableEstimate, ...]


def estimate_snapshot(settings: Settings, *, now: datetime, span: Window | None, only: tuple[str, ...]) -> Estimate:
    """Return what is due and how much it is: of each table the newest due window is counted, the others taken alike."""
    tables = choose_tables(settings, only)
    source = open_source(settings, now=now)
    store = open_store(settings.staging, endpoint_url=settings.s3_endpoint_url)
    oldest = source.oldest(now=now, span=span)
    plan = plan_snapshot(settings, store, tables, oldest=oldest, now=now, span=span)
    windows = sorted(window for window, _ in plan.windows)
    due = {table.table: [window for window, wanted in plan.windows if table in wanted] for table in tables}
    estimates = tuple(_estimate_table(settings, source, table, sorted(due[table.table])) for table in tables)
    frames = len(windows) if settings.source.identity == "kubernetes" else 0
    return Estimate(
        first=f"{windows[0].start:%FT%TZ}" if windows else None,
        last=f"{windows[-1].end:%FT%TZ}" if windows else None,
        windows=len(windows),
        commits=plan.commits,
        requests=frames + sum(each.requests for each in estimates),
        samples=sum(each.samples for each in estimates),
        bytes=sum(each.bytes for each in estimates),
        prometheus_cpu_seconds=round(sum(each.prometheus_cpu_seconds for each in estimates), 3),
        read_path=source.reader.path,
        max_series_per_read=settings.limits.max_series_per_read,
        tables=estimates,
    )


def render_estimate(estimate: Estimate) -> Iterator[str]:
    """Yield the lines that people read."""
    yield (
        f"{estimate.windows} windows are due, {estimate.commits} commits, {estimate.requests:,} requests "
        f"by {estimate.read_path}"
    )
    if not estimate.windows:
        return
    yield f"from {estimate.first} to {estimate.last}"
    yield f"{'table':14} {'windows':>8} {'series':>11} {'samples':>15} {'MiB':>9} {'reads':>6} {'CPU s':>8}"
    for table in estimate.tables:
        yield (
            f"{table.table:14} {table.windows:8,} {table.series:11,} {table.samples:15,} "
            f"{table.bytes / (1 << 20):9,.1f} {table.reads:6,} {table.prometheus_cpu_seconds:8,.1f}"
        )
    yield (
        f"about {estimate.samples:,} samples, {estimate.bytes / (1 << 20):,.1f} MiB in staging, "
        f"{estimate.prometheus_cpu_seconds:,.1f} s of Prometheus's CPU"
    )
    yield "estimates: series of the newest due window at its ends, and measured costs of a series and a sample"
    for divided in (divided for table in estimate.tables for divided in table.divided):
        by = ", ".join(divided.labels)
        yield f"{divided.metric}: {divided.series:,} series in {divided.reads} reads" + (
            f", divided by {by}" if by else ""
        )
        if divided.largest > estimate.max_series_per_read:
            yield (
                f"{divided.metric}: a read of {divided.largest:,} series is over limits.max_series_per_read "
                f"{estimate.max_series_per_read:,}, and no label divides it"
            )


def _estimate_table(settings: Settings, source: OpenSource, table: TableSchema, due: Sequence[Window]) -> TableEstimate:
    if not due:
        return TableEstimate(table.table, 0, 0, 0, 0, 0, 0, 0.0)
    collection = settings.collection
    grid = make_grid(
        due[-1],
        step_ms=span_ms(collection.step),
        lookback_ms=span_ms(collection.lookback),
        includes_edge=source.server.lookback_includes_edge,
    )
    wanted = [each for each in list_wanted(table, source.matchers) if not is_derived(each.metric)]
    plan = source.reader.plan(wanted, grid, most=settings.limits.max_series_per_read)
    plans = {each.metric: plan.parts(each.metric) for each in wanted}
    reads = [read for parts in plans.values() for read in parts]
    series = sum(read.series or 0 for read in reads)
    samples = series * grid.points * len(due)
    cost = _COSTS[source.reader.path]
    counts = len({each.matchers for each in wanted})
    return TableEstimate(
        table=table.table,
        windows=len(due),
        series=series,
        samples=samples,
        bytes=round(samples * _BYTES_A_SAMPLE),
        reads=len(reads),
        requests=len(due) * (counts + sum(_requests(read, grid, source.reader.path) for read in reads)),
        prometheus_cpu_seconds=round(len(due) * series * (cost.series + _COUNT_SECONDS) + samples * cost.sample, 3),
        divided=tuple(
            _describe(metric, parts)
            for metric, parts in plans.items()
            if len(parts) > 1 or (parts[0].series or 0) > settings.limits.max_series_per_read
        ),
    )


def _requests(read: Read, grid: Grid, path: ReadPath) -> int:
    return len(plan_spans(grid.points, read.series or 0)) if path == "http" else 1


def _describe(metric: str, parts: Sequence[Read]) -> DividedMetric:
    labels = dict.fromkeys(matcher.name for part in parts for matcher in part.matchers)
    sizes = [part.series or 0 for part in parts]
    return DividedMetric(metric, sum(sizes), len(parts), tuple(labels), max(sizes))
