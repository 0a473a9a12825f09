"""Native histograms on the grid: what was planted, bit for bit, and what the server's own query_range answers.

Histograms enter a real Prometheus by remote write, with an encoder that shares nothing with the collector.
"""

from __future__ import annotations

import os
import urllib.error
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.grid import Grid
from collector.histograms import decode_floats, decode_histograms
from collector.server import ServerInfo
from demo.errors import DemoError
from demo.packages import find_programs
from demo.servers import start_prometheus
from tests.collector.effort import FULL
from tests.collector.histogram_cases import MINUTE, SECOND, Drawn, hostile_histograms, named_cases
from tests.collector.histogram_chunks import Histogram, to_bits
from tests.collector.histogram_oracle import (
    Points,
    assert_like_json,
    from_blocks,
    from_json,
    from_plan,
    read_chunks,
)
from tests.collector.histogram_wire import Mixed, write_mixed
from tests.prometheus.server import CONFIG, RealPrometheus

LOOKBACK: Final = 5 * MINUTE
START: Final = 1_795_456_800_000 - 20 * MINUTE  # so that a boundary of the server's blocks lies within
END: Final = START + 45 * MINUTE  # an hour and more behind the newest sample, the server takes no histogram


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealPrometheus]:
    """Yield a Prometheus that takes native histograms, or skip with the reason."""
    environment = dict(os.environ)  # noqa: TID251 - where the programs are
    flags = ["--web.enable-remote-write-receiver", "--enable-feature=native-histograms"]
    try:
        programs = find_programs(Path(__file__).resolve().parents[2] / ".demo", environment=environment)
        started = start_prometheus(programs, tmp_path_factory.mktemp("native"), config=CONFIG, flags=flags)
    except DemoError as error:
        pytest.skip(f"Prometheus not available: {error}")
    with started:
        yield RealPrometheus(started, programs)


def test_what_was_planted_comes_out_bit_for_bit_and_as_query_range_has_it(server: RealPrometheus) -> None:
    """Each case by name: buckets new and lost, resets, stale markers, NaN sums, every schema, edges, both kinds."""
    metric = server.new_metric("named")
    cases = named_cases(START, END, LOOKBACK)
    _write(server, metric, cases)

    for step in (5 * SECOND, 30 * SECOND, 5 * MINUTE):
        _assert_exact(server, metric, cases, step=step)


@given(
    drawn=st.lists(hostile_histograms(start=START, end=END, lookback=LOOKBACK), min_size=1, max_size=3),
    step=st.sampled_from([15 * SECOND, 30 * SECOND, MINUTE]),
)
@settings(
    max_examples=400 if FULL else 40,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_drawn_series_come_out_as_planted_and_as_query_range_has_them(
    server: RealPrometheus, drawn: list[Drawn], step: int
) -> None:
    metric = server.new_metric("drawn")
    cases = {str(number): one.samples for number, one in enumerate(drawn)}
    _write(server, metric, cases)

    _assert_exact(server, metric, cases, step=step)


def test_a_gauge_that_falls_is_exact_or_not_served_at_all(server: RealPrometheus) -> None:
    """Before 2.47 a server takes a fall in an open chunk for a counter reset, and refuses to stream that metric."""
    metric = server.new_metric("gauge")
    samples = [(START + n * MINUTE, Histogram({1: 50 - n, 2: n}, hint=3)) for n in range(40)]
    _write(server, metric, {"falls": samples})

    if tuple(map(int, server.version.split(".")[:2])) < (2, 47):
        with pytest.raises((urllib.error.HTTPError, DecodeError)):  # an answer that has begun ends in an error's text
            _read(server, metric, _grid(server, START, END, MINUTE))
    else:
        _assert_exact(server, metric, {"falls": samples}, step=MINUTE)


def _assert_exact(server: RealPrometheus, metric: str, cases: dict[str, Mixed], *, step: int) -> None:
    """Assert that rows equal the plan and the server's answer, whole and window by window."""
    whole = _grid(server, START, END, step)
    histograms, floats = _read(server, metric, whole)
    answer = server.query_range(metric, start_ms=START, end_ms=END - step, step_ms=step)
    theirs = from_json(answer)
    for name, samples in cases.items():
        wanted, wanted_floats = from_plan(samples, whole)
        assert histograms.get(name, {}) == wanted, name
        assert floats.get(name, {}) == wanted_floats, name
        assert_like_json(histograms.get(name, {}), theirs.get(name, {}), name)
    assert {series["metric"]["case"]: len(series.get("values", ())) for series in answer} == {
        name: len(floats[name]) for name in floats if floats[name] or histograms[name]
    }

    joined: dict[str, Points] = {}
    for first, last in pairwise(range(START, END + 1, 15 * MINUTE)):
        for name, points in _read(server, metric, _grid(server, first, last, step))[0].items():
            joined.setdefault(name, {}).update(points)
    assert {name: points for name, points in joined.items() if points} == {
        name: points for name, points in histograms.items() if points
    }


def _write(server: RealPrometheus, metric: str, cases: dict[str, Mixed]) -> None:
    write_mixed(server, [({"__name__": metric, "case": name}, samples) for name, samples in cases.items()])


def _read(server: RealPrometheus, metric: str, grid: Grid) -> tuple[dict[str, Points], dict[str, dict[int, int]]]:
    chunks = read_chunks(server.url, metric, grid)
    histograms = from_blocks(decode_histograms(list(chunks.values()), grid, metric=metric), list(chunks))
    rows = decode_floats(list(chunks.values()), grid, metric=metric)
    found = iter(zip(rows.timestamps.tolist(), map(to_bits, rows.values), strict=True))
    floats = {name: dict(next(found) for _ in range(length)) for name, length in zip(chunks, rows.lengths, strict=True)}
    return histograms, floats


def _grid(server: RealPrometheus, start: int, end: int, step: int) -> Grid:
    edge = ServerInfo(server.version, timedelta(milliseconds=LOOKBACK)).lookback_includes_edge
    return Grid(start, end, step, LOOKBACK, lookback_includes_edge=edge)
