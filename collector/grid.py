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
    raw: bool = False
    """Whether samples keep the times of their scrapes. Those identify targets, so it is for private use alone."""

    @property
    def points(self) -> int:
        """How many grid points there are."""
        return (self.end_ms - self.start_ms) // self.step_ms

    @property
    def timestamps(self) -> npt.NDArray[np.int64]:
        """Every grid point, in milliseconds since 1970."""
        return np.arange(self.start_ms, self.end_ms, self.step_ms, dtype=np.int64)


def make_grid(window: Window, *, step_ms: int, lookback_ms: int, includes_edge: bool, raw: bool = False) -> Grid:
    """Return the grid of a window; raise ``ValueError`` when the window is not made of whole steps."""
    if window.start_ms % step_ms or window.end_ms % step_ms:
        raise ValueError(f"window {window} is not made of whole steps of {step_ms} ms")
    return Grid(window.start_ms, window.end_ms, step_ms, lookback_ms, includes_edge, raw)


@dataclass(frozen=True, slots=True)
class Schedule:
    """When the series of a block should have been scraped, and the hours to count by.

    ``targets`` (int32 [series]) is each series' target, -1 where nobody knows it. The scrapes of target n are
    ``times[offsets[n]:offsets[n + 1]]`` (int64, ms), with ``unseen`` (bool) beside them for those that the source
    itself missed; ``intervals`` (int64 [targets], ms) are the targets'. ``bounds`` is int64 [hours + 1], ms.
    """

    targets: npt.NDArray[np.int32] = field(repr=False)
    offsets: npt.NDArray[np.int64] = field(repr=False)
    times: npt.NDArray[np.int64] = field(repr=False)
    unseen: npt.NDArray[np.bool_] = field(repr=False)
    intervals: npt.NDArray[np.int64] = field(repr=False)
    bounds: npt.NDArray[np.int64]


def no_schedule(series: int, grid: Grid) -> Schedule:
    """Return the schedule of series whose scrapes nobody knows, counted over the whole window."""
    none = np.empty(0, dtype=np.int64)
    return Schedule(
        np.full(series, -1, dtype=np.int32),
        np.zeros(1, dtype=np.int64),
        none,
        none.astype(np.bool_),
        none,
        np.array([grid.start_ms, grid.end_ms], dtype=np.int64),
    )


@dataclass(frozen=True, slots=True)
class Samples:
    """The samples of some series, series after series.

    ``lengths`` is int64 [series], how many samples each has; ``timestamps`` int64 (ms) and ``values`` float64 are
    flat, sum(lengths) long. ``hours`` is int64 [hours, HOUR_COLUMNS], sums over the series as
    ``collector.kernels.stats`` names its columns; ``intervals`` int64 [series] (ms) are the series' own, 0 where they
    cannot be told.
    """

    lengths: npt.NDArray[np.int64]
    timestamps: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    hours: npt.NDArray[np.int64]
    intervals: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SeriesBlock(ABC):
    """Some series of one metric: their raw labels now, their samples when asked, in the order asked for.

    Rows are sorted by pseudonyms, which only the labels tell; samples decoded in that order never move again.
    """

    labels: LabelSets = field(repr=False)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    @abstractmethod
    def most(self) -> npt.NDArray[np.int64]:
        """How many samples each series has at most, int64 [series]."""

    @abstractmethod
    def decode(self, rows: npt.NDArray[np.int64], schedule: Schedule | None = None) -> Samples:
        """Return the samples of the series with these row numbers, in this order; raise ``SourceError``.

        They are counted by ``schedule``, whose targets are those of all series of the block.
        """

    def decode_all(self, schedule: Schedule | None = None) -> Samples:
        """Return the samples of every series, in the order of the labels."""
        return self.decode(np.arange(len(self), dtype=np.int64), schedule)

    def __reduce__(self) -> Any:  # noqa: ANN401 - the protocol's own type
        raise TypeError("raw series stay in the process that read them")


def split_rows(
    rows: npt.NDArray[np.int64], most: npt.NDArray[np.int64], *, at_once: int
) -> Sequence[npt.NDArray[np.int64]]:
    """Cut row numbers into pieces of about ``at_once`` samples, or of one series; ``most`` is that of the block."""
    pieces = (np.cumsum(most[rows]) - 1) // at_once
    return np.split(rows, np.flatnonzero(np.diff(pieces)) + 1)
