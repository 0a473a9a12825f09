"""What the long-running mode says of itself: ``/metrics`` for Prometheus, ``/healthz`` for the kubelet."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, Counter, Gauge, make_wsgi_app

from schemas.errors import UsageError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse


class Health:
    """Counters of one process, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._runs = Counter(
            "opspub_snapshot_runs", "Snapshot runs by exit code.", ["exit_code"], registry=self.registry
        )
        self._commits = Counter("opspub_commits", "Committed (table, window) snapshots.", registry=self.registry)
        self._rows = Counter("opspub_rows", "Committed rows.", registry=self.registry)
        self._success = Gauge(
            "opspub_last_success_timestamp_seconds", "When a snapshot run last ended well.", registry=self.registry
        )
        self._end = Gauge(
            "opspub_last_run_timestamp_seconds", "When a snapshot run last ended at all.", registry=self.registry
        )

    def succeeded(self, *, commits: int, rows: int, at: datetime) -> None:
        """Count a run that ended well."""
        self._runs.labels("0").inc()
        self._commits.inc(commits)
        self._rows.inc(rows)
        self._success.set(at.timestamp())
        self._end.set(at.timestamp())

    def failed(self, exit_code: int, *, at: datetime) -> None:
        """Count a run that did not."""
        self._runs.labels(str(exit_code)).inc()
        self._end.set(at.timestamp())


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing: probes come every few seconds."""


@contextmanager
def start_health_server(health: Health, *, host: str, port: int) -> Iterator[str]:
    """Serve in a thread of its own; yield the address, with the port that was free when 0 was asked for."""
    metrics: Callable[..., Iterable[bytes]] = make_wsgi_app(health.registry)

    def answer(environ: dict[str, Any], start_response: "StartResponse") -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/metrics":
            return metrics(environ, start_response)
        found = path == "/healthz"
        start_response("200 OK" if found else "404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
        return [b"ok\n" if found else b"there are /metrics and /healthz\n"]

    try:
        opened = make_server(host, port, answer, handler_class=_Quiet)
    except OSError as error:
        raise UsageError(f"cannot listen on {host}:{port}: {error.strerror}; give another --listen") from None
    with opened as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://{host}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
