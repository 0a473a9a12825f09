"""A real HTTP server over a folder, on loopback, that can be told to fail and remembers what it served.

It answers GET and HEAD with ranges, which is also all that an anonymous S3 reader asks of a bucket.
"""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

Fault = Literal["500", "404", "cut", "drop", "html", "flip", "no-range"]

ERROR_PAGE = b"<!DOCTYPE html><html><title>504 Gateway Time-out</title></html>\n"


@dataclass(frozen=True)
class Served:
    """One answer."""

    method: str
    path: str
    raw_path: str
    offset: int
    status: int
    sent: int


@dataclass
class Server:
    """A running server. ``faults`` holds, per path, what goes wrong with its next requests."""

    root: Path
    url: str
    faults: dict[str, deque[Fault]] = field(default_factory=dict)
    served: list[Served] = field(default_factory=list)

    def fail(self, path: str, *faults: Fault) -> None:
        self.faults[path] = deque(faults)

    def forget(self) -> None:
        self.served.clear()

    def requests(self, suffix: str = "") -> list[Served]:
        return [served for served in self.served if served.path.endswith(suffix)]

    def bytes_sent(self, suffix: str = "") -> int:
        return sum(served.sent for served in self.requests(suffix))


class _PatientServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64  # the default of 5 makes parallel readers wait a second for their connection


@contextmanager
def serve(root: Path) -> Iterator[Server]:
    """Serve a folder until the block ends."""
    state = Server(root, "")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            _answer(self, state)

        def do_HEAD(self) -> None:
            _answer(self, state)

        def log_message(self, format: str, *args: object) -> None:
            """Stay silent."""

    with _PatientServer(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()


def _answer(request: BaseHTTPRequestHandler, state: Server) -> None:
    raw = urlsplit(request.path).path
    path = unquote(raw).lstrip("/")
    fault = _next_fault(state, path)
    offset, until = _range(request.headers.get("Range", "") if fault != "no-range" else "")
    file = state.root / path
    status, body = 200, b""
    if fault == "500":
        status = 500
    elif fault == "404" or not file.is_file():
        status = 404
    elif fault == "html":
        body = ERROR_PAGE
    else:
        body = file.read_bytes()
        if fault == "flip":
            body = body[:-9] + bytes([body[-9] ^ 1]) + body[-8:]
    whole = len(body)
    if status == 200 and offset is not None and fault != "html":
        status = 206 if offset < whole else 416
        body = body[offset:until] if status == 206 else b""
    sent = body if request.command == "GET" else b""
    if fault in ("cut", "drop"):
        sent = b"" if fault == "drop" else sent[: len(sent) // 2]
    state.served.append(Served(request.command, path, raw, offset or 0, status, len(sent)))
    if fault != "drop":
        request.send_response(status)
        request.send_header("Content-Length", str(len(body)))
        request.send_header("Content-Type", "text/html" if fault == "html" else "application/octet-stream")
        request.send_header("Accept-Ranges", "bytes")
        request.send_header("Last-Modified", formatdate(0, usegmt=True))
        if status == 206:
            request.send_header("Content-Range", f"bytes {offset}-{(offset or 0) + len(body) - 1}/{whole}")
        request.end_headers()
        request.wfile.write(sent)
    if fault in ("cut", "drop"):
        request.close_connection = True


def _next_fault(state: Server, path: str) -> Fault | None:
    waiting = state.faults.get(path)
    return waiting.popleft() if waiting else None


def _range(header: str) -> tuple[int | None, int | None]:
    if not header.startswith("bytes="):
        return None, None
    first, _, last = header.removeprefix("bytes=").partition("-")
    return int(first), int(last) + 1 if last else None
