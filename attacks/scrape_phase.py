"""Tell targets by the moment of their scrapes: Prometheus spreads it by a hash of the target and keeps it for good."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from schemas.attacks import ScrapePhase

Times = npt.NDArray[np.int64]


def attack_phases(times: Mapping[str, Times], *, interval_ms: int) -> ScrapePhase:
    """Return how well timestamps (ms, ascending, by target) tell targets apart.

    A target is told if, among all, the moment of its second half lies nearest to its own moment in the first, and
    nobody else's lies as near.
    """
    halves = {target: np.array_split(each, 2) for target, each in times.items() if len(each) > 1}
    before = {target: _phase(first, interval_ms) for target, (first, _) in halves.items()}
    told = 0
    for target, (_, second) in halves.items():
        after = _phase(second, interval_ms)
        distances = {other: _distance(after, phase, interval_ms) for other, phase in before.items()}
        nearest = min(distances.values())
        told += [other for other, distance in distances.items() if distance == nearest] == [target]
    moments = {_phase(each, interval_ms) for each in times.values() if len(each)}
    return ScrapePhase(targets=len(times), moments=len(moments), told=told)


def _phase(times: Times, interval_ms: int) -> int:
    """Return the commonest moment within the interval, in ms: single scrapes come late."""
    return int(Counter((times % interval_ms).tolist()).most_common(1)[0][0])


def _distance(first: int, second: int, interval_ms: int) -> int:
    apart = abs(first - second)
    return min(apart, interval_ms - apart)
