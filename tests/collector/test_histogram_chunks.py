"""The decoder of histogram chunks: against an encoder that shares nothing with it, and against broken chunks."""

from __future__ import annotations

import logging
import os
import pickle
import random
import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from collector.grid import Grid
from collector.histogram_block import HistogramBlock
from collector.histogram_survey import Chunks, new_rows, new_scratch
from collector.histograms import decode_floats, decode_histograms
from collector.kernels.histogram import FLOAT, HEADER_BYTES, INTEGER
from collector.kernels.histogram import decode_histograms as decode_chunk
from collector.kernels.histogram_layout import LAYOUT, MALFORMED, TOO_MANY_BUCKETS, UNKNOWN_FLAGS, UNKNOWN_SCHEMA
from collector.kernels.stats import RECEIVED
from collector.kernels.xor import PADDING, TRUNCATED
from collector.labels import LabelSets
from collector.native import NativeBlock
from schemas.errors import SourceError
from schemas.native import VALUE_FIELDS
from tests.collector.effort import FULL
from tests.collector.gorilla import encode_chunk as encode_floats
from tests.collector.histogram_cases import SUMS, THRESHOLDS
from tests.collector.histogram_chunks import (
    GAUGE,
    NO_RESET,
    RESET,
    Histogram,
    Sample,
    Spans,
    encode_chunk,
    to_bits,
    varint,
    varuint,
)
from tests.collector.histogram_fuzz import decode, draw_chunk, fuzz
from tests.collector.histogram_oracle import Point, from_blocks, from_histogram, from_plan

REPOSITORY: Final = Path(__file__).resolve().parents[2]
NOW: Final = 1_795_456_800_000
STEP: Final = 30_000
GRID: Final = Grid(NOW, NOW + 100 * STEP, STEP, 5 * 60_000, lookback_includes_edge=True)
CUSTOM: Final = Histogram({0: 3, 2: 1, 4: 2}, schema=-53, bounds=(0.005, 0.1, 1.0, 33554.43), zero_threshold=0.0)


def test_drawn_chunks_of_both_kinds_are_decoded() -> None:
    """Every width of a number, every window of a float, custom bounds, stale markers at the end."""
    for seed in range(20_000 if FULL else 1_000):
        kind, samples = draw_chunk(random.Random(seed))
        found, times, _ = decode(encode_chunk(samples), kind)
        assert found == len(samples), f"seed {seed}"
        assert times == [~time if one.stale else time for time, one in samples], f"seed {seed}"
        assert _points(kind, samples) == [from_histogram(one) for _, one in samples if not one.stale], f"seed {seed}"


def _points(
    kind: int, samples: Sequence[Sample], positive_spans: Spans | None = None, negative_spans: Spans | None = None
) -> list[Point]:
    """Return the histograms of one chunk, whatever their times."""
    moved = [(NOW + number, one) for number, (_, one) in enumerate(samples)]
    grid = Grid(NOW, NOW + len(samples), 1, 1, lookback_includes_edge=False)
    chunk = encode_chunk(moved, positive_spans=positive_spans, negative_spans=negative_spans)
    blocks = decode_histograms([[(kind, chunk)]], grid, metric="m")
    return list(from_blocks(blocks, ["a"])["a"].values())


@pytest.mark.parametrize("width", [3, 6, 9, 12, 18, 25, 56])
def test_both_ends_of_every_width_of_a_number_are_decoded(width: int) -> None:
    """A signed number's range holds one more above zero than below; the next one takes the next width."""
    top = 1 << (width - 1)
    for change in (top, top + 1, 1 - top, -top):
        times = [NOW, NOW + 2 * top, NOW + 4 * top + change]
        chunk = encode_chunk([(time, Histogram({0: n})) for n, time in enumerate(times)])
        assert decode(chunk, INTEGER)[:2] == (3, times)
    for count in ((1 << width) - 1, 1 << width):
        assert _points(INTEGER, [(NOW, Histogram(count=count))])[0]["count"] == to_bits(float(count))


