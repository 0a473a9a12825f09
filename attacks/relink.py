"""Find workloads again in a release under another key, by their values alone. Measured, not forbidden: a new key hides
names, not behaviour.

Three ways: by the shape of the curves; by counters and ages that go on where one release ends and the next begins; and
by samples that both releases hold, which the publisher refuses to publish.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from attacks.curves import AGE, CPU, MEMORY, WRITES, Curve, Curves, Entity
from schemas.attacks import Relinked

Costs = npt.NDArray[np.float64]
"""How unlike each entity (row) and each candidate (column) are."""
Way = Literal["shape", "continuing", "overlap"]
QUANTILES: Final = (5, 25, 50, 75, 95)
LAGS: Final = (4, 20, 120)
"""Grid points: 2 minutes, 10 minutes, an hour."""
LEAST_POINTS: Final = 120
AT_ONCE: Final = 256
DRAWS: Final = 20
NEAR_MS: Final = 300_000
"""How near to a boundary a curve must come to go on across it."""


def attack_by_shape(
    first: Curves, second: Curves, same: Mapping[Entity, Entity], sizes: Sequence[int]
) -> list[Relinked]:
    """Return how many entities of ``first`` are found among candidates of ``second`` by statistics of their curves.

    ``same`` says who is who, to judge a guess by. Each of ``sizes`` is a population; 0 stands for all candidates.
    """
    signed = {key: signature for key in same if (signature := describe(first[key])) is not None}
    known = {key: signature for key in second if (signature := describe(second[key])) is not None}
    entities = [key for key in signed if same[key] in known]
    candidates = list(known)
    if not entities:
        return []
    spread = _unrest(first)
    rows = np.array([signed[key] for key in entities]) / spread
    columns = np.array([known[key] for key in candidates]) / spread
    truth = [candidates.index(same[key]) for key in entities]
    return _score("shape", _distances(rows, columns), truth, sizes)


def attack_continuing(first: Curves, second: Curves, same: Mapping[Entity, Entity]) -> list[Relinked]:
    """Return how many entities that live across the boundary are found by counters and ages that go on."""
    ends = max(each[CPU].times[-1] for each in first.values() if CPU in each)
    begins = min(each[CPU].times[0] for each in second.values() if CPU in each)
    before = {key: state for key in same if (state := _state(first[key], -1, ends)) is not None}
    after = {key: state for key in second if (state := _state(second[key], 0, begins)) is not None}
    entities = [key for key in before if same[key] in after]
    candidates = list(after)
    if not entities:
        return []
    gap = (begins - ends) / 1000
    rows = np.array([before[key] for key in entities])
    columns = np.array([after[key] for key in candidates])
    rows[:, 2] += gap  # an age grows with time; a counter by what its rate says
    rows[:, :2] += gap * np.array([_rates(first[key]) for key in entities])
    scale = np.array([1.0, 4096.0, 60.0])
    costs = np.log1p(np.abs(rows[:, None, :] - columns[None, :, :]) / scale).sum(axis=2)
    return _score("continuing", costs, [candidates.index(same[key]) for key in entities], (0,))


def attack_overlap(
    first: Curves, second: Curves, same: Mapping[Entity, Entity], *, start_ms: int, end_ms: int
) -> list[Relinked]:
    """Return how many entities are found by samples of one span that both releases hold."""
    before = {key: _cut(first[key], start_ms, end_ms) for key in same}
    after = {key: _cut(each, start_ms, end_ms) for key, each in second.items()}
    entities = [key for key in same if before[key] and after.get(same[key])]
    candidates = [key for key, each in after.items() if each]
    costs = np.array([[-float(len(before[key] & after[other])) for other in candidates] for key in entities])
    return _score("overlap", costs, [candidates.index(same[key]) for key in entities], (0,)) if entities else []


def _unrest(curves: Curves) -> npt.NDArray[np.float64]:
    """Return how much each feature varies within one entity, between halves of its time: what varies tells little."""
    pairs = [[describe(half) for half in _halve(each)] for each in curves.values()]
    apart = [np.abs(one - other) for one, other in pairs if one is not None and other is not None]
    return np.asarray(np.median(apart, axis=0) + 1e-3) if apart else np.ones(1)


def _halve(curves: Mapping[str, Curve]) -> tuple[dict[str, Curve], dict[str, Curve]]:
    halves: tuple[dict[str, Curve], dict[str, Curve]] = ({}, {})
    for name, curve in curves.items():
        middle = len(curve.times) // 2
        halves[0][name] = Curve(curve.times[:middle], curve.values[:middle])
        halves[1][name] = Curve(curve.times[middle:], curve.values[middle:])
    return halves


def describe(curves: Mapping[str, Curve]) -> npt.NDArray[np.float64] | None:
    """Return what a pair of CPU and memory curves looks like: float64 [features]; ``None`` if they are too short."""
    if min((len(curves[name].times) if name in curves else 0) for name in (CPU, MEMORY)) < LEAST_POINTS:
        return None
    cpu = curves[CPU]
    rate = np.maximum(np.diff(cpu.values), 0) / (np.diff(cpu.times) / 1000)
    memory = np.log2(np.maximum(curves[MEMORY].values, 1.0))
    busy = np.log2(rate + 1e-4)
    features = [*np.percentile(memory, QUANTILES), *np.percentile(busy, QUANTILES)]
    features += [np.abs(np.diff(memory)).mean(), np.abs(np.diff(busy)).mean(), memory.std(), busy.std()]
    for curve in (memory, busy):
        features += [_autocorrelation(curve, lag) for lag in LAGS]
    return np.array(features)


def _score(by: Way, costs: Costs, truth: Sequence[int], sizes: Sequence[int]) -> list[Relinked]:
    found = []
    for size in sizes:
        places = _places(costs, truth) if size == 0 else _sampled_places(costs, truth, size)
        if len(places):
            found.append(
                Relinked(
                    by=by,
                    population=size or costs.shape[1],
                    further_clusters=False,
                    top1=round(float((places < 1).mean()), 4),
                    top10=round(float((places < 10).mean()), 4),
                )
            )
    return found


def _places(costs: Costs, truth: Sequence[int]) -> npt.NDArray[np.int64]:
    """Return how many candidates are as like each entity as the true one, or more so: int64 [entities]."""
    if not np.isfinite(costs).all():
        raise ValueError("found costs that are no numbers, wanted a comparison of all pairs")
    own = costs[np.arange(len(truth)), truth][:, None]
    return np.asarray((costs <= own).sum(axis=1) - 1, dtype=np.int64)


def _sampled_places(costs: Costs, truth: Sequence[int], size: int) -> npt.NDArray[np.int64]:
    """Return the same in small populations, drawn from those who are in both releases."""
    if size > len(truth):
        return np.empty(0, dtype=np.int64)
    draw = Random(size)
    places = []
    for _ in range(DRAWS):
        chosen = draw.sample(range(len(truth)), size)
        columns = [truth[at] for at in chosen]
        places.append(_places(costs[np.ix_(chosen, columns)], range(size)))
    return np.concatenate(places)


def _distances(rows: Costs, columns: Costs) -> Costs:
    parts = [
        np.abs(rows[at : at + AT_ONCE, None, :] - columns[None, :, :]).sum(axis=2)
        for at in range(0, len(rows), AT_ONCE)
    ]
    return np.concatenate(parts)


def _state(curves: Mapping[str, Curve], at: int, boundary_ms: int) -> tuple[float, float, float] | None:
    """Return CPU, writes and age at a boundary; ``None`` for what does not reach it."""
    if CPU not in curves or abs(int(curves[CPU].times[at]) - boundary_ms) > NEAR_MS:
        return None
    return (
        float(curves[CPU].values[at]),
        float(curves[WRITES].values[at]) if WRITES in curves else 0.0,
        float(curves[AGE].values[at]) if AGE in curves else 0.0,
    )


def _rates(curves: Mapping[str, Curve]) -> tuple[float, float]:
    found = []
    for name in (CPU, WRITES):
        curve = curves.get(name)
        steps = np.diff(curve.values[-11:]) / (np.diff(curve.times[-11:]) / 1000) if curve else np.zeros(1)
        found.append(float(np.maximum(steps, 0).mean()) if len(steps) else 0.0)
    return found[0], found[1]


def _cut(curves: Mapping[str, Curve], start_ms: int, end_ms: int) -> frozenset[tuple[str, int, float]]:
    points: set[tuple[str, int, float]] = set()
    for name in (CPU, MEMORY):
        if name in curves:
            curve = curves[name]
            low, high = np.searchsorted(curve.times, (start_ms, end_ms))
            times, values = curve.times[low:high].tolist(), curve.values[low:high].tolist()
            points.update((name, at, value) for at, value in zip(times, values, strict=True))
    return frozenset(points)


def _autocorrelation(curve: npt.NDArray[np.float64], lag: int) -> float:
    if lag >= len(curve) - 1:
        return 0.0
    centred = curve - curve.mean()
    power = float(centred @ centred)
    return float(centred[lag:] @ centred[:-lag]) / power if power else 0.0
