"""Decode native histograms, and the floats that the same series may have: at a grid point whichever is newer."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from collector.grid import Grid, Samples, Schedule, no_schedule
from collector.histogram_block import Buckets, HistogramBlock
from collector.histogram_survey import (
    Chunks,
    Survey,
    check_found,
    lengths_of,
    new_rows,
    new_scratch,
    starts_of,
    survey_pieces,
)
from collector.kernels.histogram import Rows, Side, pack_side
from collector.kernels.histogram_grid import write_samples
from collector.kernels.histogram_layout import (
    BOUNDS,
    LAYOUT,
    MAX_BUCKETS,
    NEGATIVE,
    POSITIVE,
    TOO_MANY_BUCKETS,
    UNKNOWN_FLAGS,
    UNKNOWN_SCHEMA,
    UNKNOWN_TYPE,
)
from collector.kernels.stats import HOUR_COLUMNS

BLOCK_BUCKETS: Final = 1 << 18
"""Buckets in one block, empty ones counted too: 4 MB while it is made, and at most as much when it is done."""
_ROW_BUCKETS: Final = 8  # a row without buckets takes the room of so many

REASONS: Final = {
    UNKNOWN_TYPE: "a chunk encoding that is not known",
    UNKNOWN_FLAGS: "chunk flags that are not known",
    UNKNOWN_SCHEMA: "a bucket schema that is not known",
    TOO_MANY_BUCKETS: f"a histogram of more than {MAX_BUCKETS} buckets",
}
"""Why a series is skipped."""

logger = logging.getLogger(__name__)


def decode_histograms(
    series: Sequence[Chunks],
    grid: Grid,
    *,
    metric: str,
    schedule: Schedule | None = None,
    block_buckets: int = BLOCK_BUCKETS,
) -> Iterator[HistogramBlock]:
    """Yield the histograms of the series on the grid, in their order, about ``block_buckets`` at a time.

    A series may have chunks of floats too: where its newest sample is one, it has no histogram (``decode_floats``
    gives these). The series are counted by ``schedule``, whose targets are theirs. One in a form that is not known has
    no rows; it is counted, and logged by the metric's name. Raises ``SourceError`` where a chunk is broken.
    """
    skipped: Counter[str] = Counter()
    for survey in survey_pieces(series, grid, metric=metric, schedule=schedule):
        reasons = Counter(REASONS[code] for code in survey.skipped[survey.skipped != 0].tolist())
        skipped.update(reasons)
        yield from _write_blocks(survey, reasons, metric, block_buckets)
    for reason, count in skipped.items():
        logger.warning("series skipped", extra={"metric": metric, "series": count, "reason": reason})


def decode_floats(series: Sequence[Chunks], grid: Grid, *, metric: str, schedule: Schedule | None = None) -> Samples:
    """Return the floats on the grid of series that have histograms too: none where a histogram is newer.

    Of what was expected only the floats that came count here, all else in ``HistogramBlock.hours``. Raises
    ``SourceError`` where a chunk is broken.
    """
    hours = np.zeros((len((schedule or no_schedule(0, grid)).bounds) - 1, HOUR_COLUMNS), dtype=np.int64)
    none = np.empty(0, dtype=np.int64)
    parts = [Samples(none, none, none.view(np.float64), hours, none)]
    for survey in survey_pieces(series, grid, metric=metric, schedule=schedule):
        chosen = survey.row_codes & 1 == 0
        values = survey.bits[survey.row_codes[chosen] >> 1].view(np.float64)
        lengths = _lengths_where(chosen, survey.lengths)
        parts.append(Samples(lengths, survey.row_times[chosen], values, survey.float_hours, survey.intervals))
        hours += survey.float_hours
    return Samples(
        np.concatenate([part.lengths for part in parts]),
        np.concatenate([part.timestamps for part in parts]),
        np.concatenate([part.values for part in parts]),
        hours,
        np.concatenate([part.intervals for part in parts]),
    )


def _lengths_where(chosen: npt.NDArray[np.bool_], lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return how many of each series' rows are chosen."""
    return lengths_of(starts_of(chosen.astype(np.int64))[np.cumsum(lengths)], begin=0)


def _write_blocks(
    survey: Survey, skipped: Mapping[str, int], metric: str, block_buckets: int
) -> Iterator[HistogramBlock]:
    chosen = survey.row_codes & 1 == 1
    times = survey.row_times[chosen]
    samples = survey.row_codes[chosen] >> 1
    ends = np.cumsum(_lengths_where(chosen, survey.lengths))
    chunks = np.searchsorted(survey.first_samples, samples, side="right") - 1
    room = np.cumsum(survey.layouts[chunks][:, [POSITIVE, NEGATIVE, BOUNDS]].sum(axis=1) + _ROW_BUCKETS)
    begin = first = 0
    continues = False
    while True:
        used = room[begin - 1] if begin else 0
        stop = max(int(np.searchsorted(room, used + block_buckets, side="right")), min(begin + 1, len(times)))
        last = len(ends) if stop == len(times) else int(np.searchsorted(ends, stop)) + 1
        rows = _write_rows(survey, samples[begin:stop], chunks[begin:stop], metric)
        yield HistogramBlock(
            survey.first + first,
            continues,
            lengths_of(np.clip(ends[first:last], begin, stop), begin=begin),
            skipped if begin == 0 else {},
            survey.hours if begin == 0 else np.zeros_like(survey.hours),
            survey.intervals[first:last],
            times[begin:stop],
            rows.schema,
            rows.zero_threshold,
            rows.zero_count,
            rows.sums,
            rows.observations,
            _pack(rows.positive),
            _pack(rows.negative),
            rows.bound_begins.astype(np.int32),
            rows.bounds,
        )
        if stop == len(times):
            return
        continues = bool(ends[last - 1] > stop)
        first = last - 1 if continues else last
        begin = stop


def _write_rows(survey: Survey, samples: npt.NDArray[np.int64], chunks: npt.NDArray[np.intp], metric: str) -> Rows:
    """Return the rows of these samples, which lie in these chunks; one sample's are neighbours."""
    first = np.full(len(survey.times), -1, dtype=np.int64)
    starts = np.flatnonzero(np.diff(samples, prepend=-1))
    first[samples[starts]] = starts
    rows = new_rows(first, samples, survey.layouts[chunks])
    found = write_samples(
        survey.data,
        survey.begins,
        survey.ends,
        survey.kinds,
        np.unique(chunks),
        survey.first_samples,
        np.empty(LAYOUT, dtype=np.int64),
        new_scratch(),
        survey.times,
        survey.codes,
        rows,
    )
    check_found(found, metric)
    return rows


def _pack(side: Side) -> Buckets:
    spans, counts = pack_side(side)
    return Buckets(
        starts_of(side.spans).astype(np.int32),
        side.offsets[:spans].copy(),
        side.lengths[:spans].copy(),
        starts_of(side.buckets).astype(np.int32),
        side.counts[:counts].copy(),
    )
