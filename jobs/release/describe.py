"""What is said about a release, computed from what was written: facts and quality.json. Pure."""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Any

from jobs.card.facts import MetricFacts, ReleaseFacts, TableFacts
from jobs.release.coverage import CoverageRow, ReleaseCoverage
from jobs.release.covered import CoverageFile
from jobs.release.heads import CommitHead
from jobs.release.native import NativeSums
from jobs.release.tables import MetricSums, WrittenTable
from schemas.aggregate import AGGREGATE, Tier
from schemas.attacks import AttackReport
from schemas.commit import CommitRecord, MetricCoverage
from schemas.digest import digest
from schemas.drift import TypeCheck, check_type
from schemas.manifest import ReleaseInfo
from schemas.policy import Policy
from schemas.table import Metric
from schemas.timeline import TimeMode
from schemas.windows import Window


def build_facts(
    info: ReleaseInfo,
    span: Window,
    commits: Sequence[CommitHead],
    tables: Sequence[TableFacts],
    covered: CoverageFile,
    policy: Policy,
    *,
    step_ms: int,
    window_ms: int,
    time: TimeMode,
    tier: Tier,
    k: int,
    suppressed: tuple[tuple[str, str], ...],
    key_destroyed: bool,
    attacks: AttackReport | None,
) -> ReleaseFacts:
    """Return everything that card, quality and privacy files say."""
    newest = max(commits, key=lambda record: record.created)
    return ReleaseFacts(
        info=info,
        provenance=newest.provenance,
        created=newest.created,
        start=span.start,
        end=span.end,
        time=time,
        tier=tier,
        step_ms=step_ms,
        lookback_ms=newest.read.lookback_ms,
        window_ms=window_ms,
        read_paths=tuple(sorted({record.read.path for record in commits})),
        server_versions=tuple(sorted({record.read.server_version or "unknown" for record in commits})),
        key_id=newest.key_id,
        policy=policy,
        policy_digest=newest.policy_digest,
        tables=tuple(tables),
        gaps=covered.gaps,
        hours=covered.hours,
        estimated=covered.estimated,
        k=k,
        suppressed=suppressed,
        raw_values_searched=sum(map(count_searched, commits)),
        key_destroyed=key_destroyed,
        attacks=attacks,
    )


def count_searched(record: CommitHead) -> int:
    """Return for how many raw values a commit's files were searched, each of them for all.

    Counted once: how many files there are tells where names cut the runs.
    """
    return max((file.raw_scan.searched for file in record.files), default=0)


def build_table_facts(
    table: WrittenTable,
    own: Sequence[CommitRecord],
    coverage: ReleaseCoverage,
    suppressed: Collection[tuple[str, str]],
) -> TableFacts:
    """Return what card, quality and privacy files say of one table, from its own commits and coverage."""
    hours: dict[str, list[CoverageRow]] = defaultdict(list)
    for row in coverage.rows:
        hours[row.metric].append(row)
    dropped = {name for record in own for metric in record.coverage for name in metric.dropped_labels}
    outside: Counter[str] = Counter()
    for record in own:
        for metric in record.coverage:
            outside.update(metric.outside_vocabulary)
    return TableFacts(
        schema=table.schema,
        schema_digest=digest(table.schema),
        rows=table.rows + table.native_rows,
        series=table.all_series,
        data_bytes=sum(file.bytes for file in table.files if file.role in ("data", "native", AGGREGATE)),
        metrics=tuple(_metric_facts(metric, table, own, hours[metric.name]) for metric in table.schema.metrics),
        entities=dict(sorted(table.entities.items())),
        dropped_labels=tuple(sorted(dropped)),
        new_labels=tuple(sorted({name for record in own for each in record.coverage for name in each.new_labels})),
        outside_vocabulary={  # less this count, what stands as other is what few share
            name: count for name, count in sorted(outside.items()) if (table.schema.table, name) not in suppressed
        },
    )


def _metric_facts(
    metric: Metric, table: WrittenTable, commits: Sequence[CommitRecord], hours: Sequence[CoverageRow]
) -> MetricFacts:
    sums = table.metrics.get(metric.name, MetricSums())
    native = table.native.get(metric.name, NativeSums())
    skipped: Counter[str] = Counter()
    own = [found for record in commits for found in record.coverage if found.metric == metric.name]
    intervals = Counter(found.interval_ms for found in own if found.interval_ms)
    for found in own:
        skipped.update(found.skipped)
    return MetricFacts(
        metric=metric.name,
        rows=sums.rows + native.rows,
        series=table.series_of.get(metric.name, 0),
        minimum=sums.minimum,
        maximum=sums.maximum,
        nulls=sums.nulls,
        nans=sums.nans,
        interval_ms=intervals.most_common(1)[0][0] if intervals else None,
        expected=sum(hour.expected for hour in hours),
        received=sum(hour.received for hour in hours),
        missing=sum(hour.missing for hour in hours),
        reasons=tuple(sorted({hour.reason for hour in hours if hour.reason})),
        native_rows=native.rows,
        skipped=dict(sorted(skipped.items())),
        type_check=_worst_check(metric, own),
        vanished=_count_vanished(metric.name, commits),
    )


def _count_vanished(metric: str, commits: Sequence[CommitRecord]) -> int:
    """Return how many windows lack a metric that the window before had: by the commits, in whatever order they came."""
    ordered = sorted(commits, key=lambda record: record.window.start)
    had = [any(found.series for found in record.coverage if found.metric == metric) for record in ordered]
    empty = [any(found.status == "empty" for found in record.coverage if found.metric == metric) for record in ordered]
    return sum(
        had[n] and empty[n + 1] and before.window.end == after.window.start
        for n, (before, after) in enumerate(pairwise(ordered))
    )


def _worst_check(metric: Metric, coverage: Sequence[MetricCoverage]) -> TypeCheck:
    """Return what all windows with series allow to say: one that differs, or of which nobody knows, is not the same."""
    checks = {check_type(metric, found.types) for found in coverage if found.series}
    return next((check for check in ("differs", "unknown") if check in checks), "same" if checks else "unknown")


def render_quality(facts: ReleaseFacts) -> dict[str, Any]:
    """Return ``quality.json``: what is complete, what is missing and why."""
    return {
        "format_version": "1.0",
        "coverage": facts.coverage,
        "tables": {
            table.schema.table: {
                "rows": table.rows,
                "series": table.series,
                "dropped_labels": len(table.dropped_labels),  # a count: label names can be the operator's own
                "new_labels": len(table.new_labels),
                "series_windows_outside_vocabulary": dict(table.outside_vocabulary),
                "metrics": {
                    metric.metric: {
                        "rows": metric.rows,
                        "series": metric.series,
                        "nulls": metric.nulls,
                        "nans": metric.nans,
                        "interval_ms": metric.interval_ms,
                        "expected": metric.expected,
                        "received": metric.received,
                        "missing": metric.missing,
                        "reasons": list(metric.reasons),
                        "native_rows": metric.native_rows,
                        "series_windows_skipped": dict(metric.skipped),
                        "type_check": metric.type_check,
                        "windows_vanished": metric.vanished,
                    }
                    for metric in table.metrics
                },
            }
            for table in facts.tables
        },
        "gaps": [
            {
                "table": gap.table,
                "metric": gap.metric,
                "start": gap.start.isoformat(),
                "end": gap.end.isoformat(),
                "reason": gap.reason,
            }
            for gap in facts.gaps
        ],
    }
