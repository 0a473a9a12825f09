"""Coverage of a release from the commits' records: hours for machines, gaps for people. Pure.

Windows that nobody collected or could read count, too: as many samples are expected of them as the committed windows
before and after them expect on average.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise
from types import MappingProxyType
from typing import Final

import pyarrow as pa

from jobs.card.facts import ALL_METRICS, Gap
from schemas.arrow import COVERAGE_SCHEMA
from schemas.commit import CommitRecord, HourCoverage, MetricCoverage, MetricStatus
from schemas.coverage import (
    KEY_DESTROYED,
    NOT_COLLECTED,
    REASONS,
    SOURCE_DOWN,
    SUPPRESSED,
    TARGET_ABSENT,
    TARGET_DOWN,
)
from schemas.hours import HOUR_MS, cut_at_hours
from schemas.table import TableSchema
from schemas.windows import Window, from_ms, to_ms, windows_between

_WEIGHT: Final = {reason: number for number, reason in enumerate((NOT_COLLECTED, *REASONS))}
_Key = tuple[str, str, str]
"""Source, table, metric."""


@dataclass(frozen=True, slots=True)
class CoverageRow:
    """One hour of one metric: a row of ``coverage.parquet``. ``hour`` is its start, in milliseconds."""

    source: str
    table: str
    metric: str
    hour: int
    expected: int
    received: int
    points: int
    held: int | None
    status: MetricStatus
    reason: str | None
    estimated: bool
    scrapes: int | None
    scrapes_failed: int | None
    scrapes_unseen: int | None

    @property
    def missing(self) -> int:
        """Raw samples that were expected and not received."""
        return max(0, self.expected - self.received)


@dataclass(frozen=True, slots=True)
class ReleaseCoverage:
    """What was expected in the span of a release, what is there, and where nothing is."""

    rows: tuple[CoverageRow, ...] = field(repr=False)
    gaps: tuple[Gap, ...]

    def to_table(self) -> pa.Table:
        """Return the rows of ``coverage.parquet``."""
        columns = [pa.array([getattr(row, each.name) for row in self.rows], each.type) for each in COVERAGE_SCHEMA]
        return pa.Table.from_arrays(columns, schema=COVERAGE_SCHEMA)


def cover_release(
    commits: Sequence[CommitRecord],
    schemas: Sequence[TableSchema],
    span: Window,
    width: timedelta,
    given_up: Mapping[str, Collection[Window]] = MappingProxyType({}),
    *,
    token: str,
) -> ReleaseCoverage:
    """Return the coverage of every metric of ``schemas`` in ``span``; windows shorter than an hour are summed.

    ``given_up`` holds for each table the windows that went with a destroyed key, ``token`` is the source's.
    """
    windows: dict[_Key, dict[Window, MetricCoverage]] = defaultdict(dict)
    for record in commits:
        for metric in record.coverage:
            windows[record.source_token, record.table, metric.metric][record.window.window] = metric
    planned = list(windows_between(span.start, span.end, width))
    rows: list[CoverageRow] = []
    gaps: list[Gap] = []
    for schema in schemas:
        for name in sorted({metric.name for metric in schema.metrics} | _names_of(windows, token, schema.table)):
            key = (token, schema.table, name)
            found = _keep_target_down(windows.get(key, {}))
            filled = _fill_missing(found, planned, metric=name, gone=given_up.get(schema.table, ()))
            rows += _sum_by_hours(key, filled)
            gaps += _find_gaps(schema.table, name, {window: filled[window] for window in found})
        done = {record.window.window for record in commits if record.table == schema.table}
        gone = given_up.get(schema.table, ())
        for reason, missing in (
            (NOT_COLLECTED, [window for window in planned if window not in done and window not in gone]),
            (KEY_DESTROYED, [window for window in planned if window not in done and window in gone]),
        ):
            gaps += [Gap(schema.table, ALL_METRICS, start, end, reason) for start, end in _joined(missing)]
    return ReleaseCoverage(
        tuple(sorted(rows, key=lambda row: (row.source, row.table, row.metric, row.hour))),
        tuple(sorted(gaps, key=lambda gap: (gap.table, gap.metric, gap.start))),
    )


def mark_suppressed(
    coverage: ReleaseCoverage, places: Iterable[tuple[str, str, Window]], schemas: Mapping[str, TableSchema]
) -> ReleaseCoverage:
    """Return the coverage with a reason for the hours in which words are hidden: table, column and window of each."""
    hours = {
        (table, metric.name, hour)
        for table, column, window in places
        for metric in schemas[table].metrics
        if column in metric.labels
        for hour in range(window.start_ms // HOUR_MS * HOUR_MS, window.end_ms, HOUR_MS)
    }
    rows = (
        replace(row, reason=SUPPRESSED)
        if row.reason is None and row.points and (row.table, row.metric, row.hour) in hours
        else row
        for row in coverage.rows
    )
    return replace(coverage, rows=tuple(rows))


def _names_of(windows: Mapping[_Key, object], token: str, table: str) -> set[str]:
    return {name for source, of, name in windows if (source, of) == (token, table)}


def _keep_target_down(windows: Mapping[Window, MetricCoverage]) -> dict[Window, MetricCoverage]:
    """Let the hours without series that follow one in which targets failed keep its reason.

    When all series of a metric have ended, no window by itself can tell whose they were.
    """
    kept: dict[Window, MetricCoverage] = {}
    until: datetime | None = None
    last: str | None = None
    for window, metric in sorted(windows.items()):
        hours: list[HourCoverage] = []
        ends = (*(hour.start for hour in metric.hours[1:]), window.end)
        for hour, end in zip(metric.hours, ends, strict=False):
            goes_on = hour.start == until and last == TARGET_DOWN and hour.reason == TARGET_ABSENT
            hours.append(replace(hour, reason=TARGET_DOWN) if goes_on else hour)
            until, last = end, hours[-1].reason
        all_down = hours and all(hour.reason == TARGET_DOWN for hour in hours)
        reason = TARGET_DOWN if all_down and metric.reason == TARGET_ABSENT else metric.reason
        kept[window] = replace(metric, hours=tuple(hours), reason=reason)
    return kept


def _fill_missing(
    windows: Mapping[Window, MetricCoverage], planned: Sequence[Window], *, metric: str, gone: Collection[Window]
) -> dict[Window, MetricCoverage]:
    """Return every planned window, with an expectation where nobody looked or nothing could be read."""
    told = {window: each for window, each in windows.items() if not _is_blind(each)}
    starts = sorted(window.start for window in told)
    expected = {window.start: sum(hour.expected for hour in each.hours) for window, each in told.items()}
    filled = dict(windows)
    for window in (*planned, *windows):
        if window in told:
            continue
        at = bisect_left(starts, window.start)
        beside = [expected[start] for start in starts[max(0, at - 1) : at + 1]]
        share = sum(beside) / len(beside) if beside else 0.0
        known = filled.get(window)
        status: MetricStatus = known.status if known else "failed"
        reason = known.reason if known else KEY_DESTROYED if window in gone else NOT_COLLECTED
        filled[window] = MetricCoverage(
            metric=metric, status=status, reason=reason, hours=tuple(_spread(window, share))
        )
    return filled


def _is_blind(metric: MetricCoverage) -> bool:
    """Return whether a window tells nothing about what there was."""
    unread = metric.status in ("partial", "failed") or (metric.status == "empty" and metric.reason == SOURCE_DOWN)
    return unread and not any(hour.expected or hour.received for hour in metric.hours)


def _spread(window: Window, expected: float) -> Iterator[HourCoverage]:
    """Yield the hours of a window with equal expectations, whole numbers that add up."""
    width = window.end_ms - window.start_ms
    for begin, end in pairwise(cut_at_hours(window.start_ms, window.end_ms)):
        before, after = (round(expected * (at - window.start_ms) / width) for at in (begin, end))
        yield HourCoverage(start=from_ms(begin), expected=after - before, received=0, held=0, points=0, estimated=True)


def _sum_by_hours(key: _Key, windows: Mapping[Window, MetricCoverage]) -> Iterator[CoverageRow]:
    by_hour: dict[int, list[tuple[MetricCoverage, HourCoverage]]] = defaultdict(list)
    for metric in windows.values():
        for hour in metric.hours:
            by_hour[to_ms(hour.start) // HOUR_MS * HOUR_MS].append((metric, hour))
    for start, pieces in by_hour.items():
        statuses = {metric.status for metric, _ in pieces}
        reasons = {hour.reason or metric.reason for metric, hour in pieces} - {None}
        hours = [hour for _, hour in pieces]
        yield CoverageRow(
            *key,
            hour=start,
            expected=sum(hour.expected for hour in hours),
            received=sum(hour.received for hour in hours),
            points=sum(hour.points for hour in hours),
            held=_sum_known([hour.held for hour in hours]),
            status=_join_statuses(statuses),
            reason=min(reasons, key=lambda reason: _WEIGHT.get(reason or "", len(_WEIGHT)), default=None),
            estimated=any(hour.estimated for hour in hours),
            scrapes=_sum_known([hour.scrapes for hour in hours]),
            scrapes_failed=_sum_known([hour.scrapes_failed for hour in hours]),
            scrapes_unseen=_sum_known([hour.scrapes_unseen for hour in hours]),
        )


def _join_statuses(statuses: set[MetricStatus]) -> MetricStatus:
    if len(statuses) == 1:
        return next(iter(statuses))
    return "complete" if statuses == {"complete", "empty"} else "partial"


def _sum_known(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _find_gaps(table: str, metric: str, windows: Mapping[Window, MetricCoverage]) -> Iterator[Gap]:
    """Yield the spans in which a metric has no data, windows next to each other joined."""
    pieces: dict[str, list[Window]] = defaultdict(list)
    for window, each in windows.items():
        if each.status != "complete":
            pieces[each.reason or each.status].append(window)
    for reason, empty in pieces.items():
        for start, end in _joined(empty):
            yield Gap(table, metric, start, end, reason)


def _joined(windows: Sequence[Window]) -> list[tuple[datetime, datetime]]:
    joined: list[tuple[datetime, datetime]] = []
    for window in sorted(windows):
        if joined and joined[-1][1] == window.start:
            joined[-1] = (joined[-1][0], window.end)
        else:
            joined.append((window.start, window.end))
    return joined
