"""Samples to grid points: the rule of the lookback by table, order, and what is counted on the way."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.grid import Grid, Samples, make_grid, split_rows
from collector.kernels.grid import order_samples
from collector.kernels.stats import EXPECTED, HELD, RECEIVED
from collector.labels import LabelSets
from collector.remote_pb2 import Chunk
from collector.remote_read import EncodedBlock, Gatherer
from schemas.errors import SourceError
from schemas.raw import open_raw
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
    _, _, counts = _put(samples, Grid(0, 20 * STEP, STEP, LOOKBACK, lookback_includes_edge=True))

    assert counts == [received, expected, held, interval]


def test_many_series_of_many_chunks_are_put_each_on_its_row() -> None:
    grid = Grid(0, 400 * STEP, STEP, LOOKBACK, lookback_includes_edge=True)
    series = [[(n * STEP, to_bits(row * 1000.0 + n)) for n in range(400)] for row in range(3)]
    chunks = [split_chunks(samples) for samples in (series[0], [], series[1], series[2])]  # one has none

    found = _grid_all(chunks, grid)

    assert found.lengths.tolist() == [400, 0, 400, 400]
    assert found.values.view(np.uint64).tolist() == [bits for samples in series for _, bits in samples]


def test_one_broken_chunk_among_many_is_told() -> None:
    grid = Grid(0, 400 * STEP, STEP, LOOKBACK, lookback_includes_edge=True)
    chunks = [split_chunks([(n * STEP, n * n) for n in range(240)]) for _ in range(3)]
    chunks[1][1] = chunks[1][1][:-1]

    with pytest.raises(SourceError, match="a chunk ends before its announced samples do"):
        _grid_all(chunks, grid)


def test_a_window_of_broken_steps_is_refused() -> None:
    start = datetime(2026, 11, 1, tzinfo=UTC)
    grid = make_grid(Window(start, start + timedelta(hours=1)), step_ms=STEP, lookback_ms=LOOKBACK, includes_edge=False)

    assert (grid.points, len(grid.timestamps), grid.timestamps[-1]) == (120, 120, grid.end_ms - STEP)
    with pytest.raises(ValueError, match="not made of whole steps of 7000 ms"):
        make_grid(Window(start, start + timedelta(hours=1)), step_ms=7000, lookback_ms=LOOKBACK, includes_edge=True)


def test_raw_series_show_no_labels_and_stay_in_their_process() -> None:
    block = _block([[(0, ONE)]], Grid(0, STEP, STEP, LOOKBACK, lookback_includes_edge=True), labels={"ns": "payroll"})

    assert "payroll" not in repr(block) + repr(block.labels)
    for raw in (block, block.labels):
        with pytest.raises(TypeError, match="stay in the process"):
            raw.__reduce__()


def test_samples_are_decoded_in_the_order_asked_for() -> None:
    """The order is that of tokens, which only the caller knows; so samples need never be moved."""
    grid = Grid(0, 4 * STEP, STEP, STEP, lookback_includes_edge=False)
    series = [[(n * STEP, to_bits(10.0 * row + n)) for n in range(row)] for row in range(4)]
    block = _block(series, grid)

    found = block.decode(np.array([3, 0, 2]))

    assert found.lengths.tolist() == [3, 0, 2]
    assert found.values.tolist() == [30, 31, 32, 20, 21]
    assert found.timestamps.tolist() == [0, STEP, 2 * STEP, 0, STEP]
    assert (block.most >= [0, 1, 2, 3]).all()


def test_raw_samples_keep_the_times_of_their_scrapes_and_no_stale_marker() -> None:
    """For private use: every sample of the window, both edges right, once."""
    grid = Grid(STEP, 3 * STEP, STEP, LOOKBACK, lookback_includes_edge=True, raw=True)
    samples = [
        (STEP - 1, 1),
        (STEP, 2),
        (STEP + 7, STALE + 1),
        (2 * STEP + 11, STALE),
        (3 * STEP - 1, 3),
        (3 * STEP, 4),
    ]

    found = _block([samples, samples], grid).decode_all()

    assert found.lengths.tolist() == [3, 3]
    assert found.timestamps.tolist() == [STEP, STEP + 7, 3 * STEP - 1] * 2
    assert found.values.view(np.uint64).tolist() == [2, STALE + 1, 3] * 2


def test_samples_of_other_times_than_the_server_said_are_refused() -> None:
    """Room is made by what the server says of a chunk; a lie must not write beyond it."""
    grid = Grid(0, 400 * STEP, STEP, LOOKBACK, lookback_includes_edge=True)
    gatherer = Gatherer(grid, "made up")
    chunk = Chunk(
        type=Chunk.XOR, data=encode_chunk([(n * STEP, ONE) for n in range(100)]), min_time_ms=1, max_time_ms=2
    )
    for row in range(40):
        gatherer.add((("row", str(row)),), [chunk])
    block = gatherer.take()

    with pytest.raises(SourceError, match="of other times than the server said"):
        block.decode_all()


@pytest.mark.parametrize(
    ("most", "pieces"), [([10, 10, 10, 10], [2, 2]), ([100, 1, 1], [1, 2]), ([0, 0], [2]), ([], [0])]
)
def test_rows_are_cut_by_what_they_may_hold(most: list[int], pieces: list[int]) -> None:
    """Ten short-lived pods take the room of one that lives on."""
    rows = np.arange(len(most))

    found = split_rows(rows, np.array(most, dtype=np.int64), at_once=20)

    assert [len(piece) for piece in found] == pieces
    assert np.concatenate(found).tolist() == rows.tolist()


@given(sets=st.lists(st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["", "x", "y", "z"])), max_size=8))
def test_labels_by_columns_are_the_labels_given(sets: list[dict[str, str]]) -> None:
    found = LabelSets([{**labels, "__name__": "up"} for labels in sets])
    columns = {name: (codes, open_raw(values)) for name, (codes, values) in found.columns().items()}

    assert open_raw(found.rows()) == sets
    assert open_raw(found.rows(range(len(sets))[::-2])) == sets[::-2]
    for row, labels in enumerate(sets):
        by_column = {name: values[codes[row]] for name, (codes, values) in columns.items() if codes[row] >= 0}
        assert by_column == labels
    assert all(len(set(values)) == len(values) for _, values in columns.values())


def _put(samples: RawSamples, grid: Grid) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Return values and presence by grid point, and what was counted: received, expected, held, interval."""
    found = _block([samples], grid).decode_all()
    present = np.isin(grid.timestamps, found.timestamps)
    values = np.zeros(grid.points, dtype=np.uint64)
    values[present] = found.values.view(np.uint64)
    counts = found.hours.sum(axis=0)
    return values, present, [*(int(counts[column]) for column in (RECEIVED, EXPECTED, HELD)), int(found.intervals[0])]


