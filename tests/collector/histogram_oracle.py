"""What the decoder, the server's JSON and the plan say of native histograms, in forms that can be compared."""

from __future__ import annotations

import math
import sys
import urllib.request
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import cramjam
import numpy as np

from collector.grid import Grid
from collector.histogram_block import Buckets, HistogramBlock
from collector.remote_pb2 import ChunkedReadResponse, Query, ReadRequest
from tests.collector.histogram_chunks import STALE, Histogram, indexes_of, to_bits
from tests.collector.histogram_wire import Mixed

NAN: Final = 0x7FF8000000000001
Point = dict[str, Any]
"""A histogram's fields; floats as their bits, buckets by index without the empty ones."""
Points = dict[int, Point]
"""By time, in milliseconds."""


def read_chunks(url: str, metric: str, grid: Grid) -> dict[str, list[tuple[int, bytes]]]:
    """Return the chunks of a metric's series for a grid, by the label ``case``, as the server streams them."""
    request = ReadRequest(accepted_response_types=[ReadRequest.STREAMED_XOR_CHUNKS])
    query = Query(start_timestamp_ms=grid.start_ms - grid.lookback_ms, end_timestamp_ms=grid.end_ms - 1)
    query.matchers.add(name="__name__", value=metric)
    request.queries.append(query)
    asked = urllib.request.Request(
        url + "/api/v1/read", data=bytes(cramjam.snappy.compress_raw(request.SerializeToString()))
    )
    for name, value in (("Content-Encoding", "snappy"), ("X-Prometheus-Remote-Read-Version", "0.1.0")):
        asked.add_header(name, value)
    asked.add_header("Content-Type", "application/x-protobuf")
    with urllib.request.urlopen(asked, timeout=60) as answer:
        body = answer.read()
    found: dict[str, list[tuple[int, bytes]]] = {}
    for payload in _frames(body):
        for series in ChunkedReadResponse.FromString(payload).chunked_series:
            case = next(label.value for label in series.labels if label.name == "case")
            found.setdefault(case, []).extend((int(chunk.type), chunk.data) for chunk in series.chunks)
    return found


