"""Coverage of a release from the commits' records: a table for machines, gaps for people. Pure."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

import pyarrow as pa

from jobs.release.facts import Gap
from schemas.arrow import COVERAGE_SCHEMA
from schemas.commit import CommitRecord
from schemas.table import TableSchema
from schemas.windows import Window, to_ms, windows_between

NOT_COLLECTED = "not collected"


def build_coverage(
    commits: Sequence[CommitRecord], schemas: Sequence[TableSchema], span: Window, width: timedelta
) -> pa.Table:
    """Return one row per source, table, metric and hour; windows shorter than an hour are summed."""
    sums: dict[tuple[str, str, str, int], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    states: dict[tuple[str, str, str, int], tuple[str, str | None]] = {}
    for record in commits:
        for metric in record.coverage:
            for hour in metric.hours:
                key = (record.source_token, record.table, metric.metric, to_ms(hour.start) // 3_600_000)
                for index, count in enumerate((hour.expected, hour.received, hour.points, hour.held)):
                    sums[key][index] += count
                if key not in states or metric.status == "complete":
                    states[key] = (metric.status, metric.reason)
    token = commits[0].source_token
    committed = frozenset(states)
    for schema, window in _missing(commits, schemas, span, width):
        for metric_schema in schema.metrics:
            key = (token, schema.table, metric_schema.name, window.start_ms // 3_600_000)
            states[key] = ("partial" if key in committed else "failed", NOT_COLLECTED)
    rows = []
    for key in sorted(states):
        source, table, metric_name, hour_index = key
        expected, received, points, held = sums[key]
        status, reason = states[key]
        rows.append(
            {
                "source": source,
                "table": table,
                "metric": metric_name,
                "hour": hour_index * 3_600_000,
                "expected": expected,
                "received": received,
                "points": points,
                "held": held,
                "status": status,
                "reason": reason,
            }
        )
    return pa.Table.from_pylist(rows, schema=COVERAGE_SCHEMA)


def find_gaps(
    commits: Sequence[CommitRecord], schemas: Sequence[TableSchema], span: Window, width: timedelta
) -> tuple[Gap, ...]:
    """Return the spans in which a metric has no data, windows next to each other joined."""
    pieces: dict[tuple[str, str, str], list[Window]] = defaultdict(list)
    for record in commits:
        for metric in record.coverage:
            if metric.status != "complete":
                pieces[record.table, metric.metric, metric.reason or metric.status].append(record.window.window)
    for schema, window in _missing(commits, schemas, span, width):
        pieces[schema.table, "all metrics", NOT_COLLECTED].append(window)
    gaps = []
    for (table, name, reason), windows in pieces.items():
        gaps += [Gap(table, name, start, end, reason) for start, end in _joined(windows)]
    return tuple(sorted(gaps, key=lambda gap: (gap.table, gap.metric, gap.start)))


def _missing(
    commits: Sequence[CommitRecord], schemas: Sequence[TableSchema], span: Window, width: timedelta
) -> list[tuple[TableSchema, Window]]:
    done = {(record.table, record.window.start) for record in commits}
    return [
        (schema, window)
        for schema in schemas
        for window in windows_between(span.start, span.end, width)
        if (schema.table, window.start) not in done
    ]


def _joined(windows: Sequence[Window]) -> list[tuple[datetime, datetime]]:
    joined: list[tuple[datetime, datetime]] = []
    for window in sorted(windows):
        if joined and joined[-1][1] == window.start:
            joined[-1] = (joined[-1][0], window.end)
        else:
            joined.append((window.start, window.end))
    return joined
