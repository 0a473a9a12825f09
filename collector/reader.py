"""One contract for every way to read a source, and the choice between them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from collector import client, remote_read
from collector.client import QueryApi
from collector.connection import Connection
from collector.grid import Grid, SeriesBlock
from collector.promql import Matcher

ReadPath = Literal["remote-read", "http"]


@dataclass(frozen=True)
class Reader:
    """Reads the series of a metric on a grid, by the path that was chosen."""

    connection: Connection
    api: QueryApi
    path: ReadPath

    def read(self, metric: str, matchers: Sequence[Matcher], grid: Grid) -> Iterator[SeriesBlock]:
        """Yield the series of a metric, some at a time."""
        if self.path == "remote-read":
            return remote_read.read_series(self.connection, metric, matchers, grid)
        return client.read_series(self.api, metric, matchers, grid)


def choose_reader(connection: Connection, mode: Literal["auto", "remote-read", "http"], *, now_ms: int) -> Reader:
    """Return a reader; ``auto`` means streamed remote read, or the query API where the server lacks it."""
    api = QueryApi(connection)
    if mode == "http":
        return Reader(connection, api, "http")
    try:
        probe = Grid(now_ms, now_ms + 1, 1, 1, lookback_includes_edge=True)
        for _ in remote_read.read_series(connection, "up", (), probe):
            pass
    except remote_read.NotServed:
        if mode == "remote-read":
            raise
        return Reader(connection, api, "http")
    return Reader(connection, api, "remote-read")