def test_every_zero_threshold_and_sum_keeps_its_bits() -> None:
    """Powers of two take a byte; 2**-243 and 2**10 are the last of them."""
    for threshold in (*THRESHOLDS, *(2.0**n for n in range(-250, 20))):
        point = _points(INTEGER, [(NOW, Histogram({1: 1}, zero_threshold=threshold))])[0]
        assert point["zero_threshold"] == to_bits(threshold)
    for kind, unit in ((INTEGER, 1), (FLOAT, 0.5)):
        samples = [(NOW + n, Histogram({1: unit * 3}, sum_bits=bits)) for n, bits in enumerate(SUMS)]
        assert [point["sum"] for point in _points(kind, samples)] == list(SUMS)


@pytest.mark.parametrize("bounds", [(0.0,), (0.001, 33554.43), (33554.431, 1e300), (-1.5, 0.0005, 0.1), ()])
def test_custom_bounds_are_decoded_bit_for_bit(bounds: tuple[float, ...]) -> None:
    """Thousandths are numbers, anything else is a whole float; Prometheus 2.42 has no custom buckets to ask."""
    one = Histogram({len(bounds): 4}, schema=-53, bounds=bounds, zero_threshold=0.0)

    assert _points(INTEGER, [(NOW, one)]) == [from_histogram(one)]


def test_rows_do_not_depend_on_the_empty_buckets_that_a_chunk_happens_to_hold() -> None:
    """A server recodes a chunk when a bucket appears, so that a later read finds other empty ones in it."""
    one = Histogram({3: 1, 4: 0, 5: 2, 6: 2}, {0: 0, 9: 1})
    layouts: list[tuple[Spans, Spans]] = [
        ([(3, 4)], [(0, 1), (8, 1)]),
        ([(-2, 20)], [(0, 10)]),
        ([(3, 1), (0, 1), (0, 2), (7, 3)], [(9, 1)]),
        ([(1, 0), (2, 1), (1, 0), (0, 3)], [(4, 0), (5, 1), (3, 0)]),
    ]

    for kind, sample in ((INTEGER, one), (FLOAT, Histogram({3: 1.0, 5: 2.0, 6: 2.0, 4: -0.0}, {9: 1.0}))):
        for positive, negative in layouts:
            found = _points(kind, [(NOW, sample)] * 3, positive_spans=positive, negative_spans=negative)
            assert found == [from_histogram(sample)] * 3


def test_every_cut_of_a_chunk_is_refused() -> None:
    """All of its bits are needed, so that a cut one can't hold the samples that it announces."""
    for seed in range(20):
        kind, samples = draw_chunk(random.Random(seed))
        chunk = encode_chunk(samples)
        for length in range(len(chunk)):
            assert decode(chunk[:length], kind)[0] == TRUNCATED, f"seed {seed}, {length} bytes"


def test_a_chunk_without_samples_has_none() -> None:
    assert decode(bytes(HEADER_BYTES), INTEGER)[0] == 0
    assert decode(bytes(HEADER_BYTES), FLOAT)[0] == 0


def test_hints_at_counter_resets_change_nothing() -> None:
    """Servers lose them: 2.42 tells no gauge histogram from others while its chunk is open."""
    samples = [(NOW, Histogram({1: 2})), (NOW + 1, Histogram({1: 1}))]
    wanted = decode(encode_chunk(samples), INTEGER)

    for flags in (RESET, NO_RESET, GAUGE):
        assert decode(encode_chunk(samples, flags=flags), INTEGER) == wanted


