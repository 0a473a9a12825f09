"""Make a TSDB of known series: a cluster at several sizes, each at a time of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.blocks import BlockWriter
from benchmarks.job import make_span
from benchmarks.series import CHURN, SHAPES, Series, Shape, make_series, make_up
from schemas.windows import Window, span_ms

SERIES: Final = 500
"""Of each shape: 500 series over 24 h every 30 s are 1.44 M samples."""
BLOCK: Final = timedelta(hours=18)
"""The server compacts blocks of two hours to this within a day."""
HISTORY: Final = timedelta(hours=1)
"""Chunks hold an hour and leave the server whole, so a window's lookback costs the hour before it, as in a real one."""
_SLOTS_AT_ONCE: Final = 500


@dataclass(frozen=True)
class Stretch:
    """``series`` of each shape over some hours from the start of a day on; days count from ``START``.

    ``series`` is a multiple of ten. Two stretches that are less than a day apart share neither shape nor job.
    """

    series: int = SERIES
    hours: int = 24
    day: int = 0
    shapes: tuple[Shape, ...] = SHAPES
    scrape_job: str = "kubelet"

    @property
    def span(self) -> Window:
        """What may be asked for; samples begin ``HISTORY`` before."""
        return make_span(self.hours, day=self.day)


def build_tsdb(folder: Path, stretches: Sequence[Stretch], *, churn: float = CHURN) -> int:
    """Write blocks with the stretches into ``folder``; return the number of samples, stale markers included."""
    writers: dict[int, BlockWriter] = {}
    width = span_ms(BLOCK)
    for stretch in stretches:
        for series in stretch_series(stretch, churn=churn):
            cuts = np.flatnonzero(np.diff(series.times // width)) + 1
            for times, bits in zip(np.split(series.times, cuts), np.split(series.bits, cuts), strict=True):
                block = int(times[0]) // width
                if block not in writers:
                    writers[block] = BlockWriter(folder, block * width, (block + 1) * width)
                writers[block].add(series.labels, times, bits)
    for writer in writers.values():
        writer.finish()
    return sum(writer.samples for writer in writers.values())


def stretch_series(stretch: Stretch, *, churn: float = CHURN) -> Iterator[Series]:
    """Yield every series of a stretch, history included: those of its shapes, then ``up`` of its targets."""
    begin_ms, end_ms, job = stretch.span.start_ms - span_ms(HISTORY), stretch.span.end_ms, stretch.scrape_job
    for shape in stretch.shapes:
        for first in range(0, stretch.series, _SLOTS_AT_ONCE):
            slots = range(first, min(first + _SLOTS_AT_ONCE, stretch.series))
            yield from make_series(shape, slots=slots, scrape_job=job, start_ms=begin_ms, end_ms=end_ms, churn=churn)
    yield from make_up(slots=range(stretch.series), scrape_job=job, start_ms=begin_ms, end_ms=end_ms)
