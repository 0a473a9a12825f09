"""Native histograms in columns, as Arrow lays them out: what a read of them gives.

The form is canonical: empty buckets are left out and spans cover just the others. It depends on the samples alone,
while the empty buckets that a server's chunk holds depend on when it is asked.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.arrow import TIMESTAMP
from schemas.native import COUNTS, SPAN, SPANS


@dataclass(frozen=True, slots=True)
class Buckets:
    """One side's buckets of every row.

    Row r has the spans ``span_starts[r]:span_starts[r + 1]`` and the counts ``count_starts[r]:count_starts[r + 1]``;
    both starts are int32 [rows + 1]. A span is ``lengths`` (uint32) buckets behind one another; ``offsets`` (int32)
    is how many lie between it and the span before, of the first one the index of its first bucket. ``counts``
    (float64) are each bucket's own, not cumulative, and never zero.
    """

    span_starts: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int32]
    lengths: npt.NDArray[np.uint32]
    count_starts: npt.NDArray[np.int32]
    counts: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class HistogramBlock:
    """The histograms of some neighbouring series: a row for each series and grid point that has one.

    ``first`` is the place of the block's first series among those asked for. ``lengths`` (int64 [series]) says how many
    rows each has here; rows stand series after series, by time. The other columns are [rows]: ``timestamps`` int64
    (ms), ``schema`` int8, and ``zero_threshold``, ``zero_count``, ``sum`` and ``count`` float64 with the source's bits.
    ``bounds`` (float64) are those of custom buckets (schema -53), row r's at ``bound_starts[r]:bound_starts[r + 1]``
    (int32).

    ``hours`` and ``intervals`` are those of ``collector.grid.Samples``; of series with floats too, what is expected of
    them stands here, but for the floats that came. ``skipped`` counts the series that have nothing since their form is
    not known, by reason. Blocks add up: where the first series ``continues``, its rows before these were in the block
    before, and hours and skipped series are counted in one block alone.
    """

    first: int
    continues: bool
    lengths: npt.NDArray[np.int64]
    skipped: Mapping[str, int]
    hours: npt.NDArray[np.int64] = field(repr=False)
    intervals: npt.NDArray[np.int64] = field(repr=False)
    timestamps: npt.NDArray[np.int64] = field(repr=False)
    schema: npt.NDArray[np.int8] = field(repr=False)
    zero_threshold: npt.NDArray[np.float64] = field(repr=False)
    zero_count: npt.NDArray[np.float64] = field(repr=False)
    sum: npt.NDArray[np.float64] = field(repr=False)
    count: npt.NDArray[np.float64] = field(repr=False)
    positive: Buckets = field(repr=False)
    negative: Buckets = field(repr=False)
    bound_starts: npt.NDArray[np.int32] = field(repr=False)
    bounds: npt.NDArray[np.float64] = field(repr=False)

    def __len__(self) -> int:
        return len(self.timestamps)

    def arrow_columns(self) -> "dict[str, pa.Array[Any]]":
        """Return the columns of ``schemas.native`` that the labels don't tell; buckets are not copied."""
        return {
            "timestamp": pa.array(self.timestamps).cast(TIMESTAMP),
            "schema": pa.array(self.schema),
            "zero_threshold": pa.array(self.zero_threshold),
            "zero_count": pa.array(self.zero_count),
            "sum": pa.array(self.sum),
            "count": pa.array(self.count),
            "positive_spans": _spans(self.positive),
            "positive_counts": _floats(self.positive.count_starts, self.positive.counts),
            "negative_spans": _spans(self.negative),
            "negative_counts": _floats(self.negative.count_starts, self.negative.counts),
            "custom_bounds": _floats(self.bound_starts, self.bounds),
        }


def _spans(side: Buckets) -> "pa.Array[Any]":
    parts: list[Any] = [pa.array(side.offsets), pa.array(side.lengths)]
    fields: list[Any] = list(SPAN)
    return _lists(side.span_starts, pa.StructArray.from_arrays(parts, fields=fields), SPANS)


def _floats(starts: npt.NDArray[np.int32], values: npt.NDArray[np.float64]) -> "pa.Array[Any]":
    return _lists(starts, pa.array(values), COUNTS)


def _lists(starts: npt.NDArray[np.int32], values: "pa.Array[Any]", kind: pa.DataType) -> "pa.Array[Any]":
    offsets: Any = pa.array(starts)
    made: pa.Array[Any] = pa.ListArray.from_arrays(offsets, values, type=kind)
    return made
