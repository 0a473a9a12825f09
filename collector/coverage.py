"""Ask a source for what coverage needs beside the samples: its ``up``, once a window, and counts where samples hide."""

from collections import defaultdict
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from itertools import groupby, pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from collector.client import QueryApi
from collector.connection import Connection
from collector.grid import Grid
from collector.kernels.raw import decode_series
from collector.kernels.xor import PADDING
from collector.promql import Matcher, render_selector
from collector.reader import Reader
from collector.remote_pb2 import Chunk
from collector.remote_read import stream_series
from collector.scrapes import ScrapeTimes, find_scrapes
from collector.up import DOWN, GONE, UP, Ints, UpSamples, up_span
from schemas.errors import SourceError
from schemas.hours import cut_at_hours
from schemas.raw import Raw

PAIRS_A_QUERY: Final = 250_000
"""Samples of ``up`` in one answer of the query API: 60 MB of Python objects."""

_UP_BITS: Final = np.float64(1.0).view(np.uint64)
_STALE_BITS: Final = np.uint64(0x7FF0000000000002)
_SHORTEST_INTERVAL_MS: Final = 5_000  # of targets in practice; a shorter one only makes an answer longer


def read_scrapes(
    reader: Reader, matchers: Sequence[Matcher], grid: Grid, *, ignored: Collection[str] = ()
) -> ScrapeTimes:
    """Read ``up`` of a source and return the scrapes of a window; raise ``SourceError``.

    ``ignored`` are the labels that the server or a replica adds.
    """
    if reader.path == "remote-read":
        samples = _read_raw(reader.connection, matchers, grid)
    else:
        samples = _query_raw(reader.api, matchers, grid)
    return find_scrapes(samples, grid, ignored=ignored)


def count_samples(api: QueryApi, metric: str, matchers: Sequence[Matcher], grid: Grid) -> Ints:
    """Return how many raw samples of a metric a source has in each hour of a window, by the query API: int64 [hours].

    Stale markers don't count. The sample at an hour's first millisecond belongs to it, under the server's own rule of
    what a range includes.
    """
    hours = [(begin, end) for begin, end in pairwise(cut_at_hours(grid.start_ms, grid.end_ms))]
    found = np.zeros(len(hours), dtype=np.int64)
    at = {end - 1: number for number, (_, end) in enumerate(hours)}
    for width, group in groupby(hours, key=lambda hour: hour[1] - hour[0]):
        ends = [end - 1 for _, end in group]
        matrix = api.query_range(
            f"sum(count_over_time({render_selector(metric, matchers)}[{_inclusive(width, grid)}ms]))",
            start_ms=ends[0],
            end_ms=ends[-1],
            step_ms=width,
        )
        for series in matrix:
            for time, value in zip(series.times_ms.tolist(), series.values.tolist(), strict=True):
                if time not in at:
                    raise api.strange("query_range")
                found[at[time]] += int(value)
    return found


def _inclusive(width_ms: int, grid: Grid) -> int:
    """Return the range whose samples are the last ``width_ms`` milliseconds, the instant of the query included."""
    return width_ms - 1 if grid.lookback_includes_edge else width_ms


def _read_raw(connection: Connection, matchers: Sequence[Matcher], grid: Grid) -> UpSamples:
    what = "remote read of up"
    begin, until = up_span(grid)
    span = Grid(begin, until, grid.step_ms, 0, grid.lookback_includes_edge)

    def read() -> Generator[UpSamples, None, None]:
        with stream_series(connection, what, "up", matchers, span) as series:
            found = decode_up(what, series)
        yield found

    (samples,) = connection.repeated(what, read)  # one item: what fails in passing is read anew from its beginning
    return samples


def decode_up(what: str, series: Iterable[tuple[Iterable[tuple[str, str]], Sequence[Chunk]]]) -> UpSamples:
    """Return the raw samples of series of ``up`` as they were streamed; raise ``SourceError``."""
    labels: list[Mapping[str, str]] = []
    data: list[bytes] = []
    series_chunks: list[int] = []
    announced = 0
    for pairs, chunks in series:
        for chunk in chunks:
            samples = int.from_bytes(chunk.data[:2], "big")
            if chunk.type != Chunk.XOR or samples > 4 * len(chunk.data):  # a sample takes two bits at least
                raise SourceError(f"{what}: found a chunk of {len(chunk.data)} bytes that cannot be one of up")
            announced += samples
            data.append(chunk.data)
        labels.append(dict(pairs))
        series_chunks.append(len(data))
    times = np.empty(announced, dtype=np.int64)
    bits = np.empty(announced, dtype=np.uint64)
    lengths = np.zeros(len(labels), dtype=np.int64)
    found = decode_series(
        np.frombuffer(b"".join((*data, bytes(PADDING))), dtype=np.uint8),
        np.cumsum(np.fromiter(map(len, data), dtype=np.int64, count=len(data))),
        np.array(series_chunks, dtype=np.int64),
        times,
        bits,
        lengths,
    )
    if found < 0:
        raise SourceError(f"{what}: a chunk ends before its announced samples do")
    states = np.where(bits[:found] == _STALE_BITS, GONE, np.where(bits[:found] == _UP_BITS, UP, DOWN))
    return UpSamples(Raw("up", labels), lengths, times[:found], states.astype(np.uint8), shows_ends=True)


def _query_raw(api: QueryApi, matchers: Sequence[Matcher], grid: Grid) -> UpSamples:
    begin, until = up_span(grid)
    selector = render_selector("up", matchers)
    counted = api.query(f"count(count_over_time({selector}[{until - begin}ms]))", at_ms=until - 1)
    targets = int(float(counted[0]["value"][1])) if counted else 0
    pieces = max(1, targets * (until - begin) // _SHORTEST_INTERVAL_MS // PAIRS_A_QUERY)
    cuts = [begin + (until - begin) * number // pieces for number in range(pieces + 1)]
    series: dict[tuple[tuple[str, str], ...], list[tuple[Ints, npt.NDArray[np.uint8]]]] = defaultdict(list)
    for first, last in pairwise(cuts):
        width = _inclusive(last - first, grid)
        for each in api.query(f"{selector}[{width}ms]", at_ms=last - 1):
            series[tuple(sorted(each["metric"].items()))].append(_parse_pairs(each["values"]))
    flat = [piece for pieces_of in series.values() for piece in pieces_of]
    return UpSamples(
        Raw("up", [dict(key) for key in series]),
        np.array([sum(len(times) for times, _ in pieces_of) for pieces_of in series.values()], dtype=np.int64),
        np.concatenate([np.empty(0, dtype=np.int64), *(times for times, _ in flat)]),
        np.concatenate([np.empty(0, dtype=np.uint8), *(states for _, states in flat)]),
        shows_ends=False,
    )


def _parse_pairs(pairs: Sequence[tuple[float, str]]) -> tuple[Ints, npt.NDArray[np.uint8]]:
    times = np.rint(np.array([time for time, _ in pairs], dtype=np.float64) * 1000).astype(np.int64)
    return times, np.array([UP if float(value) == 1 else DOWN for _, value in pairs], dtype=np.uint8)
