"""Count the series of a window before they are read, by few and cheap queries, and plan reads of bounded size.

To count a series at one instant costs the server about a fifth of what it costs to read an hour of it.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final, Protocol

from collector.client import QueryApi
from collector.grid import Grid
from collector.promql import Matcher, parse_matcher, render_any, render_label, render_selector
from collector.split import Read, plan_reads
from schemas.errors import SourceError
from schemas.table import TableSchema

NAMES_CHARACTERS: Final = 4_000
"""Of metric names in one query."""
MORE_LABELS: Final = ("instance", "pod")
"""Labels that most series have, declared or not."""

_FAR_BELOW: Final = 2  # a metric that ends with less than half of the limit did not begin above it
_REMEMBERED: Final = 64

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A metric that is to be read. ``labels`` may divide it, coarse ones first."""

    metric: str
    matchers: tuple[Matcher, ...] = field(default=(), repr=False)
    labels: tuple[str, ...] = ()


def list_wanted(table: TableSchema, matchers: Sequence[Matcher]) -> tuple[Wanted, ...]:
    """Return every metric of a table, sorted by name, with the matchers of its source and its own."""
    columns = {column.name: column.source_label for column in table.labels}
    return tuple(
        Wanted(
            metric.name,
            (*matchers, *map(parse_matcher, metric.match)),
            tuple(columns[name] for name in dict.fromkeys((*table.sort_key, *metric.labels)) if name in metric.labels),
        )
        for metric in sorted(table.metrics, key=lambda metric: metric.name)
    )


class SeriesCounter:
    """Counts on one server. What ends one window begins the next, so counts of the last instants are remembered.

    Threads may share it.
    """

    def __init__(self, api: QueryApi) -> None:
        self._api = api
        self._lock = threading.Lock()
        self._remembered: OrderedDict[tuple[int, str], Mapping[str, int]] = OrderedDict()

    def count(self, wanted: Sequence[Wanted], *, at_ms: int) -> dict[str, int]:
        """Return how many series each metric has at an instant; one that has none may be missing."""
        found: dict[str, int] = {}
        for matchers, group in groupby(sorted(wanted, key=_by_matchers), key=lambda each: each.matchers):
            for names in _pack_names([each.metric for each in group]):
                found |= self._count_names(f"count by (__name__) ({render_any(names, matchers)})", at_ms)
        return found

    def _count_names(self, promql: str, at_ms: int) -> Mapping[str, int]:
        key = (at_ms, promql)
        with self._lock:
            known = self._remembered.get(key)
        if known is None:
            known = self.count_by("__name__", promql, at_ms)
            with self._lock:
                self._remembered[key] = known
                if len(self._remembered) > _REMEMBERED:
                    self._remembered.popitem(last=False)
        return known

    def count_by(self, label: str, promql: str, at_ms: int) -> dict[str, int]:
        """Return the numbers of a query's groups by the values of a label; ``""`` is the group without it."""
        rows = self._api.query(promql, at_ms=at_ms)
        try:
            return {row["metric"].get(label, ""): self._number(row) for row in rows}
        except (AttributeError, KeyError, TypeError):
            raise self._api.strange("query") from None

    def label_names(self, wanted: Wanted, grid: Grid) -> list[str]:
        """Return the names of all labels that a metric's series have in a window."""
        selector = render_selector(wanted.metric, wanted.matchers)
        return self._api.label_names(selector, start_ms=grid.start_ms, end_ms=grid.end_ms - 1)

    def _number(self, row: Mapping[str, Any]) -> int:
        try:
            return int(float(row["value"][1]))
        except (IndexError, KeyError, TypeError, ValueError):
            raise self._api.strange("query") from None


class ReadPlan(Protocol):
    """The reads of some metrics of a window. Threads may share it."""

    def parts(self, metric: str) -> tuple[Read, ...]:
        """Return the reads that make up a metric; raise ``SourceError`` where its series cannot be counted."""


class CountedPlan:
    """Reads of at most ``most`` series, as far as labels allow. What it takes to know them is counted when it is asked.

    Series are counted at the end of the window, and where they are many at its beginning, too. One that lives only in
    between is read, but not counted.
    """

    def __init__(self, counter: SeriesCounter, wanted: Sequence[Wanted], grid: Grid, *, most: int) -> None:
        self._counter = counter
        self._wanted = {each.metric: each for each in wanted}
        self._grid = grid
        self._most = most
        self._lock = threading.Lock()
        self._together: Mapping[str, tuple[int, int]] | None = None

    def parts(self, metric: str) -> tuple[Read, ...]:
        """See ``ReadPlan``."""
        wanted = self._wanted[metric]
        ends = self._count_together().get(metric) or self._count_ends((wanted,))[metric]
        return (Read((), max(ends)),) if sum(ends) <= self._most else self._divide(wanted)

    def _count_together(self) -> Mapping[str, tuple[int, int]]:
        """Return the counts of all metrics at both ends; none where they cannot be counted together."""
        with self._lock:
            if self._together is None:
                try:
                    self._together = self._count_ends(tuple(self._wanted.values()))
                except SourceError as error:  # perhaps because of one of them, which must not cost the others
                    logger.info("metrics are counted one by one", extra={"reason": str(error)})
                    self._together = {}
            return self._together

    def _count_ends(self, wanted: Sequence[Wanted]) -> dict[str, tuple[int, int]]:
        last = self._counter.count(wanted, at_ms=self._grid.end_ms - 1)
        first: Mapping[str, int] = {}
        if max(last.values(), default=0) * _FAR_BELOW > self._most:
            first = self._counter.count(wanted, at_ms=self._grid.start_ms - 1)
        return {each.metric: (last.get(each.metric, 0), first.get(each.metric, 0)) for each in wanted}

    def _divide(self, wanted: Wanted) -> tuple[Read, ...]:
        counted: dict[tuple[str, tuple[Matcher, ...]], Mapping[str, int]] = {}
        at_ms = self._grid.end_ms - 1

        def count_by(label: str, matchers: tuple[Matcher, ...]) -> Mapping[str, int]:
            if (label, matchers) not in counted:
                promql = f"count by ({render_label(label)}) ({_either_end(wanted, matchers, self._grid)})"
                counted[label, matchers] = self._counter.count_by(label, promql, at_ms)
            return counted[label, matchers]

        total = sum(self._counter.count_by("", f"count({_either_end(wanted, (), self._grid)})", at_ms).values())
        labels = (*wanted.labels, *MORE_LABELS)
        reads = plan_reads(total, labels, count_by, most=self._most)
        if any((read.series or 0) > self._most for read in reads):
            others = sorted({*self._counter.label_names(wanted, self._grid), *labels} - {*labels, "__name__"})
            reads = plan_reads(total, (*labels, *others), count_by, most=self._most)
        return reads


def _either_end(wanted: Wanted, matchers: Sequence[Matcher], grid: Grid) -> str:
    """Return a query, to be asked at the window's end, for the series that are there at its end or at its beginning."""
    selector = render_selector(wanted.metric, (*wanted.matchers, *matchers))
    return f"{selector} or {selector} offset {grid.end_ms - grid.start_ms}ms"


def _by_matchers(wanted: Wanted) -> tuple[str, str]:
    return ",".join(each.render() for each in wanted.matchers), wanted.metric


def _pack_names(names: Sequence[str]) -> list[list[str]]:
    packs: list[list[str]] = [[]]
    for name in names:
        if packs[-1] and sum(len(each) + 1 for each in packs[-1]) + len(name) > NAMES_CHARACTERS:
            packs.append([])
        packs[-1].append(name)
    return packs
