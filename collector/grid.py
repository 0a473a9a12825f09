"""What a read gives: many series of one metric on the grid of one window."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

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
class SeriesBlock:
    """Some series of one metric: their raw labels, and their samples on the grid.

    ``values`` is float64 [series, points], meaningful where ``present`` (bool, same shape) is true; ``stats`` is
    int64 [series, 4] as ``collector.kernels.stats`` names its columns. Labels never show in the repr.
    """

    labels: Sequence[Mapping[str, str]] = field(repr=False)
    values: npt.NDArray[np.float64] = field(repr=False)
    present: npt.NDArray[np.bool_] = field(repr=False)
    stats: npt.NDArray[np.int64] = field(repr=False)

    def __len__(self) -> int:
        return len(self.labels)

    def __reduce__(self) -> Any:  # noqa: ANN401 - the protocol's own type
        raise TypeError("raw series stay in the process that read them")
