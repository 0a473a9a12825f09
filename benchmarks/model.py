"""What a run costs, as a sum of parts: fitted to measured runs, then extrapolated. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

Part = Literal["fixed", "metrics", "series", "samples"]
PARTS: Final[tuple[Part, ...]] = ("fixed", "metrics", "series", "samples")


@dataclass(frozen=True)
class Run:
    """One run of a process: how many metrics, series and samples on the grid it took, each counted by window."""

    metrics: int
    series: int
    samples: int


@dataclass(frozen=True)
class Cost:
    """What a run costs for itself, and for each metric, series and sample."""

    fixed: float = 0.0
    metrics: float = 0.0
    series: float = 0.0
    samples: float = 0.0

    def of(self, run: Run) -> float:
        """Return the cost of a run."""
        return self.fixed + self.metrics * run.metrics + self.series * run.series + self.samples * run.samples


def fit_cost(costs: Sequence[tuple[Run, float]], parts: Sequence[Part]) -> Cost:
    """Return the cost with the least relative squared error over measured runs, of the given parts only.

    No part is negative: one that would be is left out, the most negative first. Raises ``ValueError`` when there are
    fewer runs than parts, or the runs don't tell the parts apart.
    """
    if len(costs) < len(parts):
        raise ValueError(f"found {len(costs)} measured runs; wanted at least one for each of {len(parts)} parts")
    measured = np.array([cost for _, cost in costs])
    rows = np.array([[_amount(run, part) for part in parts] for run, _ in costs], dtype=np.float64)
    rows /= measured[:, None]  # a small run's error counts as much as a large one's
    scale = np.abs(rows).max(axis=0)
    found, _, rank, _ = np.linalg.lstsq(rows / scale, np.ones(len(costs)), rcond=None)
    if rank < len(parts):
        raise ValueError(f"the measured runs do not tell {', '.join(parts)} apart")
    worst = int(np.argmin(found))
    if found[worst] < 0:
        return fit_cost(costs, [part for number, part in enumerate(parts) if number != worst])
    return Cost(**dict(zip(parts, (found / scale).tolist(), strict=True)))


def worst_error(cost: Cost, costs: Sequence[tuple[Run, float]]) -> float:
    """Return the largest relative error of the fit, as a share of what was measured."""
    return max(abs(cost.of(run) - measured) / measured for run, measured in costs)


def _amount(run: Run, part: Part) -> float:
    amounts: Mapping[Part, int] = {"fixed": 1, "metrics": run.metrics, "series": run.series, "samples": run.samples}
    return float(amounts[part])
