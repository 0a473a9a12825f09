"""Series of native histograms as they come in bad times: by name, and drawn."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from itertools import cycle
from typing import Any, Final

from hypothesis import strategies as st

from tests.collector.histogram_chunks import STALE, Histogram, to_bits
from tests.collector.histogram_wire import Mixed

SECOND: Final = 1_000
MINUTE: Final = 60 * SECOND
PAYLOADS: Final = (0x7FF8DEADBEEF0001, 0xFFF8000000000000, 0x7FF0000000000001, 0x7FF8000000000001)
SUMS: Final = (
    *map(to_bits, (0.0, -0.0, float("inf"), float("-inf"), 5e-324, -1.7976931348623157e308, 0.1, 2.0**53 + 2)),
    *PAYLOADS,
)
THRESHOLDS: Final = (0.0, 2.0**-128, 2.0**-243, 2.0**10, 2.0**11, 2.0**-244, 0.001, 5e-324, 1e300)
STALE_HISTOGRAM: Final = Histogram(sum_bits=STALE)


def named_cases(start: int, end: int, lookback: int) -> dict[str, Mixed]:
    """Return every case that has a name of its own, of the span [start, end) in milliseconds."""
    steady = range(start - 5 * MINUTE, end, 15 * SECOND)
    minutes = range(start, end, MINUTE)
    half = start + (end - start) // 2
    one = Histogram({1: 4, 2: 3}, {1: 2}, schema=2, zero_count=1, sum_bits=to_bits(7.5))

    def growing(n: int, *, unit: float = 1, **other: Any) -> Histogram:  # noqa: ANN401 - fields of a histogram
        buckets = {index: (n + abs(index)) * unit for index in (-7, 0, 1, 2, 9, 300)}
        return Histogram(buckets, {-2: n * unit, 5: 3 * unit}, sum_bits=to_bits(n * 0.3), zero_count=n * unit, **other)

    def alone(*times: int) -> Mixed:
        return [(time, one) for time in times]

    huge = (5, 2**53 + 1, 2**62, 2**62 + 2**61 + 513, 2**63 - 1)
    return {
        "integers": [(time, growing(n)) for n, time in enumerate(steady)],
        "floats": [(time, growing(n, unit=0.25)) for n, time in enumerate(steady)],
        "floats with long mantissas": [
            (time, Histogram({i: (n + i) / 7 for i in range(3)}, count=1e6 + n / 3, sum_bits=to_bits(n / 3)))
            for n, time in enumerate(steady)
        ],
        "more than two chunks": [(time, growing(n)) for n, time in enumerate(range(half, end, 2 * SECOND))],
        "buckets appear one by one": [
            (time, Histogram({i * 3 - n % 2: n + 1 for i in range(n // 10 + 1)}, {-i: n for i in range(n // 20 + 1)}))
            for n, time in enumerate(steady)
        ],
        "buckets disappear": [
            (time, Histogram(dict.fromkeys(range(20 - n // 10), 5)))
            for n, time in enumerate(range(start, end, MINUTE // 3))
        ],
        "counter resets": [(time, growing(n % 23)) for n, time in enumerate(steady)],
        "a reset that only the sender knows": [
            (time, growing(n, hint=1 if n % 9 == 4 else 0)) for n, time in enumerate(minutes)
        ],
        "a gauge": [(time, growing(n, hint=3)) for n, time in enumerate(minutes)],
        "every schema": [(time, growing(n, schema=n // 3 % 13 - 4)) for n, time in enumerate(minutes)],
        "each sample a chunk": [(time, growing(n, schema=n % 2)) for n, time in enumerate(minutes)],
        "every zero threshold": [
            (time, Histogram({12: n}, {13: 1}, zero_count=n, zero_threshold=THRESHOLDS[n // 2 % len(THRESHOLDS)]))
            for n, time in enumerate(minutes)
        ],
        "every special sum": [(time, growing(n, unit=1 + n % 2 * 0.5)) for n, time in enumerate(minutes)],
        "special sums of integers": [
            (time, replace(one, sum_bits=SUMS[n % len(SUMS)])) for n, time in enumerate(range(start, end, 20 * SECOND))
        ],
        "special sums of floats": [
            (time, Histogram({0: 1.5 + n}, sum_bits=SUMS[n % len(SUMS)])) for n, time in enumerate(minutes)
        ],
        "no buckets": [(time, Histogram(count=0)) for time in minutes],
        "zero bucket only": [(time, Histogram(zero_count=n)) for n, time in enumerate(minutes)],
        "empty buckets": [(time, Histogram({0: 0, 1: n, 2: 0, 5: 0, 6: 1}, {3: 0})) for n, time in enumerate(minutes)],
        "64-bit changes": [
            (time, Histogram({0: a, 1: 3}, zero_count=b, count=min(a + b + 3, 2**64 - 1), sum_bits=to_bits(1.0)))
            for time, a, b in zip(minutes, cycle(huge), cycle((*huge, *huge[::-1])), strict=False)
        ],
        "counts beyond 63 bits": [
            (time, Histogram({0: 1}, zero_count=(7, 2**63 + 1025, 2**64 - 1)[n // 2 % 3], count=2**64 - 1 - n % 2))
            for n, time in enumerate(minutes)
        ],
        "the largest buckets": [
            (time, Histogram({1 << 10: n, (1 << 10) + 1: 2}, {1 << 10: 1, -1074: 7})) for n, time in enumerate(minutes)
        ],
        "stale at once": [(start, STALE_HISTOGRAM)],
        "ends stale": [*((time, growing(n)) for n, time in enumerate(minutes[:20])), (minutes[20], STALE_HISTOGRAM)],
        "stale and back": [
            (time, STALE_HISTOGRAM if n % 7 in (3, 4) else growing(n)) for n, time in enumerate(minutes)
        ],
        "floats, stale and back": [
            (time, STALE_HISTOGRAM if n % 7 == 3 else growing(n, unit=0.5)) for n, time in enumerate(minutes, 1)
        ],
        "one at the start": alone(start),
        "one before the start": alone(start - 1),
        "one exactly one lookback old": alone(start - lookback),
        "one a lookback and a millisecond old": alone(start - lookback - 1),
        "one a lookback old at a later point": alone(half - lookback, half + lookback + 1),
        "one at the last grid point": alone(end - 30 * SECOND),
        "one at the end": alone(end - 1),
        "one at the next window's start": alone(end),
        "gaps around the lookback": alone(*(start + n * (lookback + n - 3) for n in range(8))),
        "jitter": [(time + n * 7919 % 3000, growing(n)) for n, time in enumerate(range(start, end, 30 * SECOND))],
        "integers and floats by turns": [
            (time, growing(n, unit=(1, 0.5)[n // 5 % 2])) for n, time in enumerate(minutes, 1)
        ],
        "became a histogram": [
            (time, to_bits(float(n)) if time < half else growing(n)) for n, time in enumerate(steady)
        ],
        "was a histogram": [(time, growing(n) if time < half else to_bits(float(n))) for n, time in enumerate(steady)],
        "both by turns": [
            (time, (growing(n), to_bits(float(n)), STALE, growing(n), STALE_HISTOGRAM)[n // 2 % 5])
            for n, time in enumerate(range(start, end, 20 * SECOND))
        ],
        "floats alone": [(time, to_bits(float(n))) for n, time in enumerate(minutes)],
    }


class Drawn:
    """A drawn series. No dataclass: hypothesis would show all of its many samples, and not only how it was made."""

    def __init__(self, recipe: str, samples: Mixed) -> None:
        self.recipe = recipe
        self.samples = samples

    def __repr__(self) -> str:
        return f"Drawn({self.recipe})"


@st.composite
def hostile_histograms(draw: Callable[..., Any], *, start: int, end: int, lookback: int) -> Drawn:
    """Draw a series; most of its shape is seeded, so that long ones stay cheap to draw."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = random.Random(seed)
    interval = draw(st.sampled_from([5_000, 15_000, 29_999, 30_000, 60_000, 299_999, 300_000, 300_001]))
    gap_chance, stale_chance = draw(st.sampled_from([(0, 0), (0.1, 0), (0, 0.05), (0.4, 0.2)]))
    switch_chance, reshape_chance = draw(st.sampled_from([(0, 0.02), (0.05, 0), (0, 0.5), (0.3, 0.3)]))
    begin = start - lookback - MINUTE + draw(st.integers(0, (end - start) // MINUTE)) * MINUTE
    edges = draw(st.lists(st.sampled_from([start, start - 1, start - lookback, end - 1, end]), max_size=2))
    times = {time + rng.choice((0, 0, 1)) for time in range(begin, end, interval) if rng.random() >= gap_chance}
    kind = rng.choice(("integers", "floats"))
    shape = draw_histogram(rng, floats=kind == "floats")
    samples: list[tuple[int, Histogram | int]] = []
    for time in sorted(times | set(edges)):
        if rng.random() < switch_chance:
            kind = rng.choice(("integers", "floats", "plain"))
            shape = draw_histogram(rng, floats=kind == "floats")
        elif rng.random() < reshape_chance:
            shape = draw_histogram(rng, floats=kind == "floats")
        if rng.random() < stale_chance:
            samples.append((time, STALE if kind == "plain" else STALE_HISTOGRAM))
        elif kind == "plain":
            samples.append((time, to_bits(rng.uniform(-5, 5))))
        else:
            shape = grow(rng, shape)
            samples.append((time, shape))
    recipe = f"{seed=} {interval=} {gap_chance=} {stale_chance=} {switch_chance=} {reshape_chance=} {begin=} {edges=}"
    return Drawn(recipe, samples)


def draw_histogram(rng: random.Random, *, floats: bool) -> Histogram:
    """Return a histogram with buckets in several runs, as a server takes it."""
    unit = rng.choice((0.25, 1.5)) if floats else 1

    def side() -> dict[int, float]:
        buckets: dict[int, float] = {}
        at = rng.choice((-40, -1, 0, 3, 1000))
        for _ in range(rng.choice((0, 1, 1, 2, 4))):
            for _ in range(rng.choice((1, 1, 2, 5, 20))):
                buckets[at] = rng.choice((0, 1, 3, 70, 5_000, 2**20)) * unit
                at += 1
            at += rng.choice((1, 2, 50))
        return buckets

    return Histogram(
        side(),
        side(),
        schema=rng.randint(-4, 8),
        zero_threshold=rng.choice(THRESHOLDS[:7]),
        zero_count=rng.choice((1, 2, 2**30)) * unit,
        sum_bits=rng.choice((to_bits(rng.uniform(-1e9, 1e9)), rng.choice(SUMS), rng.getrandbits(64))),
    )


def grow(rng: random.Random, one: Histogram) -> Histogram:
    """Return a histogram of the same shape some time later; now and then a bucket more."""
    unit = 0.25 if one.floats else 1

    def later(side: Any) -> dict[int, float]:  # noqa: ANN401 - a mapping
        grown = {i: count + rng.choice((0, 0, 0, 1, 2, 100, 10**6)) * unit for i, count in side.items()}
        if rng.random() < 0.05:
            grown.setdefault(rng.randint(-50, 50), unit)
        return grown

    bits = one.sum_bits if rng.random() < 0.3 else to_bits(rng.uniform(-1e6, 1e6))
    return replace(
        one, positive=later(one.positive), negative=later(one.negative), zero_count=one.zero_count + unit, sum_bits=bits
    )