def _block(series: list[RawSamples], grid: Grid, *, labels: Mapping[str, str] | None = None) -> EncodedBlock:
    """Return a block of series as a server would send them."""
    gatherer = Gatherer(grid, "made up")
    for row, samples in enumerate(series):
        chunks = [
            Chunk(type=Chunk.XOR, data=encode_chunk(part), min_time_ms=part[0][0], max_time_ms=part[-1][0])
            for part in (samples[first : first + 120] for first in range(0, len(samples), 120))
        ]
        gatherer.add(tuple({"row": str(row), **(labels or {})}.items()), chunks)
    return gatherer.take()


def _grid_all(chunks: list[list[bytes]], grid: Grid) -> Samples:
    """Decode series of chunks of which the server told no times."""
    gatherer = Gatherer(grid, "made up")
    for row, series in enumerate(chunks):
        gatherer.add((("row", str(row)),), [Chunk(type=Chunk.XOR, data=data) for data in series])
    return gatherer.take().decode_all()


def test_an_empty_chunk_is_no_sample() -> None:
    grid = Grid(0, STEP, STEP, LOOKBACK, lookback_includes_edge=True)

    found = _grid_all([[encode_chunk([]), encode_chunk([(0, ONE)])]], grid)

    assert (found.lengths.tolist(), found.values.tolist()) == ([1], [1.0])
