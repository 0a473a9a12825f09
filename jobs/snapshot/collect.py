"""Collect one table of one window: read, pseudonymise, write sorted runs, read them back, scan, commit."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from anonymize.audit.grammar import build_grammar
from anonymize.audit.rawscan import scan_staged
from anonymize.identity import IdentityFrame
from anonymize.pseudonyms import Pseudonymizer
from anonymize.transform import Report, TableAnonymizer, source_token
from anonymize.values import treat_values
from collector.ahead import read_ahead
from collector.grid import Grid, SeriesBlock
from collector.promql import parse_matcher
from jobs.parquet import Segments
from jobs.snapshot.commits import data_key
from jobs.snapshot.coverage import CoverageCounter
from jobs.snapshot.runs import RunWriter
from jobs.source import OpenSource, refuse_unframed
from schemas.commit import CommitFile, MetricCoverage, RawScan
from schemas.errors import PrivacyError
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

    def collect(self, folder: Path) -> StagedTable:
        """Read every metric and write, scan and name the files; a failing metric fails the table."""
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
        coverage = []
        with RunWriter(folder, self.table) as writer, closing(read_ahead(self._read_metrics())) as pieces:
            for metric, group in groupby(pieces, key=lambda piece: piece[0]):
                blocks = (block for _, block in group if block is not None)
                coverage.append(self._collect_metric(metric, blocks, anonymizer, writer, report))
        raw_values = report.raw_values | {address for address in self.frame.nodes if len(address) > 4}
        files = {path: self._scan(path, rows, raw_values) for path, rows in writer.files.items()}
        return StagedTable(self.table, source_token(self.pseudonymizer, name), files, tuple(coverage))

    def _read_metrics(self) -> Iterator[tuple[Metric, SeriesBlock | None]]:
        """Yield the blocks of every metric, one metric after another; one without series comes with no block."""
        for metric in sorted(self.table.metrics, key=lambda metric: metric.name):
            yield metric, None
            matchers = (*self.source.matchers, *map(parse_matcher, metric.match))
            for block in self.source.reader.read(metric.name, matchers, self.grid):
                yield metric, block

    def _collect_metric(
        self,
        metric: Metric,
        blocks: Iterable[SeriesBlock],
        anonymizer: TableAnonymizer,
        writer: RunWriter,
        report: Report,
    ) -> MetricCoverage:
        counter = CoverageCounter(self.grid)
        own = Report()
        writer.begin_metric(metric.name)
        for block in blocks:
            if self._names_hosts:
                refuse_unframed(self.frame, self.table.table)
            counter.add(block)
            writer.add(self._publishable(metric, block, anonymizer, own))
        writer.end_metric()
        report.raw_values |= own.raw_values
        return counter.result(metric.name, dropped_labels=own.dropped_labels, outside_vocabulary=own.outside_vocabulary)

    @property
    def _names_hosts(self) -> bool:
        return any(column.identity and self.policy.domains[column.identity].unmatched for column in self.table.labels)

    def _publishable(self, metric: Metric, block: SeriesBlock, anonymizer: TableAnonymizer, report: Report) -> Segments:
        alive = np.flatnonzero(block.present.any(axis=1))  # a dictionary must not hold what no row shows
        present, values = block.present[alive], block.values[alive]
        columns = anonymizer.make_columns(metric.name, [block.labels[row] for row in alive.tolist()], report)
        _, points = np.nonzero(present)
        timestamps = self.grid.timestamps[points]
        treated, valid = treat_values(metric.value, values[present], timestamps)
        return Segments(columns, np.count_nonzero(present, axis=1), timestamps, treated, valid)

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
