"""Samples to grid points: the rule of the lookback by table, order, and what is counted on the way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.grid import DecodedBlock, Grid, Samples, make_grid
from collector.kernels.grid import grid_series, order_samples, put_on_grid
from collector.kernels.stats import EXPECTED, HELD, INTERVAL, RECEIVED, STATS
from collector.kernels.xor import PADDING, TRUNCATED
from collector.labels import LabelSets
from schemas.windows import Window
from tests.collector.gorilla import encode_chunk, split_chunks
from tests.collector.hostile import STALE, to_bits
from tests.prometheus.wire import Samples as RawSamples

LOOKBACK = 300_000
STEP = 30_000
ONE = to_bits(1.0)


@pytest.mark.parametrize(
    ("age", "in_2", "in_3"),
    [
        (-1, False, False),
        (0, True, True),
        (1, True, True),
        (LOOKBACK - 1, True, True),
        (LOOKBACK, True, False),  # the edge: 2.x looks back [t - lookback, t], 3.x (t - lookback, t]
        (LOOKBACK + 1, False, False),
    ],
)
def test_a_sample_of_that_age_is_seen(age: int, in_2: bool, in_3: bool) -> None:
    """The distribution's server is a 2.x; what 3.x changed is held by this table."""
    for edge, seen in ((True, in_2), (False, in_3)):
        grid = Grid(0, STEP, STEP, LOOKBACK, lookback_includes_edge=edge)
        _, present, _ = _put([(-age, ONE)], grid)
        assert present.tolist() == [seen]


@pytest.mark.parametrize(("edge", "points"), [(True, 11), (False, 10)])
def test_the_edge_decides_at_every_point_of_a_window(edge: bool, points: int) -> None:
    _, present, _ = _put([(0, ONE)], Grid(0, 20 * STEP, STEP, LOOKBACK, lookback_includes_edge=edge))

    assert int(present.sum()) == points


def test_a_stale_marker_hides_what_came_before_until_the_next_sample() -> None:
    grid = Grid(0, 6 * STEP, STEP, LOOKBACK, lookback_includes_edge=True)

    values, present, _ = _put([(0, ONE), (STEP + 1, STALE), (4 * STEP, to_bits(2.0))], grid)

    assert present.tolist() == [True, True, False, False, True, True]
    assert values[present].view(np.float64).tolist() == [1.0, 1.0, 2.0, 2.0]


def test_another_nan_than_the_stale_marker_is_a_value() -> None:
    grid = Grid(0, STEP, STEP, LOOKBACK, lookback_includes_edge=True)

    values, present, _ = _put([(0, STALE + 1)], grid)

    assert (values.tolist(), present.tolist()) == ([STALE + 1], [True])


@pytest.mark.parametrize(
    ("samples", "wanted"),
    [
        ([(5, 1), (1, 2), (3, 3)], [(1, 2), (3, 3), (5, 1)]),
        ([(1, 1), (1, 2), (2, 3)], [(1, 1), (2, 3)]),  # of equal times the first one stays
        ([(1, 1), (2, 2), (1, 3), (2, 4), (3, 5)], [(1, 1), (2, 2), (3, 5)]),
        ([(1, 1)], [(1, 1)]),
    ],
)
def test_overlapping_chunks_are_brought_in_order(samples: RawSamples, wanted: RawSamples) -> None:
    times = np.array([time for time, _ in samples], dtype=np.int64)
    bits = np.array([bits for _, bits in samples], dtype=np.uint64)

    count = order_samples(times, bits, len(samples))

    assert list(zip(times[:count].tolist(), bits[:count].tolist(), strict=True)) == wanted


@pytest.mark.parametrize(
    ("samples", "received", "expected", "held", "interval"),
    [
        ([(t, ONE) for t in range(-STEP, 20 * STEP, STEP)], 20, 20, 0, STEP),  # whole
        ([(t, ONE) for t in range(0, 20 * STEP, 2 * STEP)], 10, 10, 0, 2 * STEP),  # scraped every other step
        ([(t, ONE) for t in range(0, 20 * STEP, STEP) if not 5 * STEP <= t < 9 * STEP], 16, 20, 3, STEP),  # a gap
        ([(t, ONE) for t in range(10 * STEP, 20 * STEP, STEP)], 10, 10, 0, STEP),  # began in the middle
        ([*((t, ONE) for t in range(0, 10 * STEP, STEP)), (10 * STEP, STALE)], 10, 10, 0, STEP),  # ended stale
        ([(t, ONE) for t in range(0, 3 * STEP, STEP)], 3, 3, 9, STEP),  # fell silent for longer than the lookback
        ([(-1, ONE)], 0, 0, 0, 0),
    ],
)
def test_samples_are_counted(samples: RawSamples, received: int, expected: int, held: int, interval: int) -> None:
    _, _, stats = _put(samples, Grid(0, 20 * STEP, STEP, LOOKBACK, lookback_includes_edge=True))

    assert stats[[RECEIVED, EXPECTED, HELD, INTERVAL]].tolist() == [received, expected, held, interval]


def test_many_series_of_many_chunks_are_put_each_on_its_row() -> None:
    grid = Grid(0, 400 * STEP, STEP, LOOKBACK, lookback_includes_edge=True)
    series = [[(n * STEP, to_bits(row * 1000.0 + n)) for n in range(400)] for row in range(3)]
    chunks = [split_chunks(samples) for samples in (series[0], [], series[1], series[2])]  # one has none

    found, lengths, bits = _grid_all(chunks, grid)

    assert (found, lengths) == (1200, [400, 0, 400, 400])
    for row, samples in zip((0, 2, 3), series, strict=True):
        assert bits[row] == [bits for _, bits in samples]


