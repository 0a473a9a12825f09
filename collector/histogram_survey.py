"""Find which samples of series with native histograms stand at which grid points, some series at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from collector.grid import Grid, Schedule, no_schedule
from collector.kernels.histogram import FLOAT, INTEGER, Rows, Side
from collector.kernels.histogram_grid import XOR, count_survey, survey_series
from collector.kernels.histogram_layout import BOUNDS, LAYOUT, MAX_BUCKETS, NEGATIVE, POSITIVE, Scratch
from collector.kernels.stats import HELD, HOUR_COLUMNS
from collector.kernels.xor import PADDING
from schemas.errors import SourceError

PIECE_SAMPLES: Final = 1 << 19
"""Samples, or grid points where these are more, of series that are surveyed together: 25 MB of them."""
_MOST_PER_BYTE: Final = {XOR: 4, INTEGER: 2, FLOAT: 2}  # samples: a float takes two bits at least, a histogram four

Chunks = Sequence[tuple[int, bytes]]
"""The chunks of one series as they came: encoding (1 floats, 2 and 3 histograms of integers and floats) and bytes."""


@dataclass(frozen=True, slots=True)
class Survey:
    """Neighbouring series, the first of which has the number ``first``, and what the grid wants of them.

    ``row_times`` (int64, ms) and ``row_codes`` (int64) are [rows], series after series by ``lengths``;
    the other arrays are those of ``survey_series`` and ``count_survey``.
    """

    first: int
    data: npt.NDArray[np.uint8]
    begins: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    kinds: npt.NDArray[np.int64]
    first_samples: npt.NDArray[np.int64]
    layouts: npt.NDArray[np.int64]
    times: npt.NDArray[np.int64]
    codes: npt.NDArray[np.uint64]
    bits: npt.NDArray[np.uint64]
    skipped: npt.NDArray[np.int64]
    row_times: npt.NDArray[np.int64]
    row_codes: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    intervals: npt.NDArray[np.int64]
    hours: npt.NDArray[np.int64]
    float_hours: npt.NDArray[np.int64]


def survey_pieces(
    series: Sequence[Chunks], grid: Grid, *, metric: str, schedule: Schedule | None = None
) -> Iterator[Survey]:
    """Yield the series, as many at a time as ``PIECE_SAMPLES`` allows; raise ``SourceError`` for a broken chunk.

    They are counted by ``schedule``, whose targets are theirs.
    """
    by = schedule or no_schedule(len(series), grid)
    announced = [sum(_announced(kind, data, metric) for kind, data in own) for own in series]
    first = 0
    while first < len(series):
        end = first + 1
        room = max(announced[first], grid.points)
        while end < len(series) and room + max(announced[end], grid.points) <= PIECE_SAMPLES:
            room += max(announced[end], grid.points)
            end += 1
        piece = replace(by, targets=by.targets[first:end])
        yield _survey(series[first:end], first, sum(announced[first:end]), grid, metric, piece)
        first = end


def check_found(found: int, metric: str) -> None:
    """Raise ``SourceError`` when ``found`` is the code of a broken chunk."""
    if found < 0:
        raise SourceError(f"remote read of {metric}: a native histogram's chunk is broken or ends too early")


def new_scratch() -> Scratch:
    """Return room for the state of one histogram."""
    levels, changes, places = (np.empty(MAX_BUCKETS, dtype=np.int64) for _ in range(3))
    return Scratch(levels, changes, places, np.empty(MAX_BUCKETS, dtype=np.float64))


def new_rows(first: npt.NDArray[np.int64], samples: npt.NDArray[np.int64], layouts: npt.NDArray[np.int64]) -> Rows:
    """Return room for the rows of these samples, whose chunks have these layouts (int64 [rows, LAYOUT])."""
    rows = len(samples)
    zero_threshold, zero_count, sums, observations = (np.empty(rows, dtype=np.float64) for _ in range(4))
    bounds = starts_of(layouts[:, BOUNDS])
    return Rows(
        first,
        samples,
        np.empty(rows, dtype=np.int8),
        zero_threshold,
        zero_count,
        sums,
        observations,
        _new_side(layouts[:, POSITIVE]),
        _new_side(layouts[:, NEGATIVE]),
        bounds,
        np.empty(bounds[-1], dtype=np.float64),
    )


def starts_of(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return where each of the parts of these lengths starts, and where the last one ends: int64 [parts + 1]."""
    return np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(lengths)))


