"""The one door to prometheus_api_client: the query API as a plain, correct way to ask.

The library is used for what it does well, building the API's requests. Its habits that would hurt are kept out:
PromQL is built here, bounds are always passed, warnings are errors, answers are decoded while they arrive, and its
exceptions, which quote answers, never leave this file.
"""

import math
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import requests
from prometheus_api_client.prometheus_connect import PrometheusConnect

from collector.connection import Connection
from collector.matrix import Matrix, MatrixSeries, decode_matrix
from schemas.errors import PartialResult, SourceError
from schemas.windows import format_duration, from_ms

LONGEST_IN_URL: Final = 2_000
"""Characters of a query that still goes into the address: gateways cut those at 4 to 8 KiB; some take no POST."""
PIECE_BYTES: Final = 1 << 20

_LIMITED: Final = (400, 413, 422)
_LIMIT: Final = re.compile(rb"too many|too large|more than|exceed|limit|max", re.IGNORECASE)
_LIMITED_KIND: Final = re.compile(rb"sample|series|point|resolution|chunk|bytes|memory|length|response", re.IGNORECASE)
_TOLD_BYTES: Final = 4096


class TooMuch(SourceError):
    """The server's own limits refuse the query; one for less may pass."""


class QueryApi:
    """Instant and range queries of one server."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._connect = PrometheusConnect(
            url=connection.url,
            session=_Sender(connection),  # type: ignore[arg-type] # all that the library needs of one
            timeout=math.ceil(connection.timeout),
        )

    def query(self, promql: str, *, at_ms: int) -> list[dict[str, Any]]:
        """Return the instant vector of ``promql`` at a time, as the API writes it."""
        what = "query"
        with self._connection.translated(what), self._understood(what):
            response = self._connect.custom_query(promql, params={"time": at_ms / 1000})
            self._check(what, response)
            answer = response.json()
            self._refuse_partial(what, answer)
            result = answer["data"]["result"]
        if not isinstance(result, list):
            raise self.strange(what)
        return result

    def query_range(self, promql: str, *, start_ms: int, end_ms: int, step_ms: int) -> list[MatrixSeries]:
        """Return the matrix of ``promql`` at ``start_ms``, ... up to and with ``end_ms``."""
        matrices = self.stream_range(promql, start_ms=start_ms, end_ms=end_ms, step_ms=step_ms)
        return [series for matrix in matrices for series in matrix.series()]

    def stream_range(self, promql: str, *, start_ms: int, end_ms: int, step_ms: int) -> Iterator[Matrix]:
        """Yield the same some series at a time, while the answer arrives.

        Raises ``TooMuch`` before the first series. ``PartialResult`` comes behind the last one, where the server says
        so: until the end nobody knows that an answer is whole.
        """
        what = "query_range"

        def read() -> Generator[Matrix, None, None]:
            with (
                self._understood(what),
                self._connect.custom_query_range(
                    promql,
                    start_time=from_ms(start_ms),
                    end_time=from_ms(end_ms),
                    step=format_duration(timedelta(milliseconds=step_ms)),
                    params={"start": start_ms / 1000, "end": end_ms / 1000},  # the library rounds to whole seconds
                ) as response,
            ):
                self._check(what, response)
                answer = yield from decode_matrix(response.iter_content(PIECE_BYTES))
                self._refuse_partial(what, answer)

        return self._connection.repeated(what, read)

    def label_names(self, selector: str, *, start_ms: int, end_ms: int) -> list[str]:
        """Return the names of all labels that the series of a selector have in a span."""
        params = {"match[]": selector, "start": start_ms / 1000, "end": end_ms / 1000}
        names = self._connection.get_json("/api/v1/labels", params)
        if not isinstance(names, list):
            raise self.strange("labels")
        return names

    def label_values(self, label: str, selector: str, *, start_ms: int, end_ms: int) -> list[str]:
        """Return the values that a label has on the series of a selector in a span."""
        params = {"match[]": selector, "start": start_ms / 1000, "end": end_ms / 1000}
        values = self._connection.get_json(f"/api/v1/label/{label}/values", params)
        if not isinstance(values, list):
            raise self.strange("label values")
        return values

    def metric_names(self) -> frozenset[str]:
        """Return the names of all metrics that a Prometheus has, whenever their samples are.

        It is asked for no span: samples that came out of order are left out of one, though they are there.
        """
        return self.all_label_values("__name__")

    def all_label_names(self) -> list[str]:
        """Return the names of all labels that a Prometheus has."""
        names = self._connection.get_json("/api/v1/labels")
        if not isinstance(names, list):
            raise self.strange("labels")
        return names

    def all_label_values(self, label: str) -> frozenset[str]:
        """Return every value that a label has, in any series."""
        values = self._connection.get_json(f"/api/v1/label/{label}/values")
        if not isinstance(values, list):
            raise self.strange("label values")
        return frozenset(values)

    def metric_types(self) -> dict[str, frozenset[str]]:
        """Return the types that the server's metadata gives each metric of its targets: those that they say now."""
        told = self._connection.get_json("/api/v1/metadata")
        with self._understood("metadata"):
            return {name: frozenset(entry["type"] for entry in entries) for name, entries in told.items()}

    def strange(self, what: str) -> SourceError:
        """Return the error for an answer that Prometheus would not give."""
        return SourceError(f"{what}: {self._connection.place} did not answer as Prometheus does")

    @contextmanager
    def _understood(self, what: str) -> Iterator[None]:
        try:
            yield
        except (AttributeError, IndexError, KeyError, TypeError):
            raise self.strange(what) from None

    def _check(self, what: str, response: requests.Response) -> None:
        if response.status_code in _LIMITED:
            told = next(response.iter_content(_TOLD_BYTES), b"")
            if _LIMIT.search(told) and _LIMITED_KIND.search(told):
                raise TooMuch(
                    f"{what}: {self._connection.place} answered {response.status_code}: the query is over a limit of "
                    "the server; raise it, or collect less at once"
                )
        self._connection.check_status(what, response)

    def _refuse_partial(self, what: str, answer: Mapping[str, Any]) -> None:
        if answer.get("warnings") or answer.get("isPartial"):  # the latter is how VictoriaMetrics says it
            raise PartialResult(f"{what}: {self._connection.place} answered with warnings: data are missing")


@dataclass(frozen=True)
class _Answer:
    """What the library takes for a good response, and whose ``result`` it hands on unseen: the real one."""

    response: requests.Response
    status_code: int = 200

    def json(self) -> Any:  # noqa: ANN401 - as the library expects
        return {"data": {"result": self.response}}


class _Sender:
    """Stands in the place of the library's session: what the library builds is sent by ours.

    Long queries go as forms, and range queries are answered as streams.
    """

    verify = None
    cert = None

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def mount(self, *_: object) -> None:
        """Mount nothing: our session's own adapter knows how to wait."""

    def request(self, *, url: str, params: Mapping[str, Any], **_: object) -> _Answer:
        """Send a query and return its response for the library to hand on."""
        ask: Callable[..., requests.Response] = self._connection.session.request
        options = {
            "stream": url.endswith("_range"),
            "timeout": self._connection.timeout,
            "allow_redirects": False,
        }
        if len(params["query"]) > LONGEST_IN_URL:
            return _Answer(ask("POST", url, data=params, **options))
        return _Answer(ask("GET", url, params=params, **options))