def test_one_broken_chunk_among_many_is_told() -> None:
    grid = Grid(0, 400 * STEP, STEP, LOOKBACK, lookback_includes_edge=True)
    chunks = [split_chunks([(n * STEP, n * n) for n in range(240)]) for _ in range(3)]
    chunks[1][1] = chunks[1][1][:-1]

    assert _grid_all(chunks, grid)[0] == TRUNCATED


def test_a_window_of_broken_steps_is_refused() -> None:
    start = datetime(2026, 11, 1, tzinfo=UTC)
    grid = make_grid(Window(start, start + timedelta(hours=1)), step_ms=STEP, lookback_ms=LOOKBACK, includes_edge=False)

    assert (grid.points, len(grid.timestamps), grid.timestamps[-1]) == (120, 120, grid.end_ms - STEP)
    with pytest.raises(ValueError, match="not made of whole steps of 7000 ms"):
        make_grid(Window(start, start + timedelta(hours=1)), step_ms=7000, lookback_ms=LOOKBACK, includes_edge=True)


def test_raw_series_show_no_labels_and_stay_in_their_process() -> None:
    none = np.zeros(1, dtype=np.int64)
    samples = Samples(none, none[:0], np.zeros(0), np.zeros((1, STATS), dtype=np.int64))
    block = DecodedBlock(LabelSets([{"namespace": "payroll"}]), samples)

    assert "payroll" not in repr(block) + repr(block.labels)
    for raw in (block, block.labels):
        with pytest.raises(TypeError, match="stay in the process"):
            raw.__reduce__()


def test_decoded_samples_are_given_in_the_order_asked_for() -> None:
    """Both ways to read give samples in the order of tokens, which only the caller knows."""
    lengths = np.array([2, 0, 3], dtype=np.int64)
    stats = np.arange(3 * STATS).reshape(3, STATS)
    block = DecodedBlock(LabelSets([{}, {}, {}]), Samples(lengths, np.arange(5), np.arange(5.0), stats))

    found = block.decode(np.array([2, 1, 0]))

    assert (found.lengths.tolist(), found.timestamps.tolist()) == ([3, 0, 2], [2, 3, 4, 0, 1])
    assert (found.values.tolist(), found.stats[:, 0].tolist()) == ([2, 3, 4, 0, 1], [2 * STATS, STATS, 0])


@given(sets=st.lists(st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["", "x", "y", "z"])), max_size=8))
def test_labels_by_columns_are_the_labels_given(sets: list[dict[str, str]]) -> None:
    found = LabelSets([{**labels, "__name__": "up"} for labels in sets])
    columns = found.columns()

    assert list(found) == sets
    assert found[:] == sets
    for row, labels in enumerate(sets):
        by_column = {name: values[codes[row]] for name, (codes, values) in columns.items() if codes[row] >= 0}
        assert by_column == labels
    assert all(len(set(values)) == len(values) for _, values in columns.values())


def _put(samples: RawSamples, grid: Grid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return values and presence by grid point, and the statistics."""
    out_times = np.zeros(grid.points, dtype=np.int64)
    out_bits = np.zeros(grid.points, dtype=np.uint64)
    stats = np.zeros(STATS, dtype=np.int64)
    times = np.array([time for time, _ in samples], dtype=np.int64)
    bits = np.array([bits for _, bits in samples], dtype=np.uint64)
    found = put_on_grid(
        times,
        bits,
        len(samples),
        grid.start_ms,
        grid.step_ms,
        grid.points,
        grid.lookback_ms,
        grid.lookback_includes_edge,
        out_times,
        out_bits,
        0,
        stats,
    )
    present = np.isin(grid.timestamps, out_times[:found])
    values = np.zeros(grid.points, dtype=np.uint64)
    values[present] = out_bits[:found]
    return values, present, stats


def _grid_all(chunks: list[list[bytes]], grid: Grid) -> tuple[int, list[int], list[list[int]]]:
    """Return the kernel's result, the lengths, and the bits of each series."""
    flat = [chunk for series in chunks for chunk in series]
    ends = np.cumsum([len(chunk) for chunk in flat], dtype=np.int64)
    size = len(chunks) * grid.points
    times, bits = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.uint64)
    lengths = np.zeros(len(chunks), dtype=np.int64)
    found = grid_series(
        np.frombuffer(b"".join((*flat, bytes(PADDING))), dtype=np.uint8),
        ends - [len(chunk) for chunk in flat],
        ends,
        np.cumsum([0, *(len(series) for series in chunks)], dtype=np.int64),
        np.arange(len(chunks), dtype=np.int64),
        np.empty(400, dtype=np.int64),
        np.empty(400, dtype=np.uint64),
        grid.start_ms,
        grid.step_ms,
        grid.points,
        grid.lookback_ms,
        grid.lookback_includes_edge,
        times,
        bits,
        lengths,
        np.zeros((len(chunks), STATS), dtype=np.int64),
    )
    parts = np.split(bits[: max(found, 0)], np.cumsum(lengths)[:-1])
    return int(found), lengths.tolist(), [part.tolist() for part in parts]


def test_an_empty_chunk_is_no_sample() -> None:
    grid = Grid(0, STEP, STEP, LOOKBACK, lookback_includes_edge=True)

    assert _grid_all([[encode_chunk([]), encode_chunk([(0, ONE)])]], grid) == (1, [1], [[ONE]])
