"""Targets with planted outages, written into a real server as the samples of ``up`` that it would have scraped."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Final

from collector.connection import Access, Connection
from collector.coverage import read_scrapes
from collector.grid import Grid
from collector.promql import Matcher
from collector.reader import ReadPath, choose_reader
from collector.scrapes import ScrapeTimes
from collector.up import DOWN, GONE, UP
from schemas.hours import HOUR_MS
from tests.collector.hostile import MINUTE, SECOND, STALE, to_bits
from tests.prometheus.server import EXTERNAL_LABELS, RealPrometheus
from tests.prometheus.wire import Samples

LOOKBACK: Final = 5 * MINUTE
END: Final = (int(time.time() * 1000) - 20 * MINUTE) // HOUR_MS * HOUR_MS  # noqa: TID251 - the server takes only the last 30 h
START: Final = END - 2 * HOUR_MS
GRID: Final = Grid(START, END, 30 * SECOND, LOOKBACK, lookback_includes_edge=True)
BITS: Final = {UP: to_bits(1.0), DOWN: to_bits(0.0), GONE: STALE}
PATHS: Final[tuple[ReadPath, ...]] = ("remote-read", "http")


def every(interval: int, *, offset: int = 0, begin: int = START - HOUR_MS, end: int = END + 10 * MINUTE) -> list[int]:
    return list(range(begin + offset, end, interval))


def without(times: Iterable[int], begin: int, end: int) -> list[int]:
    return [each for each in times if not begin <= each < end]


def ups(times: Iterable[int], *, down: tuple[int, int] = (0, 0), gone: Sequence[int] = ()) -> Samples:
    """Return samples of ``up`` at these times: 0 within ``down``, and stale markers."""
    samples = [(each, BITS[DOWN if down[0] <= each < down[1] else UP]) for each in times]
    return sorted([*samples, *((each, STALE) for each in gone)])


def plant(prometheus: RealPrometheus, targets: dict[str, Samples]) -> str:
    """Write ``up`` of a source of its own; return the value of its label ``source``."""
    source = prometheus.new_metric("source")
    prometheus.write(
        ({"__name__": "up", "source": source, "job": "planted", "instance": name}, samples)
        for name, samples in targets.items()
    )
    return source


def read(prometheus: RealPrometheus, source: str, path: ReadPath, grid: Grid = GRID) -> ScrapeTimes:
    reader = choose_reader(Connection(Access(prometheus.url)), path, now_ms=END)
    return read_scrapes(reader, (Matcher("source", "=", source),), grid, ignored=EXTERNAL_LABELS)
