"""What the collector puts on the grid is, bit for bit, what the server's own query_range answers.

The oracle is asked by plain urllib; series enter by remote write, the only way that carries stale markers and NaN
payloads into a Prometheus.
"""

from __future__ import annotations

import time
from collections import Counter
from datetime import timedelta
from itertools import chain, pairwise
from typing import Final, Literal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.connection import Access, Connection
from collector.grid import Grid, SeriesBlock
from collector.kernels.stats import RECEIVED
from collector.promql import Matcher, quote
from collector.reader import Reader, choose_reader
from collector.server import ServerInfo
from schemas.raw import open_raw
from tests.collector.effort import FULL
from tests.collector.hostile import (
    MINUTE,
    NAN,
    PAYLOADS,
    SECOND,
    STALE,
    Batches,
    Drawn,
    Vectors,
    assert_equal,
    from_blocks,
    from_matrix,
    hostile_series,
    join_vectors,
    named_cases,
    to_bits,
    without_signs_of_zero,
)
from tests.prometheus.server import EXTERNAL_LABELS, RealPrometheus, WriteRefused

HOUR: Final = 60 * MINUTE
LOOKBACK: Final = 5 * MINUTE
END: Final = int(time.time() * 1000) // (15 * MINUTE) * (15 * MINUTE)  # noqa: TID251 - the server takes only the last 30 h
START: Final = END - 2 * HOUR
PATHS: Final[tuple[Literal["remote-read", "http"], ...]] = ("remote-read", "http")


def test_hostile_bits_are_in_the_server_and_come_out_as_query_range_has_them(prometheus: RealPrometheus) -> None:
    """Stale markers, payloads, edges, gaps: each case by name, by both paths, in one window and in eight."""
    metric = prometheus.new_metric()
    cases = named_cases(START, END, LOOKBACK)
    _write(prometheus, metric, cases)

    stored = _read_stored(prometheus, metric)
    assert stored == _as_stored(cases)
    kept = {bits for samples in stored.values() for bits in samples.values()}
    assert {STALE, NAN, *PAYLOADS, to_bits(float("-inf"))} <= kept
    zeros = prometheus.query_range(f'{metric}{{case="signs of zero"}}', start_ms=START, end_ms=END - 1, step_ms=MINUTE)
    assert {value for _, value in zeros[0]["values"]} == {"0", "-0"}

    _assert_exact(prometheus, metric, step=30 * SECOND)


def test_every_sample_of_a_window_is_counted_once(prometheus: RealPrometheus) -> None:
    """Coverage is data: what was received in [start, end), both edges and stale markers considered."""
    metric = prometheus.new_metric()
    cases = named_cases(START, END, LOOKBACK)
    _write(prometheus, metric, cases)
    wanted = {
        name: sum(
            START <= t < END and bits != STALE for t, bits in {t: b for batch in batches for t, b in batch}.items()
        )
        for name, batches in cases.items()
    }
    reader = choose_reader(Connection(Access(prometheus.url)), "remote-read", now_ms=END)

    for bounds in (range(START, END + 1, END - START), range(START, END + 1, 15 * MINUTE)):
        found: Counter[str] = Counter(dict.fromkeys(wanted, 0))
        for first, last in pairwise(bounds):
            for block in reader.read(metric, (), _grid(prometheus, first, last, 30 * SECOND)):
                assert isinstance(block, SeriesBlock)
                for row, labels in enumerate(open_raw(block.labels.rows())):
                    found[labels["case"]] += int(block.decode(np.array([row])).hours[0, RECEIVED])
        assert found == wanted


@pytest.mark.parametrize("step", [5 * SECOND, 20 * SECOND, 5 * MINUTE])
def test_every_step_sees_what_the_server_sees(prometheus: RealPrometheus, step: int) -> None:
    metric = prometheus.new_metric()
    _write(prometheus, metric, named_cases(START, END, LOOKBACK))

    _assert_exact(prometheus, metric, step=step)