def lengths_of(ends: npt.NDArray[np.int64], *, begin: int) -> npt.NDArray[np.int64]:
    """Return the lengths of parts that lie behind one another, the first of which begins at ``begin``."""
    return ends - np.concatenate((np.array([begin], dtype=np.int64), ends[:-1]))


def _new_side(buckets: npt.NDArray[np.int64]) -> Side:
    begins = starts_of(buckets)
    return Side(
        begins,
        np.zeros(len(buckets), dtype=np.int64),
        np.zeros(len(buckets), dtype=np.int64),
        np.empty(begins[-1], dtype=np.int32),
        np.empty(begins[-1], dtype=np.uint32),
        np.empty(begins[-1], dtype=np.float64),
    )


def _announced(kind: int, data: bytes, metric: str) -> int:
    announced = int.from_bytes(data[:2], "big") if kind in _MOST_PER_BYTE else 0
    if announced > _MOST_PER_BYTE.get(kind, 0) * len(data):
        raise SourceError(f"remote read of {metric}: a chunk of {len(data)} bytes announces {announced} samples")
    return announced


def _survey(series: Sequence[Chunks], first: int, samples: int, grid: Grid, metric: str, schedule: Schedule) -> Survey:
    chunks = [chunk for own in series for chunk in own]
    data = np.frombuffer(b"".join((*(data for _, data in chunks), bytes(PADDING))), dtype=np.uint8)
    bounds = starts_of(np.array([len(data) for _, data in chunks], dtype=np.int64))
    kinds = np.array([kind for kind, _ in chunks], dtype=np.int64)
    first_chunks = starts_of(np.array([len(own) for own in series], dtype=np.int64))
    first_samples = np.zeros(len(chunks), dtype=np.int64)
    layouts = np.zeros((len(chunks), LAYOUT), dtype=np.int64)
    times = np.empty(samples, dtype=np.int64)
    codes = np.empty(samples, dtype=np.uint64)
    bits = np.empty(samples, dtype=np.uint64)
    counts = np.zeros(len(series), dtype=np.int64)
    skipped = np.zeros(len(series), dtype=np.int64)
    room = samples if grid.raw else len(series) * grid.points
    row_times = np.empty(room, dtype=np.int64)
    row_codes = np.empty(room, dtype=np.uint64)
    sampled = np.empty(room, dtype=np.int64)
    lengths = np.zeros(len(series), dtype=np.int64)
    rows = survey_series(
        data,
        bounds[:-1],
        bounds[1:],
        kinds,
        first_chunks,
        new_scratch(),
        new_rows(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, LAYOUT), np.int64)),
        grid.start_ms,
        grid.step_ms,
        grid.points,
        grid.lookback_ms,
        grid.lookback_includes_edge,
        grid.raw,
        times,
        codes,
        bits,
        first_samples,
        layouts,
        counts,
        skipped,
        row_times,
        row_codes,
        sampled,
        lengths,
    )
    check_found(rows, metric)
    chosen = row_codes[:rows].view(np.int64)
    intervals = np.zeros(len(series), dtype=np.int64)
    hours, float_hours = (np.zeros((len(schedule.bounds) - 1, HOUR_COLUMNS), dtype=np.int64) for _ in range(2))
    count_survey(
        times,
        codes,
        np.append(first_samples, 0)[first_chunks[:-1]],  # a series without chunks has no samples either
        counts,
        schedule.targets,
        schedule.offsets,
        schedule.times,
        schedule.unseen,
        schedule.intervals,
        schedule.bounds,
        grid.lookback_ms,
        intervals,
        hours,
        float_hours,
    )
    late = np.repeat(np.where(intervals > 0, 3 * intervals // 2, grid.lookback_ms), lengths)
    held = row_times[:rows] - sampled[:rows] > late
    for found, kind in ((hours, 1), (float_hours, 0)):
        times_held = np.sort(row_times[:rows][held & (chosen & 1 == kind)])
        found[:, HELD] = np.diff(np.searchsorted(times_held, schedule.bounds))
    return Survey(
        first,
        data,
        bounds[:-1],
        bounds[1:],
        kinds,
        first_samples,
        layouts,
        times,
        codes,
        bits,
        skipped,
        row_times[:rows],
        chosen,
        lengths,
        intervals,
        hours,
        float_hours,
    )
