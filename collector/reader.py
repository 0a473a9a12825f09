"""One contract for every way to read a source, and the choice between them."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, Protocol

from collector import http_read, remote_read
from collector.client import QueryApi
from collector.connection import Connection
from collector.counts import CountedPlan, ReadPlan, SeriesCounter, Wanted
from collector.grid import Grid
from collector.native import Block
from collector.promql import Matcher
from collector.split import WHOLE, Read

ReadPath = Literal["remote-read", "http"]


class Reader(Protocol):
    """A source that gives the series of its metrics on a grid: one server, or several that watch the same."""

    @property
    def connection(self) -> Connection:
        """The server that answers other questions."""

    @property
    def api(self) -> QueryApi:
        """Its query API."""

    @property
    def apis(self) -> Sequence[QueryApi]:
        """The query APIs of all servers that answer: one may have what another has no longer."""

    @property
    def path(self) -> ReadPath:
        """The way by which samples come."""

    def plan(self, wanted: Sequence[Wanted], grid: Grid, *, most: int) -> ReadPlan:
        """Return what counts the series of some metrics and divides each into reads of at most ``most`` of them."""

    def read(
        self, metric: str, matchers: Sequence[Matcher], grid: Grid, parts: Sequence[Read] = WHOLE
    ) -> Generator[Block, None, None]:
        """Yield the series of a metric, some at a time; ``parts`` are those that ``plan`` gives for it."""

    def serving(self, metric: str, grid: Grid) -> "Serving":
        """Return who gave a metric, once its read has begun."""

    def choose(self, metric: str, matchers: Sequence[Matcher], grid: Grid) -> "Serving":
        """Return who would give a metric now, for those who read it in another way; raise ``SourceError``."""


@dataclass(frozen=True)
class Serving:
    """Who gave a metric of a window: whoever wants to know more of it asks the same server, with the same matchers.

    ``replica`` counts from 0; it is ``None`` where there is but one.
    """

    reader: Reader
    replica: int | None = None
    matchers: tuple[Matcher, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class ServerReader:
    """Reads from one server, by the path that was chosen."""

    connection: Connection
    api: QueryApi
    path: ReadPath

    @property
    def apis(self) -> Sequence[QueryApi]:
        """See ``Reader``."""
        return (self.api,)

    def plan(self, wanted: Sequence[Wanted], grid: Grid, *, most: int) -> ReadPlan:
        """See ``Reader``."""
        if self.path == "http":
            most = min(most, http_read.most_series(grid))
        return CountedPlan(self._counter, wanted, grid, most=most)

    def read(
        self, metric: str, matchers: Sequence[Matcher], grid: Grid, parts: Sequence[Read] = WHOLE
    ) -> Generator[Block, None, None]:
        """See ``Reader``."""
        for part in parts:
            matching = (*matchers, *part.matchers)
            if self.path == "remote-read":
                yield from remote_read.read_series(self.connection, metric, matching, grid)
            else:
                yield from http_read.read_series(self.api, metric, matching, grid, series=part.series or 0)

    def serving(self, metric: str, grid: Grid) -> "Serving":
        """See ``Reader``."""
        return Serving(self)

    def choose(self, metric: str, matchers: Sequence[Matcher], grid: Grid) -> "Serving":
        """See ``Reader``."""
        return Serving(self)

    @cached_property
    def _counter(self) -> SeriesCounter:
        return SeriesCounter(self.api)


def choose_reader(connection: Connection, mode: Literal["auto", "remote-read", "http"], *, now_ms: int) -> ServerReader:
    """Return a reader; ``auto`` means streamed remote read, or the query API where the server lacks it."""
    api = QueryApi(connection)
    if mode == "http":
        return ServerReader(connection, api, "http")
    try:
        probe = Grid(now_ms, now_ms + 1, 1, 1, lookback_includes_edge=True)
        for _ in remote_read.read_series(connection, "up", (), probe):
            pass
    except remote_read.NotServed:
        if mode == "remote-read":
            raise
        return ServerReader(connection, api, "http")
    return ServerReader(connection, api, "remote-read")
