"""Series with native histograms as the server sent them: gathered into blocks, decoded in the order asked for.

A series that has floats too, say one that became a histogram, is in a block of either kind, with rows of its own.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from collector.grid import Grid, Samples, Schedule, SeriesBlock
from collector.histogram_block import HistogramBlock
from collector.histogram_survey import Chunks
from collector.histograms import decode_floats, decode_histograms
from collector.kernels.histogram import FLOAT, INTEGER
from collector.kernels.histogram_grid import XOR
from collector.labels import LabelSets

BLOCK_BYTES: Final = 16 << 20
"""A block ends when its chunks have so many bytes."""


@dataclass(frozen=True, slots=True)
class NativeBlock:
    """Some series of one metric: their raw labels now, their histograms when asked, in the order asked for."""

    labels: LabelSets = field(repr=False)
    chunks: Sequence[Chunks] = field(repr=False)
    grid: Grid
    metric: str

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def nbytes(self) -> int:
        """How many bytes all chunks have."""
        return sum(len(data) for own in self.chunks for _, data in own)

    @property
    def most(self) -> npt.NDArray[np.int64]:
        """How many histograms each series has at most, int64 [series]."""
        return _most(self.chunks, self.grid, kinds=(INTEGER, FLOAT))

    def decode(self, rows: npt.NDArray[np.int64], schedule: Schedule | None = None) -> Iterator[HistogramBlock]:
        """Yield the histograms of the series with these row numbers, in this order; raise ``SourceError``.

        They are counted by ``schedule``, whose targets are those of all series of the block.
        """
        series = [self.chunks[row] for row in rows.tolist()]
        return decode_histograms(series, self.grid, metric=self.metric, schedule=_schedule_of(schedule, rows))

    def floats(self) -> "FloatSide | None":
        """Return the series that have floats too as a block of these; ``None`` when there are none."""
        mixed = [row for row, own in enumerate(self.chunks) if any(kind == XOR for kind, _ in own)]
        if not mixed:
            return None
        labels = LabelSets()
        labels.extend(self.labels.rows(mixed))
        return FloatSide(labels, [self.chunks[row] for row in mixed], self.grid, self.metric)

    def __reduce__(self) -> Any:  # noqa: ANN401 - the protocol's own type
        raise TypeError("raw series stay in the process that read them")


Block = SeriesBlock | NativeBlock
"""What a read gives."""


@dataclass(frozen=True, slots=True)
class FloatSide(SeriesBlock):
    """The floats of series that have histograms too: the block of these comes next, with the same labels."""

    chunks: Sequence[Chunks] = field(repr=False)
    grid: Grid
    metric: str

    @property
    def most(self) -> npt.NDArray[np.int64]:
        """How many floats each series has at most, int64 [series]."""
        return _most(self.chunks, self.grid, kinds=(XOR,))

    def decode(self, rows: npt.NDArray[np.int64], schedule: Schedule | None = None) -> Samples:
        """Return the floats of the series with these row numbers, in this order; raise ``SourceError``."""
        series = [self.chunks[row] for row in rows.tolist()]
        return decode_floats(series, self.grid, metric=self.metric, schedule=_schedule_of(schedule, rows))


class NativeGatherer:
    """Gathers series until they make a block."""

    def __init__(self, grid: Grid, metric: str) -> None:
        self._grid = grid
        self._metric = metric
        self._clear()

    def _clear(self) -> None:
        self._labels = LabelSets()
        self._chunks: list[Chunks] = []
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._chunks)

    def add(self, labels: Iterable[tuple[str, str]], chunks: Chunks) -> bool:
        """Take one series; return whether the block is full."""
        self._labels.append(labels)
        self._chunks.append(chunks)
        self._bytes += sum(len(data) for _, data in chunks)
        return self._bytes >= BLOCK_BYTES

    def take(self) -> NativeBlock:
        """Return what was gathered, and start anew."""
        block = NativeBlock(self._labels, self._chunks, self._grid, self._metric)
        self._clear()
        return block


def _most(series: Sequence[Chunks], grid: Grid, *, kinds: Collection[int]) -> npt.NDArray[np.int64]:
    announced = (sum(int.from_bytes(data[:2], "big") for kind, data in own if kind in kinds) for own in series)
    most = announced if grid.raw else (grid.points if samples else 0 for samples in announced)
    return np.fromiter(most, dtype=np.int64, count=len(series))


def _schedule_of(schedule: Schedule | None, rows: npt.NDArray[np.int64]) -> Schedule | None:
    return replace(schedule, targets=schedule.targets[rows]) if schedule else None
