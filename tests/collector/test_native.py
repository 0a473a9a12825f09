"""Blocks of series with native histograms: in which order, of which kind, and how they are counted."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Final

import numpy as np
import pytest

from collector.grid import Grid, Samples, Schedule
from collector.kernels.stats import EXPECTED, HELD, RECEIVED
from collector.labels import LabelSets
from collector.native import BLOCK_BYTES, NativeBlock, NativeGatherer
from collector.remote_pb2 import Chunk
from collector.remote_read import Gatherer
from schemas.raw import open_raw
from tests.collector.gorilla import encode_chunk as encode_floats
from tests.collector.histogram_chunks import STALE, Histogram, encode_chunk, to_bits
from tests.collector.histogram_oracle import from_blocks, from_plan
from tests.collector.histogram_wire import Mixed

HOUR: Final = 3_600_000
START: Final = 1_795_456_800_000
GRID: Final = Grid(START, START + 2 * HOUR, 30_000, 300_000, lookback_includes_edge=True)
ALIVE: Final = Histogram({1: 1})


def encode(samples: Mixed) -> list[tuple[int, bytes]]:
    """Return the chunks of one series, cut where its kind changes."""
    chunks: list[tuple[int, bytes]] = []
    run: list[tuple[int, Histogram | int]] = []
    for time, sample in samples:
        if run and isinstance(run[0][1], int) != isinstance(sample, int):
            chunks.append(_encode_run(run))
            run = []
        run.append((time, sample))
    return [*chunks, _encode_run(run)] if run else chunks


def _encode_run(run: Mixed) -> tuple[int, bytes]:
    if isinstance(run[0][1], int):
        return 1, encode_floats([(time, sample) for time, sample in run if isinstance(sample, int)])
    return 2, encode_chunk([(time, sample) for time, sample in run if isinstance(sample, Histogram)])


def block_of(series: list[Mixed], grid: Grid = GRID) -> NativeBlock:
    """Return the block of some series, labelled by number."""
    gatherer = NativeGatherer(grid, "m")
    for number, samples in enumerate(series):
        gatherer.add([("__name__", "m"), ("n", str(number))], encode(samples))
    return gatherer.take()


def decode_as_floats(series: list[Mixed], schedule: Schedule | None, grid: Grid = GRID) -> Samples:
    """Return what the reader of floats makes of series with samples at the same times."""
    gatherer = Gatherer(grid, "m")
    for samples in series:
        bits = [(time, STALE if _is_stale(sample) else 0) for time, sample in samples]
        data = encode_floats(bits)
        gatherer.add((), [Chunk(type=Chunk.XOR, data=data, min_time_ms=bits[0][0], max_time_ms=bits[-1][0])])
    return gatherer.take().decode_all(schedule)


def _is_stale(sample: Histogram | int) -> bool:
    return sample == STALE or (isinstance(sample, Histogram) and sample.stale)


def draw_series(seed: int) -> list[Mixed]:
    """Return series with gaps, stale markers and changes of kind."""
    rng = random.Random(seed)
    series: list[Mixed] = []
    for number in range(12):
        interval = rng.choice((15_000, 30_000, 60_000, 240_000))
        times = range(START - 300_000 + rng.randrange(HOUR), START + 2 * HOUR + 60_000, interval)
        samples: list[tuple[int, Histogram | int]] = []
        plain = number % 3 == 0
        for time in times:
            plain ^= number % 3 < 2 and rng.random() < 0.02
            kind: Histogram | int = to_bits(1.0) if plain else ALIVE
            stale: Histogram | int = STALE if plain else Histogram(sum_bits=STALE)
            if rng.random() > 0.1:
                samples.append((time, stale if rng.random() < 0.01 else kind))
        series.append(samples)
    return series


def a_schedule(series: int) -> Schedule:
    """Return two targets, one scraped every 15 s and one every 30 s with an hour unseen; some series have none."""
    one = np.arange(START - 300_000, START + 2 * HOUR, 15_000)
    other = np.arange(START - 290_000, START + 2 * HOUR, 30_000)
    return Schedule(
        np.array([(0, 1, -1)[number % 3] for number in range(series)], dtype=np.int32),
        np.array([0, len(one), len(one) + len(other)]),
        np.concatenate((one, other)),
        np.concatenate((np.zeros(len(one), dtype=np.bool_), other > START + HOUR)),
        np.array([15_000, 30_000]),
        np.array([START, START + HOUR, START + 2 * HOUR]),
    )


@pytest.mark.parametrize("known", [False, True])
def test_histograms_and_floats_are_counted_together_as_floats_alone_would_be(known: bool) -> None:
    """Coverage must not depend on what a sample holds; of a series with both, each sample counts once."""
    for seed in range(5):
        series = draw_series(seed)
        schedule = a_schedule(len(series)) if known else None
        block = block_of(series)
        everything = np.arange(len(series))
        floats = block.floats()
        assert floats is not None
        targets = replace(schedule, targets=schedule.targets[_numbers(floats.labels)]) if schedule else None

        found = list(block.decode(everything, schedule))
        plain = floats.decode_all(targets)
        wanted = decode_as_floats(series, schedule)

        hours = sum(part.hours for part in found) + plain.hours
        assert hours[:, RECEIVED].tolist() == wanted.hours[:, RECEIVED].tolist()
        assert hours[:, HELD].tolist() == wanted.hours[:, HELD].tolist()
        assert hours[:, EXPECTED].tolist() == wanted.hours[:, EXPECTED].tolist()
        assert np.concatenate([part.intervals for part in found]).tolist() == wanted.intervals.tolist()
        received = sum(
            START <= time < START + 2 * HOUR and isinstance(sample, int) and sample != STALE
            for samples in series
            for time, sample in samples
        )
        assert plain.hours[:, RECEIVED].sum() == plain.hours[:, EXPECTED].sum() == received
        assert hours[:, HELD].sum() > 0


def test_series_are_counted_by_their_own_targets_in_any_order_and_any_number_at_a_time() -> None:
    """A schedule names the targets of a block's series, of which some are decoded, in another order."""
    series = draw_series(3)
    schedule = a_schedule(len(series))
    block = block_of(series)
    (whole,) = block.decode(np.arange(len(series)), schedule)
    one_by_one = [part for row in range(len(series)) for part in block.decode(np.array([row]), schedule)]
    fine = block_of(series, replace(GRID, step_ms=30))  # so many points that two series are surveyed at a time

    pieces = list(fine.decode(np.arange(len(series))[::-1], schedule))

    wanted = whole.hours[:, [RECEIVED, EXPECTED]].tolist()
    assert len({tuple(part.hours[:, EXPECTED].tolist()) for part in one_by_one}) > 2
    assert sum(bool(part.hours.any()) for part in pieces) > 2
    for parts in (one_by_one, pieces):
        assert np.sum([part.hours[:, [RECEIVED, EXPECTED]] for part in parts], axis=0).tolist() == wanted
    floats, plain = block.floats(), fine.floats()
    assert floats is not None
    assert plain is not None
    targets = replace(schedule, targets=schedule.targets[_numbers(floats.labels)])
    backwards = plain.decode(np.arange(len(plain))[::-1], targets)
    assert backwards.hours[:, RECEIVED].tolist() == floats.decode_all(targets).hours[:, RECEIVED].tolist()