def _frames(body: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(body):
        length = shift = 0
        while True:
            byte = body[at]
            at += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        at += 4  # the checksum
        yield body[at : at + length]
        at += length


def from_blocks(blocks: Iterable[HistogramBlock], names: Sequence[str]) -> dict[str, Points]:
    """Return the decoder's rows by series; fail when blocks contradict themselves."""
    found: dict[str, Points] = {name: {} for name in names}
    for block in blocks:
        assert block.lengths.sum() == len(block)
        numbers = np.repeat(np.arange(block.first, block.first + len(block.lengths)), block.lengths).tolist()
        for row, number in enumerate(numbers):
            points = found[names[number]]
            time = int(block.timestamps[row])
            assert time not in points, "a row came twice"
            points[time] = {
                "schema": int(block.schema[row]),
                "zero_threshold": to_bits(block.zero_threshold[row]),
                "zero_count": to_bits(block.zero_count[row]),
                "sum": to_bits(block.sum[row]),
                "count": to_bits(block.count[row]),
                "positive": _side(block.positive, row),
                "negative": _side(block.negative, row),
                "bounds": block.bounds[block.bound_starts[row] : block.bound_starts[row + 1]].tolist(),
            }
    return found


def _side(side: Buckets, row: int) -> dict[int, int]:
    spans = slice(side.span_starts[row], side.span_starts[row + 1])
    pairs = list(zip(side.offsets[spans].tolist(), side.lengths[spans].tolist(), strict=True))
    assert all(length > 0 for _, length in pairs)
    assert all(offset > 0 for offset, _ in pairs[1:]), "spans that touch are one"
    counts = side.counts[side.count_starts[row] : side.count_starts[row + 1]]
    assert (counts != 0).all()
    return dict(zip(indexes_of(pairs), map(to_bits, counts), strict=True))


def from_plan(samples: Mixed, grid: Grid) -> tuple[Points, dict[int, int]]:
    """Return what an instant selector should find of planted samples: histograms, and floats as bits."""
    times = [time for time, _ in samples]
    histograms: Points = {}
    floats: dict[int, int] = {}
    oldest = grid.lookback_ms if grid.lookback_includes_edge else grid.lookback_ms - 1
    for at in grid.timestamps.tolist():
        newest = bisect_right(times, at) - 1
        if newest < 0 or at - times[newest] > oldest:
            continue
        sample = samples[newest][1]
        if isinstance(sample, int):
            if sample != STALE:
                floats[at] = sample
        elif not sample.stale:
            histograms[at] = from_histogram(sample)
    return histograms, floats


def from_histogram(one: Histogram) -> Point:
    """Return a planted histogram as the decoder should give it."""
    return {
        "schema": one.schema,
        "zero_threshold": to_bits(one.zero_threshold),
        "zero_count": to_bits(float(one.zero_count)),
        "sum": one.sum_bits,
        "count": to_bits(float(one.total)),
        "positive": {index: to_bits(float(count)) for index, count in sorted(one.positive.items()) if count},
        "negative": {index: to_bits(float(count)) for index, count in sorted(one.negative.items()) if count},
        "bounds": list(one.bounds),
    }


def from_json(matrix: Iterable[Mapping[str, Any]]) -> dict[str, dict[int, tuple[str, str, list[list[float]]]]]:
    """Return the histograms of a query API's matrix by the label ``case``: count, sum, buckets with boundaries."""
    return {
        series["metric"]["case"]: {
            round(time * 1000): (
                _number(one["count"]),
                _number(one["sum"]),
                [[rule, *map(float, numbers)] for rule, *numbers in one.get("buckets", [])],
            )
            for time, one in series.get("histograms", [])
        }
        for series in matrix
    }


def as_json(points: Points) -> dict[int, tuple[str, str, list[list[float]]]]:
    """Return rows in the form of ``from_json``, boundaries worked out from the schema's definition."""
    return {time: (_text(one["count"]), _text(one["sum"]), list(_buckets(one))) for time, one in points.items()}


def assert_like_json(found: Points, wanted: Mapping[int, tuple[str, str, list[list[float]]]], name: str) -> None:
    """Assert equal times, counts, sums and bucket counts; boundaries may differ in the last bits of a power."""
    shown = as_json(found)
    assert list(shown) == list(wanted), name
    for time, (count, total, buckets) in wanted.items():
        assert shown[time][:2] == (count, total), f"{name} at {time}"
        assert len(shown[time][2]) == len(buckets), f"{name} at {time}"
        for mine, theirs in zip(shown[time][2], buckets, strict=True):
            assert (mine[0], mine[3]) == (theirs[0], theirs[3]), f"{name} at {time}"
            assert all(math.isclose(a, b, rel_tol=1e-13) for a, b in zip(mine[1:3], theirs[1:3], strict=True)), (
                f"{name} at {time}: {mine} {theirs}"
            )


def _buckets(one: Point) -> Iterator[list[float]]:
    """Yield [boundary rule, lower, upper, count] from the lowest bucket to the highest; the zero bucket hides some."""
    threshold = _value(one["zero_threshold"])
    for index, bits in sorted(one["negative"].items(), reverse=True):
        lower, upper = _boundary(index - 1, one["schema"]), _boundary(index, one["schema"])
        yield [1, -upper, min(-lower, -threshold), _value(bits)]
    if _value(one["zero_count"]) > 0:
        yield [3, -threshold, threshold, _value(one["zero_count"])]
    for index, bits in sorted(one["positive"].items()):
        lower, upper = _boundary(index - 1, one["schema"]), _boundary(index, one["schema"])
        yield [0, max(lower, threshold), upper, _value(bits)]


def _boundary(index: int, schema: int) -> float:
    exponent = index * 2.0**-schema
    if exponent == 1024:
        return sys.float_info.max  # the bucket behind it is for infinities
    return math.inf if exponent > 1024 else 2.0**exponent


def _value(bits: int) -> float:
    return float(np.uint64(bits).view(np.float64))


def _text(bits: int) -> str:
    return repr(_value(bits))


def _number(text: str) -> str:
    return repr(float(text))
