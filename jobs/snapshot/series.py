"""From the blocks of one metric to its sorted runs: pseudonyms, order, samples, and what was counted on the way."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from anonymize.transform import Report, TableAnonymizer
from anonymize.values import treat_values
from collector.grid import Grid, Samples, SeriesBlock, split_rows
from collector.scrapes import ScrapeTimes, make_schedule
from jobs.parquet import Segments, build_row_group, sort_rows
from jobs.snapshot.coverage import CoverageCounter
from jobs.snapshot.runs import GROUP_ROWS, RunStart, begin_run
from schemas.arrow import staged_schema
from schemas.commit import MetricCoverage
from schemas.errors import SourceError
from schemas.table import Metric


@dataclass
class MetricRuns:
    """Makes the runs of one metric of one window."""

    metric: Metric
    anonymizer: TableAnonymizer
    grid: Grid
    scrapes: ScrapeTimes
    report: Report = field(default_factory=Report)
    _seen: set[str] = field(default_factory=set, repr=False)

    def make(self, block: SeriesBlock) -> Iterator[RunStart | pa.RecordBatch]:
        """Yield the sorted run of one block: what begins it, then its row groups. None for a block without samples."""
        columns = self.anonymizer.make_columns(self.metric.name, block.labels.columns(), len(block), self.report)
        schedule = make_schedule(block.labels, self.scrapes, metric=self.metric.name)
        most = block.most
        start: RunStart | None = None
        for rows in split_rows(sort_rows(columns, self.anonymizer.table), most, at_once=GROUP_ROWS):
            samples = block.decode(rows, schedule)
            self.counter.add(samples, schedule.targets[rows])
            if not len(samples.timestamps):
                continue
            segments = self._publishable(columns.take(rows), samples)
            if start is None:
                start = begin_run(self.metric.name, most_rows=int(most.sum()), values=segments.values)
                yield start
            yield build_row_group(segments, self._schema, {"metric": self.metric.name})

    @cached_property
    def counter(self) -> CoverageCounter:
        """Counts the series of all blocks."""
        return CoverageCounter(self.grid, self.scrapes)

    def coverage(self) -> MetricCoverage:
        """Return how the metric ended, when all its blocks are made."""
        return self.counter.result(
            self.metric.name,
            dropped_labels=self.report.dropped_labels,
            outside_vocabulary=self.report.outside_vocabulary,
        )

    @cached_property
    def _schema(self) -> pa.Schema:
        return staged_schema(self.anonymizer.table)

    def _publishable(self, columns: pa.RecordBatch, samples: Samples) -> Segments:
        """Return the samples of some series as they are published, of each series once."""
        alive = np.flatnonzero(samples.lengths)  # a dictionary must not hold what no row shows
        if len(alive) < len(columns):
            columns = columns.take(alive)
        names: list[Any] = columns.column("series_id").to_pylist()
        before = len(self._seen)
        self._seen.update(names)
        if len(self._seen) != before + len(names):
            raise SourceError(
                f"{self.metric.name}: two series differ in nothing but external or replica labels; "
                "take a replica label out of the source with source.match"
            )
        values, valid = treat_values(self.metric.value, samples.values, samples.timestamps)
        return Segments(columns, samples.lengths[alive], samples.timestamps, values, valid)