@given(
    drawn=st.lists(hostile_series(start=START, end=END, lookback=LOOKBACK), min_size=1, max_size=4),
    step=st.sampled_from([15 * SECOND, 30 * SECOND, MINUTE]),
)
@settings(
    max_examples=600 if FULL else 60,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_drawn_series_come_out_as_query_range_has_them(
    prometheus: RealPrometheus, drawn: list[Drawn], step: int
) -> None:
    metric = prometheus.new_metric("drawn")
    cases = {str(number): one.batches for number, one in enumerate(drawn)}
    _write(prometheus, metric, cases)

    assert _read_stored(prometheus, metric) == _as_stored(cases)

    _assert_exact(prometheus, metric, step=step)


def test_a_refused_duplicate_changes_nothing(prometheus: RealPrometheus) -> None:
    """Of two values for one instant the server keeps the first, and so do we."""
    metric = prometheus.new_metric()
    newest = END - MINUTE
    _write(prometheus, metric, {"a": [[(t, to_bits(1.0)) for t in range(newest - 20 * MINUTE, newest + 1, MINUTE)]]})

    with pytest.raises(WriteRefused, match="duplicate sample"):
        _write(prometheus, metric, {"a": [[(newest, to_bits(2.0))]]})

    assert _read_stored(prometheus, metric)["a"][newest] == to_bits(1.0)
    _assert_exact(prometheus, metric, step=30 * SECOND)


def test_two_values_for_one_instant_end_as_the_server_chooses(prometheus: RealPrometheus) -> None:
    """An out-of-order sample may lie upon one that is there; which one counts is for the server to say."""
    metric = prometheus.new_metric()
    times = range(END - 50 * MINUTE, END, MINUTE)
    first = [(t, to_bits(1.0)) for t in times]
    second = [(t, to_bits(2.0)) for t in times[10:20]]

    _write(prometheus, metric, {"a": [first, second]})

    _assert_exact(prometheus, metric, step=30 * SECOND)


def test_label_values_with_quotes_backslashes_and_newlines_select_their_series(prometheus: RealPrometheus) -> None:
    """A value that ended its own literal would select something else, or nothing."""
    metric = prometheus.new_metric()
    names = ['say "hi"', "back\\slash", "new\nline", 'x"} or vector(1) #', "ümläut \U0001f680", "a.*b"]
    _write(prometheus, metric, {name: [[(END - MINUTE, to_bits(1.0))]] for name in names})
    grid = _grid(prometheus, END - 5 * MINUTE, END, 30 * SECOND)

    for path in PATHS:
        for name in names:
            found = _read(prometheus, path, metric, grid, Matcher("case", "=", name))
            assert list(found) == [frozenset({("case", name)})]
            others = _read(prometheus, path, metric, grid, Matcher("case", "!=", name))
            assert len(others) == len(names) - 1
    selector = f"{{__name__={quote(metric)},case={quote(names[0])}}}"
    assert len(prometheus.query_range(selector, start_ms=END - MINUTE, end_ms=END, step_ms=MINUTE)) == 1


def test_the_query_api_is_asked_in_pieces_that_it_accepts(prometheus: RealPrometheus) -> None:
    """The API refuses more than 11,000 points a series; a day of 5 s steps has more."""
    metric = prometheus.new_metric()
    _write(prometheus, metric, named_cases(START, END, LOOKBACK))
    grid = _grid(prometheus, END - 24 * HOUR, END, 5 * SECOND)
    assert grid.points > 11_000

    by_http, by_remote_read = (_read(prometheus, path, metric, grid) for path in PATHS)

    assert_equal(by_http, by_remote_read)


def test_remote_read_is_chosen_where_it_is_served(prometheus: RealPrometheus) -> None:
    assert choose_reader(Connection(Access(prometheus.url)), "auto", now_ms=END).path == "remote-read"


def _assert_exact(prometheus: RealPrometheus, metric: str, *, step: int) -> None:
    """Assert that both paths equal the oracle, whole and window by window."""
    selector = f"{metric}{{}}"
    wanted = from_matrix(prometheus.query_range(selector, start_ms=START, end_ms=END - step, step_ms=step))
    bounds = range(START, END + 1, 15 * MINUTE)
    for path in PATHS:
        whole = _read(prometheus, path, metric, _grid(prometheus, START, END, step))
        assert_equal(whole, wanted)
        parts = [_read(prometheus, path, metric, _grid(prometheus, a, b, step)) for a, b in pairwise(bounds)]
        assert_equal(join_vectors(parts), wanted)


def _write(prometheus: RealPrometheus, metric: str, cases: dict[str, Batches]) -> None:
    most = max(map(len, cases.values()))
    for turn in range(most):  # all first batches, then all second ones, ...
        batches = [(name, batches[turn]) for name, batches in cases.items() if turn < len(batches) and batches[turn]]
        if batches:
            prometheus.write([({"__name__": metric, "case": name}, batch) for name, batch in batches])


def _read_stored(prometheus: RealPrometheus, metric: str) -> dict[str, dict[int, int]]:
    series = prometheus.read_raw(metric, START - 24 * HOUR, END + HOUR)
    return {labels["case"]: without_signs_of_zero(samples) for labels, samples in series}


def _as_stored(cases: dict[str, Batches]) -> dict[str, dict[int, int]]:
    stored = {name: without_signs_of_zero(chain.from_iterable(batches)) for name, batches in cases.items()}
    return {name: samples for name, samples in stored.items() if samples}


def _grid(prometheus: RealPrometheus, start: int, end: int, step: int) -> Grid:
    edge = ServerInfo(prometheus.version, timedelta(milliseconds=LOOKBACK)).lookback_includes_edge
    return Grid(start, end, step, LOOKBACK, lookback_includes_edge=edge)


def _read(
    prometheus: RealPrometheus, path: Literal["remote-read", "http"], metric: str, grid: Grid, *matchers: Matcher
) -> Vectors:
    reader: Reader = choose_reader(Connection(Access(prometheus.url)), path, now_ms=END)
    added = EXTERNAL_LABELS if path == "remote-read" else ()
    return from_blocks(reader.read(metric, matchers, grid), grid, without=added)
