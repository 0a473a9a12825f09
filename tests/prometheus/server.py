"""A Prometheus for all tests that takes whatever is written to it, asked without a line of the collector's code."""

from __future__ import annotations

import itertools
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from demo.packages import Programs
from demo.servers import Server
from tests.prometheus.wire import Labels, Samples, decode_read, encode_read, encode_write

EXTERNAL_LABELS: Final = {"prometheus_replica": "r0", "region": "made-up"}
CONFIG: Final = """\
global:
  external_labels: {prometheus_replica: r0, region: made-up}
storage:
  tsdb: {out_of_order_time_window: 30h}
scrape_configs: []
"""
_SAMPLES_A_REQUEST = 20_000


class WriteRefused(Exception):
    """The receiver took nothing of a request."""


@dataclass(frozen=True)
class RealPrometheus:
    """A running server. It is shared: use metric names of your own (``new_metric``)."""

    server: Server
    programs: Programs
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    @property
    def url(self) -> str:
        """The base URL."""
        return self.server.url

    @property
    def version(self) -> str:
        """The version that the server gives itself."""
        return str(self._ask("/api/v1/status/buildinfo", {})["version"])

    def new_metric(self, stem: str = "hostile") -> str:
        """Return a metric name that nobody else uses."""
        return f"{stem}_{next(self._numbers)}"

    def write(self, series: Iterable[tuple[Labels, Samples]]) -> None:
        """Send series by remote write; raise ``WriteRefused`` when the server refuses a request.

        Labels hold ``__name__``. A request that is refused leaves nothing behind. Series are sent in the order
        given; samples of one series that go back in time belong into a later entry.
        """
        pending: list[tuple[Labels, Samples]] = []
        waiting = 0
        for labels, samples in series:
            for first in range(0, len(samples), _SAMPLES_A_REQUEST):
                part = samples[first : first + _SAMPLES_A_REQUEST]
                if waiting + len(part) > _SAMPLES_A_REQUEST:
                    self._send(pending)
                    pending, waiting = [], 0
                pending.append((labels, part))
                waiting += len(part)
        if pending:
            self._send(pending)

    def read_raw(self, metric: str, start_ms: int, end_ms: int) -> list[tuple[dict[str, str], Samples]]:
        """Return every raw sample of a metric in [start, end], bits kept, external labels included."""
        headers = {"Content-Type": "application/x-protobuf", "X-Prometheus-Remote-Read-Version": "0.1.0"}
        return decode_read(self._post("/api/v1/read", encode_read(metric, start_ms, end_ms), headers))

    def query_range(self, promql: str, *, start_ms: int, end_ms: int, step_ms: int) -> list[dict[str, Any]]:
        """Return the server's own matrix at start, start + step, ... up to and with ``end_ms``."""
        times = {"start": f"{start_ms / 1000:.3f}", "end": f"{end_ms / 1000:.3f}", "step": f"{step_ms / 1000:.3f}"}
        return list(self._ask("/api/v1/query_range", {"query": promql, **times})["result"])

    def _ask(self, path: str, fields: dict[str, str]) -> Any:  # noqa: ANN401 - JSON
        body = urllib.parse.urlencode(fields).encode() if fields else None
        request = urllib.request.Request(self.url + path, data=body)
        with urllib.request.urlopen(request, timeout=60) as answer:
            content = json.load(answer)
        assert content["status"] == "success", content
        return content["data"]

    def _send(self, series: list[tuple[Labels, Samples]]) -> None:
        headers = {"Content-Type": "application/x-protobuf", "X-Prometheus-Remote-Write-Version": "0.1.0"}
        try:
            self._post("/api/v1/write", encode_write(series), headers)
        except urllib.error.HTTPError as error:
            with error:
                raise WriteRefused(f"{error.code}: {error.read(300).decode(errors='replace').strip()}") from None

    def _post(self, path: str, body: bytes, headers: dict[str, str]) -> bytes:
        request = urllib.request.Request(self.url + path, data=body, headers={**headers, "Content-Encoding": "snappy"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return bytes(answer.read())
