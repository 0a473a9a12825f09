"""Series as they come in bad times, and what two sides say of them in one form that can be compared."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from collector.grid import Grid, SeriesBlock
from collector.native import Block
from schemas.raw import open_raw
from tests.prometheus.wire import Samples

STALE: Final = 0x7FF0000000000002
NAN: Final = 0x7FF8000000000001  # Go's own NaN
PAYLOADS: Final = (0x7FF8DEADBEEF0001, 0xFFF8000000000000, 0x7FF0000000000001, 0x7FF0000000000003, 0x7FFFFFFFFFFFFFFF)
SECOND: Final = 1_000
MINUTE: Final = 60 * SECOND

Batches = list[Samples]
"""One after another; a later one may go back in time."""
Points = tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64]]
Vectors = dict[frozenset[tuple[str, str]], Points]


def to_bits(value: float) -> int:
    """Return the 64 bits of a float."""
    return int(struct.unpack("<Q", struct.pack("<d", value))[0])


MINUS_ZERO: Final = to_bits(-0.0)
SPECIALS: Final = tuple(
    to_bits(value)
    for value in (0.0, -0.0, float("inf"), float("-inf"), 5e-324, 1.7976931348623157e308, 1.0, -1.0, 0.1, 2.0**53 + 2)
)


def without_signs_of_zero(samples: Iterable[tuple[int, int]]) -> dict[int, int]:
    """Return samples by time with -0.0 as 0.0: a server's plain remote read leaves every zero out of its message."""
    return {time: 0 if bits == MINUS_ZERO else bits for time, bits in samples}


def named_cases(start: int, end: int, lookback: int) -> dict[str, Batches]:
    """Return every case that has a name of its own. All times are of the span [start, end), in milliseconds."""
    steady = range(start - 5 * MINUTE, end, 15 * SECOND)
    ones = [(time, to_bits(1.0)) for time in range(start, end, MINUTE)]
    half = start + (end - start) // 2

    def alone(*times: int) -> Batches:
        return [[(time, to_bits(7.25)) for time in times]]

    return {
        "counter with resets": [[(time, to_bits(float(n % 97) * 1.5)) for n, time in enumerate(steady)]],
        "several chunks": [[(time, to_bits(n * 0.1)) for n, time in enumerate(range(half, end, 2 * SECOND))]],
        "constant": [[(time, to_bits(3.0)) for time in steady]],
        "every special value": [
            [(time, SPECIALS[n % len(SPECIALS)]) for n, time in enumerate(range(start, end, 20 * SECOND))]
        ],
        "NaN payloads": [[(time, (NAN, *PAYLOADS)[n % 6]) for n, time in enumerate(range(start, end, MINUTE))]],
        "signs of zero": [[(time, to_bits((0.0, -0.0)[n % 2])) for n, time in enumerate(range(start, end, MINUTE))]],
        "stale at once": [[(start, STALE)]],
        "ends stale": [[*ones[:20], (ones[20][0], STALE)]],
        "stale and back": [[(time, STALE if n % 7 == 3 else bits) for n, (time, bits) in enumerate(ones)]],
        "stale just before the window": [[(start - MINUTE, to_bits(1.0)), (start - 1, STALE)]],
        "one sample at the start": alone(start),
        "one sample before the start": alone(start - 1),
        "one sample exactly one lookback old": alone(start - lookback),
        "one sample a lookback and a millisecond old": alone(start - lookback - 1),
        "one sample a lookback old at a later point": alone(half - lookback, half + lookback + 1),
        "one sample at the last grid point": alone(end - 30 * SECOND),
        "one sample at the end": alone(end - 1),
        "one sample at the next window's start": alone(end),
        "either side of the start": alone(start - 1, start, start + 1),
        "gaps around the lookback": alone(*(start + n * (lookback + n - 3) for n in range(8))),
        "a delta of deltas of 64 bits": alone(start, start + 1, start + 40 * MINUTE, start + 40 * MINUTE + 1, end - 1),
        "jitter": [[(time + n * 7919 % 3000, to_bits(n)) for n, time in enumerate(range(start, end, 30 * SECOND))]],
        "out of order": [ones[::2], ones[1::2][::-1][:1], ones[1::2][:-1]],
        "out of order, backwards one by one": [ones[-3:], *([one] for one in reversed(ones[-40:-3]))],
    }


@dataclass(frozen=True)
class Drawn:
    """A drawn series, which shows how it was made and not its thousands of samples."""

    recipe: str
    batches: Batches = field(repr=False)


