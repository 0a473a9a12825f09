"""A server that answers whatever a test wants, and remembers what it was asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from google_crc32c import value as crc32c

from collector.remote_pb2 import Chunk, ChunkedReadResponse
from tests.collector.gorilla import encode_frame, split_chunks
from tests.prometheus.wire import Labels, Samples

STREAMED = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"


@dataclass(frozen=True)
class Answer:
    """What to send. ``missing`` bytes are announced and never sent; ``hang_seconds`` pass before the end."""

    body: bytes = b""
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    missing: int = 0
    hang_seconds: float = 0.0


@dataclass(frozen=True)
class Asked:
    """One request."""

    path: str
    headers: Mapping[str, str]


@dataclass
class Misbehaving:
    """The running server."""

    url: str
    asked: list[Asked]


@contextmanager
def serve(answer: Answer | Callable[[str], Answer]) -> Iterator[Misbehaving]:
    """Serve one answer to everything, or one by path, on the loopback."""
    asked: list[Asked] = []
    leave = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            asked.append(Asked(self.path, dict(self.headers)))
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            chosen = answer if isinstance(answer, Answer) else answer(self.path.partition("?")[0])
            self.send_response(chosen.status)
            self.send_header("Content-Type", chosen.content_type)
            self.send_header("Content-Length", str(len(chosen.body) + chosen.missing))
            for name, value in chosen.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(chosen.body)
            self.wfile.flush()
            leave.wait(chosen.hang_seconds)

        do_GET = do_POST = _answer

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.block_on_close = False
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield Misbehaving(f"http://127.0.0.1:{server.server_port}", asked)
        finally:
            leave.set()
            server.shutdown()
            thread.join()


def build_frame(*series: tuple[Labels, Samples], kind: int = Chunk.XOR) -> bytes:
    """Return a good frame of a streamed remote-read answer."""
    message = ChunkedReadResponse()
    for labels, samples in series:
        entry = message.chunked_series.add()
        for name, value in sorted(labels.items()):
            entry.labels.add(name=name, value=value)
        for data in split_chunks(samples):
            entry.chunks.add(type=kind, data=data)
    return frame(message.SerializeToString())


def frame(payload: bytes) -> bytes:
    """Return a payload as a frame with its right checksum."""
    return encode_frame(payload, crc32c(payload))


def streamed(body: bytes, *, missing: int = 0, hang_seconds: float = 0.0) -> Answer:
    """Return a body as a streamed remote-read answer."""
    return Answer(body, content_type=STREAMED, missing=missing, hang_seconds=hang_seconds)
