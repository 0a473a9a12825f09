"""Read a metric by ``query_range``: the server puts its series on the grid, and is asked for no more than it likes.

The only way of the query API to samples. Raw samples are not seen here, so the statistics stay at zero.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from collector.client import QueryApi, TooMuch
from collector.grid import Grid, Samples, Schedule, SeriesBlock, no_schedule
from collector.kernels.coverage import estimate_hours
from collector.kernels.stats import HOUR_COLUMNS
from collector.labels import LabelSets
from collector.matrix import HistogramsFound, Matrix
from collector.promql import Matcher, render_selector
from schemas.errors import SourceError
from schemas.raw import open_raw

MAX_POINTS: Final = 10_000
"""The query API refuses more than 11,000 points a series."""
REQUEST_SAMPLES: Final = 4_000_000
"""In one answer: 130 MB of JSON and 64 MB of points, which the server holds whole. Its own limit,
``query.max-samples``, is 50 million by default."""
READ_SAMPLES: Final = 6_000_000
"""In one read of several answers, which is held here until the last one: 70 MB. 50,000 series of an hour at 30 s."""
BLOCK_SAMPLES: Final = 1_000_000

_Ints = npt.NDArray[np.int64]
_Span = tuple[int, int]  # grid points [first, last)


def most_series(grid: Grid) -> int:
    """Return of how many series one read should be at most, whatever the configuration allows."""
    return max(1, READ_SAMPLES // grid.points)


def plan_spans(points: int, series: int) -> list[_Span]:
    """Return the spans in which so many series are asked for: no answer has too many points or samples.

    >>> plan_spans(120, 500), plan_spans(120, 50_000), plan_spans(17_280, 0)
    ([(0, 120)], [(0, 60), (60, 120)], [(0, 8640), (8640, 17280)])
    """
    most = min(MAX_POINTS, max(1, REQUEST_SAMPLES // max(1, series)))
    count = -(-points // most)
    return list(pairwise(points * number // count for number in range(count + 1)))


def read_series(
    api: QueryApi, metric: str, matchers: Sequence[Matcher], grid: Grid, *, series: int = 0
) -> Iterator[SeriesBlock]:
    """Yield the series of a metric as the server itself puts them on the grid.

    ``series`` is how many were counted; 0 means that nobody knows, and few are expected. What a limit of the server
    refuses is asked for in halves. Raises ``SourceError``.
    """
    reader = _MetricReader(api, metric, render_selector(metric, matchers), grid)
    spans = plan_spans(grid.points, series)
    try:
        if len(spans) == 1:
            try:
                yield from reader.read_at_once()
            except TooMuch:  # which comes before any block
                yield from reader.read_in_spans(reader.halve(spans[0]))
        else:
            yield from reader.read_in_spans(spans)
    except HistogramsFound:
        raise SourceError(f"query_range of {metric}: found native histograms; wanted float samples") from None


@dataclass(frozen=True)
class _MetricReader:
    api: QueryApi
    metric: str
    selector: str = field(repr=False)
    grid: Grid

    def read_at_once(self) -> Iterator[SeriesBlock]:
        """Yield blocks while the one answer arrives."""
        gathered: list[Matrix] = []
        for matrix in self._ask((0, self.grid.points)):
            gathered.append(matrix)
            if sum(len(each.values) for each in gathered) >= BLOCK_SAMPLES:
                yield self._make_block(gathered)
                gathered = []
        if gathered:
            yield self._make_block(gathered)

    def _make_block(self, matrices: Sequence[Matrix]) -> SeriesBlock:
        lengths = np.concatenate([matrix.lengths for matrix in matrices])
        times = np.concatenate([matrix.times_ms for matrix in matrices])
        points = ((times - self.grid.start_ms) // self.grid.step_ms).astype(np.int32)
        values = np.concatenate([matrix.values for matrix in matrices])
        answer = _Answer(np.cumsum(lengths) - lengths, lengths, points, values)
        labels = LabelSets()
        for matrix in matrices:
            labels.extend(matrix.labels)
        return GriddedBlock(labels, self.grid, [answer])

    def read_in_spans(self, spans: Sequence[_Span]) -> Iterator[SeriesBlock]:
        """Yield one block when all answers are there."""
        joiner = _Joiner(self.grid)
        waiting = list(reversed(spans))
        while waiting:
            span = waiting.pop()
            try:
                answer = list(self._ask(span))
            except TooMuch:
                waiting += reversed(self.halve(span))
                continue
            if not joiner.add(answer):
                raise self.api.strange("query_range")  # one series twice
        if len(joiner):
            yield joiner.make_block()

    def halve(self, span: _Span) -> list[_Span]:
        """Return the two halves of a span; raise ``SourceError`` when it is one point."""
        first, last = span
        middle = (first + last) // 2
        if middle == first:
            raise SourceError(
                f"query_range of {self.metric}: a limit of the server refuses even one grid point of these series; "
                "set limits.max_series_per_read lower, or raise the server's limit"
            )
        return [(first, middle), (middle, last)]

    def _ask(self, span: _Span) -> Iterator[Matrix]:
        step = self.grid.step_ms
        first, last = (self.grid.start_ms + point * step for point in span)
        for matrix in self.api.stream_range(self.selector, start_ms=first, end_ms=last - step, step_ms=step):
            times = matrix.times_ms
            if ((times < first) | (times >= last) | ((times - first) % step != 0)).any():
                raise self.api.strange("query_range")  # times that nobody asked for
            yield matrix


@dataclass(frozen=True, slots=True)
class _Answer:
    """What one span has of each series: where its samples begin and how many they are (int64 [series])."""

    begins: _Ints
    lengths: _Ints
    points: npt.NDArray[np.int32] = field(repr=False)
    values: npt.NDArray[np.float64] = field(repr=False)


@dataclass(frozen=True, slots=True)
class GriddedBlock(SeriesBlock):
    """Series that the server put on the grid, in one span or several. They are put in order when they are wanted."""

    grid: Grid
    answers: Sequence[_Answer] = field(repr=False)

    @property
    def most(self) -> _Ints:
        """How many samples each series has."""
        return np.asarray(sum(answer.lengths for answer in self.answers))

    def decode(self, rows: _Ints, schedule: Schedule | None = None) -> Samples:
        """Return the samples of these rows. Only what was expected of them can be told, and no interval."""
        lengths = np.zeros(len(rows), dtype=np.int64)
        for answer in self.answers:
            lengths += answer.lengths[rows]
        points = np.empty(lengths.sum(), dtype=np.int64)
        values = np.empty(lengths.sum(), dtype=np.float64)
        begins = np.cumsum(lengths) - lengths
        for answer in self.answers:
            own = answer.lengths[rows]
            there, here = _spread(answer.begins[rows], own), _spread(begins, own)
            points[here] = answer.points[there]
            values[here] = answer.values[there]
            begins += own
        times = self.grid.start_ms + points * self.grid.step_ms
        by = schedule or no_schedule(len(self), self.grid)
        hours = np.zeros((len(by.bounds) - 1, HOUR_COLUMNS), dtype=np.int64)
        estimate_hours(
            lengths,
            times,
            self.grid.step_ms,
            by.targets[rows],
            by.offsets,
            by.times,
            by.unseen,
            by.bounds,
            self.grid.lookback_ms,
            hours,
        )
        return Samples(lengths, times, values, hours, np.zeros(len(rows), dtype=np.int64))


def _spread(begins: _Ints, lengths: _Ints) -> _Ints:
    """Return ``begin, begin + 1, ...`` for each length, behind one another.

    >>> _spread(np.array([5, 0]), np.array([2, 3])).tolist()
    [5, 6, 0, 1, 2]
    """
    spread = np.repeat(begins - (np.cumsum(lengths) - lengths), lengths)
    return np.asarray(spread + np.arange(len(spread)))


class _Joiner:
    """Gathers the answers of one read; each has its series in an order of its own."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._labels = LabelSets()
        self._rows: dict[bytes, int] = {}
        self._answers: list[tuple[_Ints, _Ints, npt.NDArray[np.int32], npt.NDArray[np.float64]]] = []

    def __len__(self) -> int:
        return len(self._labels)

    def add(self, answer: Sequence[Matrix]) -> bool:
        """Take the answer of the next span; return whether each of its series came once."""
        if not answer:
            return True
        rows = np.array(
            [self._row_of(labels) for matrix in answer for labels in open_raw(matrix.labels)], dtype=np.int64
        )
        points = (np.concatenate([each.times_ms for each in answer]) - self._grid.start_ms) // self._grid.step_ms
        lengths = np.concatenate([each.lengths for each in answer])
        values = np.concatenate([each.values for each in answer])
        self._answers.append((rows, lengths, points.astype(np.int32), values))
        return len(np.unique(rows)) == len(rows)

    def _row_of(self, labels: Mapping[str, str]) -> int:
        text = json.dumps(labels, sort_keys=True)
        identity = hashlib.blake2b(text.encode(), digest_size=16).digest()  # a tenth of the text, for 50,000 series
        row = self._rows.setdefault(identity, len(self._rows))
        if row == len(self._labels):
            self._labels.append(labels.items())
        return row

    def make_block(self) -> GriddedBlock:
        """Return what was gathered."""
        answers = []
        for rows, lengths, points, values in self._answers:
            begins, own = np.zeros(len(self), dtype=np.int64), np.zeros(len(self), dtype=np.int64)
            begins[rows] = np.cumsum(lengths) - lengths
            own[rows] = lengths
            answers.append(_Answer(begins, own, points, values))
        return GriddedBlock(self._labels, self._grid, answers)
