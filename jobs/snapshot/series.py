"""From the blocks of one metric to its sorted runs: pseudonyms, order, samples, and what was counted on the way."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa

from anonymize.transform import Report, TableAnonymizer
from anonymize.values import treat_values, unify_nans
from collector.grid import Grid, Samples, SeriesBlock, split_rows
from collector.histogram_block import HistogramBlock
from collector.native import Block, FloatSide, NativeBlock
from collector.scrapes import ScrapeTimes, make_schedule
from jobs.parquet import Segments, build_group, build_row_group, sort_rows
from jobs.snapshot.coverage import CoverageCounter
from jobs.snapshot.runs import GROUP_ROWS, RunStart, begin_run
from schemas.arrow import staged_schema
from schemas.commit import MetricCoverage
from schemas.errors import SourceError
from schemas.native import staged_native_schema
from schemas.table import Metric

NO_TREATMENT: Final = "a declared treatment of values that histograms cannot have"


@dataclass
class MetricRuns:
    """Makes the runs of one metric of one window."""

    metric: Metric
    anonymizer: TableAnonymizer
    grid: Grid
    scrapes: ScrapeTimes
    report: Report = field(default_factory=Report)
    _seen: set[str] = field(default_factory=set, repr=False)
    """Series of floats alone."""
    _mixed: set[str] = field(default_factory=set, repr=False)
    """Series of floats that have histograms too, or had."""
    _native: set[str] = field(default_factory=set, repr=False)

    def make(self, block: Block) -> Iterator[RunStart | pa.RecordBatch]:
        """Yield the sorted run of one block: what begins it, then its row groups. None for a block without samples."""
        return self._make_native(block) if isinstance(block, NativeBlock) else self._make_floats(block)

    def _make_floats(self, block: SeriesBlock) -> Iterator[RunStart | pa.RecordBatch]:
        is_side = isinstance(block, FloatSide)
        report = Report() if is_side else self.report  # the labels of a side come again with its histograms
        columns = self.anonymizer.make_columns(self.metric.name, block.labels.columns(), len(block), report)
        schedule = make_schedule(block.labels, self.scrapes, metric=self.metric.name)
        most = block.most
        start: RunStart | None = None
        for rows in split_rows(sort_rows(columns, self.anonymizer.table), most, at_once=GROUP_ROWS):
            samples = block.decode(rows, schedule)
            if is_side:
                self.counter.add_points(samples.timestamps, samples.hours)
            else:
                self.counter.add(samples, schedule.targets[rows])
            if not len(samples.timestamps):
                continue
            segments = self._publishable(columns.take(rows), samples, self._mixed if is_side else self._seen)
            if start is None:
                start = begin_run(self.metric.name, most_rows=int(most.sum()), values=segments.values)
                yield start
            yield build_row_group(segments, self._schema, {"metric": self.metric.name})

    def _make_native(self, block: NativeBlock) -> Iterator[RunStart | pa.RecordBatch]:
        columns = self.anonymizer.make_columns(self.metric.name, block.labels.columns(), len(block), self.report)
        keep = self.metric.value == "exact"
        if not keep:
            self.counter.skip({NO_TREATMENT: len(block)})
        schedule = make_schedule(block.labels, self.scrapes, metric=self.metric.name)
        order = sort_rows(columns, self.anonymizer.table)
        begun = False
        for part in block.decode(order, schedule):
            rows = order[part.first : part.first + len(part.lengths)]
            at: Any = pa.array(rows)
            names: list[Any] = columns.column("series_id").take(at).to_pylist()
            new = slice(int(part.continues), None)
            alive = keep & (part.lengths > 0) | np.array([name in self._mixed for name in names], dtype=np.bool_)
            self.counter.add_points(part.timestamps if keep else part.timestamps[:0], part.hours, native=True)
            self.counter.add_series(alive[new], part.intervals[new], schedule.targets[rows][new])
            self.counter.skip(part.skipped if keep else {})
            self._note([name for name, is_alive in zip(names[new], alive[new], strict=True) if is_alive], self._native)
            if not keep or not len(part):
                continue
            if not begun:
                yield RunStart(self.metric.name, int(block.most.sum()), encoding=None)
                begun = True
            shown = np.flatnonzero(part.lengths)
            yield build_group(
                columns.take(rows[shown]),
                part.lengths[shown],
                publishable(part).arrow_columns(),
                self._native_schema,
                {"metric": self.metric.name},
            )

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

    @cached_property
    def _native_schema(self) -> pa.Schema:
        return staged_native_schema(self.anonymizer.table)

    def _publishable(self, columns: pa.RecordBatch, samples: Samples, seen: set[str]) -> Segments:
        """Return the samples of some series as they are published, of each series once."""
        alive = np.flatnonzero(samples.lengths)  # a dictionary must not hold what no row shows
        if len(alive) < len(columns):
            columns = columns.take(alive)
        self._note(columns.column("series_id").to_pylist(), seen)
        values, valid = treat_values(self.metric.value, samples.values, samples.timestamps)
        return Segments(columns, samples.lengths[alive], samples.timestamps, values, valid)

    def _note(self, names: Sequence[Any], seen: set[str]) -> None:
        """Add the series to those seen, each of which may come once; one of floats alone has nothing else."""
        before = len(seen)
        seen.update(names)
        others = (self._mixed, self._native) if seen is self._seen else (self._seen,)
        if len(seen) != before + len(names) or not all(other.isdisjoint(names) for other in others):
            raise SourceError(
                f"{self.metric.name}: two series differ in nothing but external or replica labels; "
                "take a replica label out of the source with source.match"
            )


def publishable(block: HistogramBlock) -> HistogramBlock:
    """Return the histograms with one NaN for all, wherever a float stands."""
    return replace(
        block,
        zero_threshold=unify_nans(block.zero_threshold),
        zero_count=unify_nans(block.zero_count),
        sum=unify_nans(block.sum),
        count=unify_nans(block.count),
        positive=replace(block.positive, counts=unify_nans(block.positive.counts)),
        negative=replace(block.negative, counts=unify_nans(block.negative.counts)),
        bounds=unify_nans(block.bounds),
    )