@pytest.mark.parametrize(
    ("layout", "code"),
    [
        (varint(9) + "0" * 200, UNKNOWN_SCHEMA),
        (varint(-5) + "0" * 200, UNKNOWN_SCHEMA),
        (varint(2**33) + "0" * 200, UNKNOWN_SCHEMA),  # a server takes the lower 32 bits only
        (varint(0) + varuint(1) + varuint(2**16 + 1) + varint(0) + "0" * 2**18, TOO_MANY_BUCKETS),
        (varint(0) + (varuint(2) + (varuint(2**15 + 1) + varint(0)) * 2) + "0" * 2**18, TOO_MANY_BUCKETS),
        (varint(0) + varuint(1) + varuint(2**63 + 5) + varint(0) + "0" * 200, TOO_MANY_BUCKETS),
        (varint(-53) + varuint(0) + varuint(0) + varuint(2**16 + 1) + "0" * 2**18, TOO_MANY_BUCKETS),
        (varint(0) + varuint(2) + varuint(1) + varint(5) + varuint(1) + varint(-1) + "0" * 200, MALFORMED),
        (varint(0) + varuint(1) + varuint(1) + varint(2**31) + "0" * 200, MALFORMED),
        (varint(-53) + varuint(1) + varuint(1) + varint(1) + varuint(0) + varuint(0) + "0" * 200, MALFORMED),
        (varint(-53) + varuint(1) + varuint(1) + varint(-1) + varuint(0) + varuint(0) + "0" * 200, MALFORMED),
        (varint(-53) + varuint(0) + varuint(1) + varuint(1) + varint(0) + varuint(0) + "0" * 200, MALFORMED),
        (varint(0) + varuint(2**64 - 1) + "0" * 2**12, TRUNCATED),
        (varint(0) + varuint(1) + varuint(4000) + varint(0) + "0" * 2**11, TRUNCATED),
        ("1" * 7, TRUNCATED),
        ("1" * 8 + "0" * 63, TRUNCATED),
    ],
)
def test_a_layout_that_cannot_be_is_refused_by_its_own_code(layout: str, code: int) -> None:
    """Counts are held against the bits that are left before anything is made room for."""
    text = f"{1:016b}{0:08b}{0:08b}" + layout
    text += "0" * (-len(text) % 8)

    assert decode(int(text, 2).to_bytes(len(text) // 8, "big"), INTEGER)[0] == code


def test_a_short_chunk_cannot_make_the_decoder_work_for_many_buckets() -> None:
    """Twelve bytes that announce 60,000 buckets, sent a million times, would keep a collector busy for a minute."""
    text = f"{1:016b}{0:08b}{0:08b}" + varint(0) + varuint(1) + varuint(60_000) + varint(7)
    text += "0" * (96 - len(text))
    data = np.frombuffer(int(text, 2).to_bytes(len(text) // 8, "big") + bytes(PADDING), dtype=np.uint8)
    scratch = new_scratch()
    scratch.places[:] = -1
    times, codes, layout = np.zeros(1, np.int64), np.zeros(1, np.uint64), np.zeros(LAYOUT, np.int64)
    no_rows = new_rows(times[:0], times[:0], layout[None][:0])

    found = decode_chunk(data, 0, data.size - PADDING, INTEGER, layout, scratch, times, codes, 0, no_rows)

    assert found == TRUNCATED
    assert (scratch.places == -1).all()


def test_unknown_flags_are_refused() -> None:
    assert decode(encode_chunk([(NOW, Histogram({1: 2}))], flags=0x01), INTEGER)[0] == UNKNOWN_FLAGS


def test_a_series_in_an_unknown_form_is_skipped_counted_and_named_by_metric_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A newer server must not stop a run; and the log must not tell whose series it is."""
    good = [(INTEGER, encode_chunk([(NOW, Histogram({1: 2}))]))]
    bad: list[Chunks] = [
        [*good, (4, b"\x00\x01\x00")],
        [(INTEGER, encode_chunk([(NOW, Histogram(schema=17))]))],
        [(INTEGER, encode_chunk([(NOW, Histogram())], flags=0x20)), *good],
        [(6, b"")],
        [(1, encode_floats([(NOW, 7)])), (5, b"\x80")],
    ]
    labels = LabelSets([{"pod": f"secret-{number}"} for number in range(7)])
    block = NativeBlock(labels, [good, *bad, good], GRID, "some_metric")

    with caplog.at_level(logging.WARNING):
        (found,) = block.decode(np.arange(7))

    assert found.lengths.tolist() == [11, 0, 0, 0, 0, 0, 11]
    assert found.hours[0, RECEIVED] == 2
    assert sorted(found.skipped.values()) == [1, 1, 3]
    assert sum(record.series for record in caplog.records) == 5  # type: ignore[attr-defined]
    assert {record.metric for record in caplog.records} == {"some_metric"}  # type: ignore[attr-defined]
    assert "secret" not in str([vars(record) for record in caplog.records])
    assert "secret" not in repr(block)
    assert not decode_floats(bad, GRID, metric="some_metric").lengths.any()


@pytest.mark.parametrize(
    ("chunk", "message"),
    [
        ((INTEGER, encode_chunk([(NOW, Histogram({1: 2}))])[:-1]), "broken or ends too early"),
        ((INTEGER, b"\xff\xff" + encode_chunk([(NOW, Histogram({1: 2}))])[2:]), "announces 65535 samples"),
        ((INTEGER, b""), "broken or ends too early"),
        ((1, b"\x00\x02" + encode_floats([(NOW, 1)])[2:]), "broken or ends too early"),
    ],
)
def test_a_broken_chunk_is_a_source_error_that_names_the_metric(chunk: tuple[int, bytes], message: str) -> None:
    with pytest.raises(SourceError, match=f"some_metric: .*{message}"):
        list(decode_histograms([[chunk]], GRID, metric="some_metric"))


def test_overlapping_chunks_are_merged_and_of_one_instant_the_first_stays() -> None:
    """As a server's own merge leaves them to its clients, and as floats are merged."""

    def samples(numbers: range, *, unit: int) -> list[tuple[int, Histogram]]:
        return [(NOW + n * STEP, Histogram({1: n + 1, unit: 1})) for n in numbers]

    early, late, between = (
        samples(range(0, 60, 2), unit=5),
        samples(range(40, 90), unit=7),
        samples(range(1, 50, 2), unit=9),
    )
    plain = [(NOW + n * STEP, to_bits(float(n))) for n in (3, 4, 95)]
    chunks: Chunks = [
        (INTEGER, encode_chunk(early)),
        (1, encode_floats(plain)),
        (INTEGER, encode_chunk(late)),
        (INTEGER, encode_chunk(between)),
    ]
    wanted = dict(sorted((dict(between) | dict(late) | dict(plain) | dict(early)).items()))
    assert isinstance(wanted[NOW + 3 * STEP], int)

    (block,) = decode_histograms([chunks], GRID, metric="m")
    floats = decode_floats([chunks], GRID, metric="m")

    rows, plain_rows = from_plan(list(wanted.items()), GRID)
    assert from_blocks([block], ["a"])["a"] == rows
    assert dict(zip(floats.timestamps.tolist(), map(to_bits, floats.values), strict=True)) == plain_rows
    assert floats.hours[0, RECEIVED] == 2, "one of the three lies under a histogram"
    assert block.hours[0, RECEIVED] == len(wanted) - 2


def _many(count: int) -> list[Chunks]:
    series: list[Chunks] = []
    for number in range(count):
        kind, samples = draw_chunk(random.Random(number))
        moved = [(NOW + number * 999 + n * 17_000, one) for n, (_, one) in enumerate(samples)]
        series.append([(kind, encode_chunk(moved))] if number % 7 else [])
    return series


def test_blocks_of_any_size_hold_the_same_rows() -> None:
    """The size of a block is a matter of memory alone."""
    series = _many(60)
    names = [str(number) for number in range(len(series))]
    (whole,) = decode_histograms(series, GRID, metric="m")
    wanted = from_blocks([whole], names)

    for most in (1, 50, 333, 5_000):
        blocks = list(decode_histograms(series, GRID, metric="m", block_buckets=most))
        assert len(blocks) > 1
        assert from_blocks(blocks, names) == wanted
        for block, following in pairwise(blocks):
            assert following.first == block.first + len(block.lengths) - following.continues
        assert np.sum([block.hours for block in blocks], axis=0).tolist() == whole.hours.tolist()
        empty = [block.first + n for block in blocks for n, length in enumerate(block.lengths) if not length]
        assert empty == [n for n, name in enumerate(names) if not wanted[name]], "each series without rows comes once"
        if most >= 333:
            assert max(len(block.positive.counts) + len(block.negative.counts) for block in blocks) <= most


def test_series_are_surveyed_in_pieces_that_fit_into_memory() -> None:
    """A grid of 200,000 points lets two series together, not three."""
    grid = Grid(NOW, NOW + 200_000 * 15, 15, 300_000, lookback_includes_edge=True)
    series = [chunks for chunks in _many(12) if chunks]

    blocks = list(decode_histograms(series, grid, metric="m", block_buckets=1 << 30))

    assert [block.first for block in blocks] == list(range(0, len(series), 2))
    assert sum(len(block.lengths) for block in blocks) == len(series)
    assert decode_floats(series, grid, metric="m").lengths.tolist() == [0] * len(series)


def test_rows_come_in_the_order_asked_for() -> None:
    """Files are sorted by labels, which only pseudonyms tell; histograms are heavy to move afterwards."""
    series = _many(20)
    block = NativeBlock(LabelSets([{"n": str(number)} for number in range(20)]), series, GRID, "m")
    order = np.array([7, 3, 19, 3, 0])

    found = from_blocks(block.decode(order), ["7", "3", "19", "3 again", "0"])
    wanted = from_blocks(block.decode(np.arange(20)), [str(number) for number in range(20)])

    assert found == {name: wanted[name.split()[0]] for name in found}
    assert len(block) == 20


def test_arrow_columns_are_those_of_the_schema() -> None:
    for block in (_custom_block(), *decode_histograms([[]], GRID, metric="m")):
        columns = block.arrow_columns()

        assert list(columns) == ["timestamp", *(field.name for field in VALUE_FIELDS)]
        for field in VALUE_FIELDS:
            assert columns[field.name].type == field.type
            assert columns[field.name].null_count == 0
            columns[field.name].validate(full=True)
        assert {len(column) for column in columns.values()} == {len(block)}


def test_arrow_columns_hold_the_buckets() -> None:
    columns: dict[str, Any] = {name: column.to_pylist()[0] for name, column in _custom_block().arrow_columns().items()}

    assert columns["schema"] == -53
    assert columns["custom_bounds"] == list(CUSTOM.bounds)
    assert columns["positive_counts"] == [3.0, 1.0, 2.0]
    assert columns["positive_spans"] == [{"offset": n, "length": 1} for n in (0, 1, 1)]
    assert columns["negative_spans"] == columns["negative_counts"] == []
    assert columns["count"] == 6.0
    assert columns["timestamp"].timestamp() * 1000 == NOW


def _custom_block() -> HistogramBlock:
    (block,) = decode_histograms([[(INTEGER, encode_chunk([(NOW, CUSTOM)]))]], GRID, metric="m")
    return block


def test_broken_chunks_are_refused_or_have_the_announced_size() -> None:
    ends = fuzz(0, 300_000 if FULL else 8_000)

    assert min(ends["decoded"], *(ends[str(code)] for code in (TRUNCATED, MALFORMED, UNKNOWN_SCHEMA))) > 100


@pytest.mark.skipif(not FULL, reason="compiles everything with checks: make test-full")
def test_broken_chunks_never_lead_out_of_an_array(tmp_path: Path) -> None:
    """Compiled anew with numba's bounds checks, which turn any access outside an array into an error."""
    environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}  # noqa: TID251
    command = [sys.executable, "-m", "tests.collector.histogram_fuzz", "1000000", "100000"]

    ran = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stderr[-2000:]
    assert "decoded" in ran.stdout


def test_raw_series_stay_in_the_process_that_read_them() -> None:
    block = NativeBlock(LabelSets([{"pod": "secret"}]), [[]], GRID, "m")

    with pytest.raises(TypeError, match="stay in the process"):
        pickle.dumps(block)