@st.composite
def hostile_series(draw: Callable[..., Any], *, start: int, end: int, lookback: int) -> Drawn:
    """Draw a series; most of its shape is seeded, so that long ones stay cheap to draw."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = random.Random(seed)
    interval = draw(st.sampled_from([5_000, 15_000, 29_999, 30_000, 30_001, 60_000, 299_999, 300_000, 300_001]))
    jitter = draw(st.sampled_from([0, 0, 1, 50, 4_000]))
    gap_chance = draw(st.sampled_from([0.0, 0.02, 0.4]))
    stale_chance = draw(st.sampled_from([0.0, 0.0, 0.01, 0.2]))
    late_share = draw(st.sampled_from([0.0, 0.0, 0.05, 0.5]))
    kind = draw(st.sampled_from(sorted(_VALUES)))
    make_value = _VALUES[kind]
    begin = start - lookback - MINUTE + draw(st.integers(0, (end - start) // MINUTE)) * MINUTE
    edges = draw(
        st.lists(
            st.sampled_from([start, start - 1, start - lookback, start - lookback - 1, end - 1, end, end + lookback]),
            max_size=3,
        )
    )
    times = {time for time in range(begin, end + 2 * MINUTE, interval) if rng.random() >= gap_chance}
    times = {time + rng.randint(0, jitter) for time in times} | set(edges)
    samples = [
        (time, STALE if rng.random() < stale_chance else make_value(rng, n)) for n, time in enumerate(sorted(times))
    ]
    late = {time for time, _ in samples if rng.random() < late_share}
    shuffled = [sample for sample in samples if sample[0] in late]
    rng.shuffle(shuffled)
    recipe = f"{seed=} {interval=} {jitter=} {gap_chance=} {stale_chance=} {late_share=} {kind=} {begin=} {edges=}"
    prompt = [sample for sample in samples if sample[0] not in late]
    return Drawn(recipe, [prompt, *([one] for one in shuffled[:40]), shuffled[40:]])


_VALUES: Final[dict[str, Callable[[random.Random, int], int]]] = {
    "bits": lambda rng, n: rng.getrandbits(64),
    "counter": lambda rng, n: to_bits(n * 0.25 if n % 50 else 0.0),
    "flag": lambda rng, n: to_bits(float(rng.random() < 0.9)),
    "gauge": lambda rng, n: to_bits(rng.randrange(1 << 22) * 4096.0),
    "huge": lambda rng, n: to_bits(rng.uniform(-1, 1) * 10.0 ** rng.randint(-300, 300)),
    "special": lambda rng, n: rng.choice((*SPECIALS, *PAYLOADS, NAN)),
}


def from_matrix(matrix: Iterable[Mapping[str, Any]]) -> Vectors:
    """Return a query API's matrix in the common form."""
    return {
        frozenset((name, value) for name, value in series["metric"].items() if name != "__name__"): (
            np.array([round(time * 1000) for time, _ in series["values"]], dtype=np.int64),
            _canonical(np.array([float(value) for _, value in series["values"]])),
        )
        for series in matrix
    }


def from_blocks(blocks: Iterable[Block], grid: Grid, *, without: Iterable[str] = ()) -> Vectors:
    """Return the collector's blocks in the common form; ``without`` are labels that the server adds."""
    dropped = set(without)
    found: Vectors = {}
    for block in blocks:
        assert isinstance(block, SeriesBlock)
        rows = np.arange(len(block), dtype=np.int64)[::-1]  # any order may be asked for
        samples = block.decode(rows)
        ends = np.cumsum(samples.lengths)
        labels = open_raw(block.labels.rows())
        for row, end, length in zip(rows, ends, samples.lengths, strict=True):
            identity = frozenset((name, value) for name, value in labels[row].items() if name not in dropped)
            assert identity not in found, "one series came twice"
            if length:
                times = samples.timestamps[end - length : end]
                assert np.isin(times, grid.timestamps).all()
                found[identity] = (times, _canonical(samples.values[end - length : end]))
    return found


def join_vectors(parts: Iterable[Vectors]) -> Vectors:
    """Return the series of windows behind one another."""
    gathered: dict[frozenset[tuple[str, str]], list[Points]] = {}
    for part in parts:
        for identity, points in part.items():
            gathered.setdefault(identity, []).append(points)
    return {
        identity: (np.concatenate([times for times, _ in points]), np.concatenate([bits for _, bits in points]))
        for identity, points in gathered.items()
    }


def assert_equal(found: Vectors, wanted: Vectors) -> None:
    """Assert that both sides have the same series, points and bits; every NaN counts as the same."""
    assert {tuple(sorted(key)) for key in found} == {tuple(sorted(key)) for key in wanted}
    for identity, (times, bits) in wanted.items():
        found_times, found_bits = found[identity]
        np.testing.assert_array_equal(found_times, times, err_msg=f"times of {sorted(identity)}")
        np.testing.assert_array_equal(found_bits, bits, err_msg=f"bits of {sorted(identity)}")


def _canonical(values: npt.NDArray[np.float64]) -> npt.NDArray[np.uint64]:
    return np.where(np.isnan(values), np.uint64(NAN), values.view(np.uint64))
