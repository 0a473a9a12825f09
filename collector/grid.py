"""What a read gives: the grid of one window, and blocks of series that are put on it when their order is known."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from collector.labels import LabelSets
from schemas.windows import Window


@dataclass(frozen=True, slots=True)
class Grid:
    """The grid points ``start, start + step, ...`` before ``end``, and how far each may look back. Milliseconds."""

    start_ms: int
    end_ms: int
    step_ms: int
    lookback_ms: int
    lookback_includes_edge: bool

    @property
    def points(self) -> int:
        """How many grid points there are."""
        return (self.end_ms - self.start_ms) // self.step_ms

    @property
    def timestamps(self) -> npt.NDArray[np.int64]:
        """Every grid point, in milliseconds since 1970."""
        return np.arange(self.start_ms, self.end_ms, self.step_ms, dtype=np.int64)


def make_grid(window: Window, *, step_ms: int, lookback_ms: int, includes_edge: bool) -> Grid:
    """Return the grid of a window; raise ``ValueError`` when the window is not made of whole steps."""
    if window.start_ms % step_ms or window.end_ms % step_ms:
        raise ValueError(f"window {window} is not made of whole steps of {step_ms} ms")
    return Grid(window.start_ms, window.end_ms, step_ms, lookback_ms, includes_edge)


@dataclass(frozen=True, slots=True)
class Samples:
    """The samples of some series, series after series.

    ``lengths`` is int64 [series], how many samples each has; ``timestamps`` int64 (ms) and ``values`` float64 are
    flat, sum(lengths) long; ``stats`` is int64 [series, STATS] as ``collector.kernels.stats`` names its columns.
    """

    lengths: npt.NDArray[np.int64]
    timestamps: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    stats: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SeriesBlock(ABC):
    """Some series of one metric: their raw labels now, their samples when asked, in the order asked for.

    Rows are sorted by pseudonyms, which only the labels tell; samples decoded in that order never move again.
    """

    labels: LabelSets = field(repr=False)

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def decode(self, rows: npt.NDArray[np.int64]) -> Samples:
        """Return the samples of the series with these row numbers, in this order; raise ``SourceError``."""

    def decode_all(self) -> Samples:
        """Return the samples of every series, in the order of the labels."""
        return self.decode(np.arange(len(self), dtype=np.int64))

    def __reduce__(self) -> Any:  # noqa: ANN401 - the protocol's own type
        raise TypeError("raw series stay in the process that read them")


@dataclass(frozen=True, slots=True)
class DecodedBlock(SeriesBlock):
    """A block whose samples are there already."""

    samples: Samples = field(repr=False)

    def decode(self, rows: npt.NDArray[np.int64]) -> Samples:
        """Return the samples of these rows."""
        held = self.samples
        lengths = held.lengths[rows]
        moved_by = (np.cumsum(held.lengths) - held.lengths)[rows] - (np.cumsum(lengths) - lengths)
        at = np.repeat(moved_by, lengths)
        at += np.arange(len(at))
        return Samples(lengths, held.timestamps[at], held.values[at], held.stats[rows])


def split_rows(rows: npt.NDArray[np.int64], *, points: int, most: int) -> Sequence[npt.NDArray[np.int64]]:
    """Cut row numbers into pieces of at most ``most`` samples each, if every series has up to ``points``."""
    each = max(1, most // max(1, points))
    return [rows[first : first + each] for first in range(0, len(rows), each)]
