"""Collect one table of one window: read, pseudonymise, write sorted runs, read them back, scan, commit."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from anonymize.audit.grammar import build_grammar
from anonymize.audit.rawscan import scan_staged
from anonymize.identity import IdentityFrame
from anonymize.pseudonyms import Pseudonymizer
from anonymize.transform import Report, TableAnonymizer, source_token
from anonymize.values import treat_values
from collector.ahead import read_ahead
from collector.grid import Grid, Samples, SeriesBlock, split_rows
from collector.promql import parse_matcher
from jobs.parquet import Segments, build_row_group, sort_rows
from jobs.snapshot.commits import data_key
from jobs.snapshot.coverage import CoverageCounter
from jobs.snapshot.gaps import MetricFailed
from jobs.snapshot.runs import GROUP_ROWS, RunStart, RunWriter, begin_run
from jobs.source import OpenSource, refuse_unframed
from schemas.arrow import staged_schema
from schemas.commit import CommitFile, MetricCoverage, RawScan
from schemas.errors import PrivacyError, SourceError
from schemas.policy import Policy
from schemas.table import Metric, TableSchema
from schemas.windows import Window


@dataclass(frozen=True)
class StagedTable:
    """The finished local files of one table and window, and what is known of them."""

    table: TableSchema
    source_token: str
    files: Mapping[Path, CommitFile]
    coverage: tuple[MetricCoverage, ...]

    @property
    def rows(self) -> int:
        """All rows."""
        return sum(file.rows for file in self.files.values())


@dataclass(frozen=True)
class TableCollector:
    """Collects one table of one window into a private folder."""

    source: OpenSource
    table: TableSchema
    policy: Policy
    pseudonymizer: Pseudonymizer
    window: Window
    grid: Grid
    frame: IdentityFrame
    without: Mapping[str, MetricCoverage] = field(default_factory=dict)
    """Metrics that are not read, with the coverage that says why."""

    def collect(self, folder: Path) -> StagedTable:
        """Read every metric and write, scan and name the files; raise ``MetricFailed`` with the first that fails."""
        report = Report()
        name = self.source.settings.source.name
        anonymizer = TableAnonymizer(
            table=self.table,
            policy=self.policy,
            pseudonymizer=self.pseudonymizer,
            source=name,
            frame=self.frame,
            ignored_labels=self.source.ignored_labels,
        )
        coverage: list[MetricCoverage] = []
        with RunWriter(folder, self.table) as writer:
            runs = self._read_runs(anonymizer, report, coverage)
            with closing(read_ahead(runs, depth=1)) as pieces:
                for piece in pieces:
                    if isinstance(piece, RunStart):
                        writer.begin(piece)
                    else:
                        writer.add(piece)
            writer.close()
        raw_values = report.raw_values | {address for address in self.frame.nodes if len(address) > 4}
        files = {path: self._scan(path, rows, raw_values) for path, rows in writer.files.items()}
        return StagedTable(self.table, source_token(self.pseudonymizer, name), files, self._all_metrics(coverage))

    def _read_runs(
        self, anonymizer: TableAnonymizer, report: Report, coverage: list[MetricCoverage]
    ) -> Iterator[RunStart | pa.RecordBatch]:
        """Yield the sorted runs of all metrics: what begins one, then its row groups."""
        with closing(read_ahead(self._read_metrics(), depth=1)) as pieces:
            for metric, group in groupby(pieces, key=lambda piece: piece[0]):
                counter = CoverageCounter(self.grid)
                own = Report()
                seen: set[str] = set()
                try:
                    for _, block in group:
                        if block is not None:
                            yield from self._read_run(metric, block, anonymizer, own, counter, seen)
                except SourceError as error:
                    raise MetricFailed(metric.name, error) from None
                coverage.append(
                    counter.result(
                        metric.name, dropped_labels=own.dropped_labels, outside_vocabulary=own.outside_vocabulary
                    )
                )
                report.raw_values |= own.raw_values

    def _read_run(
        self,
        metric: Metric,
        block: SeriesBlock,
        anonymizer: TableAnonymizer,
        report: Report,
        counter: CoverageCounter,
        seen: set[str],
    ) -> Iterator[RunStart | pa.RecordBatch]:
        if self._names_hosts:
            refuse_unframed(self.frame, self.table.table)
        columns = anonymizer.make_columns(metric.name, block.labels.columns(), len(block), report)
        order = sort_rows(columns, self.table)
        start: RunStart | None = None
        for rows in split_rows(order, points=self.grid.points, most=GROUP_ROWS):
            samples = block.decode(rows)
            counter.add(samples)
            if not len(samples.timestamps):
                continue
            segments = self._publishable(metric, columns.take(rows), samples, seen)
            if start is None:
                start = begin_run(metric.name, most_rows=len(block) * self.grid.points, values=segments.values)
                yield start
            yield build_row_group(segments, self._schema, {"metric": metric.name})

    def _read_metrics(self) -> Iterator[tuple[Metric, SeriesBlock | None]]:
        """Yield the blocks of every metric, one metric after another; one without series comes with no block."""
        wanted = [metric for metric in self.table.metrics if metric.name not in self.without]
        for metric in sorted(wanted, key=lambda metric: metric.name):
            yield metric, None
            matchers = (*self.source.matchers, *map(parse_matcher, metric.match))
            for block in self.source.reader.read(metric.name, matchers, self.grid):
                yield metric, block

    def _all_metrics(self, read: list[MetricCoverage]) -> tuple[MetricCoverage, ...]:
        return tuple(sorted((*read, *self.without.values()), key=lambda entry: entry.metric))

    @cached_property
    def _schema(self) -> pa.Schema:
        return staged_schema(self.table)

    @property
    def _names_hosts(self) -> bool:
        return any(column.identity and self.policy.domains[column.identity].unmatched for column in self.table.labels)

    def _publishable(self, metric: Metric, columns: pa.RecordBatch, samples: Samples, seen: set[str]) -> Segments:
        """Return the samples of some series as they are published; ``seen`` are the metric's series so far."""
        alive = np.flatnonzero(samples.lengths)  # a dictionary must not hold what no row shows
        if len(alive) < len(columns):
            columns = columns.take(alive)
        names: list[Any] = columns.column("series_id").to_pylist()
        before = len(seen)
        seen.update(names)
        if len(seen) != before + len(names):
            raise SourceError(
                f"{metric.name}: two series differ in nothing but external or replica labels; "
                "take a replica label out of the source with source.match"
            )
        values, valid = treat_values(metric.value, samples.values, samples.timestamps)
        return Segments(columns, samples.lengths[alive], samples.timestamps, values, valid)

    def _scan(self, path: Path, rows: int, raw_values: set[str]) -> CommitFile:
        """Hash a finished file and search it for every raw value, as it lies on the disk."""
        content = path.read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        key = data_key(self.source.settings.source.name, self.table, self.window, sha256)
        findings = scan_staged(
            path,
            place=f"staged file of table {self.table.table}",
            names=(path.name, key.rpartition("/")[2]),
            raw_values=raw_values,
            grammar=build_grammar(self.table, self.policy),
        )
        if findings:
            raise PrivacyError(f"{findings[0]}; {len(findings)} findings in all; nothing of it was committed")
        scan = RawScan(searched=len(raw_values), hits=0)
        return CommitFile(path=key, sha256=sha256, bytes=len(content), rows=rows, raw_scan=scan)
