"""The one door to prometheus_api_client: the query API as a plain, correct way to read.

The library is used for what it does well, sending queries over a session. Its habits that would hurt are kept
out: PromQL is built here, bounds are always passed, warnings are errors, and its exceptions, which quote answers,
never leave this file.
"""

import math
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import requests
from prometheus_api_client.exceptions import PrometheusApiClientException
from prometheus_api_client.prometheus_connect import PrometheusConnect

from collector.connection import Connection
from collector.grid import DecodedBlock, Grid, Samples, SeriesBlock
from collector.kernels.stats import STATS
from collector.labels import LabelSets
from collector.matrix import MatrixSeries, decode_matrix
from collector.promql import Matcher, render_selector
from schemas.errors import PartialResult, SourceError
from schemas.windows import format_duration, from_ms

MAX_POINTS: Final = 10_000  # the query API refuses more than 11,000 points a series


class QueryApi:
    """Instant and range queries of one server."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._connect = PrometheusConnect(
            url=connection.url,
            session=connection.session,
            retry=connection.retry,
            timeout=math.ceil(connection.timeout),
        )
        connection.session.hooks["response"] = [_refuse_what_is_not_whole]

    def query(self, promql: str, *, at_ms: int) -> list[dict[str, Any]]:
        """Return the instant vector of ``promql`` at a time, as the API writes it."""
        return self._ask("query", lambda: self._connect.custom_query(promql, params={"time": at_ms / 1000}))

    def query_range(self, promql: str, *, start_ms: int, end_ms: int, step_ms: int) -> list[MatrixSeries]:
        """Return the matrix of ``promql`` at ``start_ms``, ... up to and with ``end_ms``."""
        exact = {"start": start_ms / 1000, "end": end_ms / 1000}  # the library rounds to whole seconds
        return self._ask(
            "query_range",
            lambda: self._connect.custom_query_range(
                promql,
                start_time=from_ms(start_ms),
                end_time=from_ms(end_ms),
                step=format_duration(timedelta(milliseconds=step_ms)),
                params=exact,
            ),
        )

    def _ask(self, what: str, call: Any) -> list[Any]:  # noqa: ANN401 - the library is untyped
        with self._connection.translated(what):
            try:
                answer = call()
            except _NotWholeError as error:
                error.response.close()
                self._connection.check_status(what, error.response)
                raise PartialResult(
                    f"{what}: {self._connection.place} answered with warnings: data are missing"
                ) from None
            except PrometheusApiClientException:
                raise SourceError(f"{what}: {self._connection.place} refused the query") from None
            except (AttributeError, IndexError, KeyError, StopIteration, TypeError):
                raise self.strange(what) from None
        if not isinstance(answer, list):
            raise self.strange(what)
        return answer

    def strange(self, what: str) -> SourceError:
        """Return the error for an answer that Prometheus would not give."""
        return SourceError(f"{what}: {self._connection.place} did not answer as Prometheus does")


class _NotWholeError(Exception):
    def __init__(self, response: requests.Response) -> None:
        self.response = response
        super().__init__("an answer that is not whole")


def _refuse_what_is_not_whole(response: requests.Response, *_: object, **__: object) -> None:
    path = response.request.path_url.partition("?")[0]
    if path.endswith(("/api/v1/query", "/api/v1/query_range")):
        if response.status_code != 200:
            raise _NotWholeError(response)
        # parsing megabytes twice would double the cost, so first look whether there can be any
        if b'"warnings"' in response.content and response.json().get("warnings"):
            raise _NotWholeError(response)
        if path.endswith("_range"):
            # the library calls json(), which would make an object of every sample
            content = response.content
            response.json = lambda **_: decode_matrix(content)  # type: ignore[method-assign]


def read_series(api: QueryApi, metric: str, matchers: Sequence[Matcher], grid: Grid) -> Iterator[SeriesBlock]:
    """Yield the series of a metric on the grid, as the server itself puts them there, in one block.

    Raw samples are not seen on this path: the statistics of the block are left at zero.
    """
    selector = render_selector(metric, matchers)
    rows: dict[tuple[tuple[str, str], ...], int] = {}
    parts: list[list[tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]]] = []
    for first in range(0, grid.points, MAX_POINTS):
        last = min(first + MAX_POINTS, grid.points) - 1
        matrix = api.query_range(
            selector,
            start_ms=grid.start_ms + first * grid.step_ms,
            end_ms=grid.start_ms + last * grid.step_ms,
            step_ms=grid.step_ms,
        )
        for series in matrix:
            if series.has_histograms:
                raise SourceError(f"query_range of {metric}: found native histograms; wanted float samples")
            columns, beside = np.divmod(series.times_ms - grid.start_ms, grid.step_ms)
            if beside.any() or (columns < 0).any() or (columns >= grid.points).any():
                raise api.strange("query_range")  # times that nobody asked for
            row = rows.setdefault(tuple(sorted(series.labels.items())), len(rows))
            if row == len(parts):
                parts.append([])
            parts[row].append((series.times_ms, series.values))
    if not rows:
        return
    labels = LabelSets()
    for identity in rows:
        labels.append(identity)
    flat = [piece for pieces in parts for piece in pieces]
    samples = Samples(
        np.array([sum(len(times) for times, _ in pieces) for pieces in parts], dtype=np.int64),
        np.concatenate([times for times, _ in flat]),
        np.concatenate([values for _, values in flat]),
        np.zeros((len(rows), STATS), dtype=np.int64),
    )
    yield DecodedBlock(labels, samples)