def _numbers(labels: LabelSets) -> list[int]:
    return [int(each["n"]) for each in open_raw(labels.rows())]


def test_a_series_of_both_kinds_is_in_a_block_of_either() -> None:
    series = draw_series(1)
    block = block_of(series)
    floats = block.floats()
    assert floats is not None

    rows = from_blocks(block.decode(np.arange(len(series))), [str(number) for number in range(len(series))])
    samples = floats.decode(np.arange(len(floats))[::-1])

    assert _numbers(floats.labels) == [n for n, own in enumerate(series) if any(isinstance(s, int) for _, s in own)]
    found = iter(zip(samples.timestamps.tolist(), samples.values.view(np.uint64).tolist(), strict=True))
    for number, length in zip(reversed(_numbers(floats.labels)), samples.lengths.tolist(), strict=True):
        wanted, plain = from_plan(series[number], GRID)
        assert rows[str(number)] == wanted
        assert dict(next(found) for _ in range(length)) == plain
        assert length <= floats.most.max()
    assert not set(wanted) & set(plain), "a grid point has one or the other"


def test_series_of_histograms_alone_make_no_block_of_floats() -> None:
    block = block_of([[(START, ALIVE)], [(START, to_bits(1.0))]])

    assert block_of([[(START, ALIVE)]]).floats() is None
    assert block.most.tolist() == [GRID.points, 0]


def test_raw_times_keep_every_sample_of_the_window() -> None:
    """For private use: the same samples, at the times of their scrapes."""
    grid = replace(GRID, raw=True)
    series = draw_series(2)
    block = block_of(series, grid)
    floats = block.floats()
    assert floats is not None

    rows = from_blocks(block.decode(np.arange(len(series))), [str(number) for number in range(len(series))])
    samples = floats.decode_all()

    for number, own in enumerate(series):
        inside = [(t, s) for t, s in own if START <= t < START + 2 * HOUR and not _is_stale(s)]
        assert list(rows[str(number)]) == [time for time, sample in inside if isinstance(sample, Histogram)]
        assert len(rows[str(number)]) <= block.most[number]
    assert samples.lengths.tolist() == [
        sum(isinstance(s, int) and s != STALE and START <= t < START + 2 * HOUR for t, s in series[number])
        for number in _numbers(floats.labels)
    ]
    assert (samples.lengths <= floats.most).all()


def test_a_block_ends_when_it_has_many_bytes() -> None:
    gatherer = NativeGatherer(GRID, "m")
    chunk = (2, bytes(BLOCK_BYTES // 4))

    assert [gatherer.add([("n", "1")], [chunk]) for _ in range(4)] == [False, False, False, True]
    assert len(gatherer) == len(gatherer.take()) == 4
    assert len(gatherer) == 0


def test_no_rows_asked_for_give_none() -> None:
    block = block_of([[(START, ALIVE), (START + 1, to_bits(1.0))]])
    floats = block.floats()
    assert floats is not None

    none = np.arange(0)

    assert list(block.decode(none)) == []
    assert floats.decode(none).hours.tolist() == [[0, 0, 0]]
