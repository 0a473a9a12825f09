"""A proxy between us and a real Prometheus that does to a request or its answer whatever a test wants."""

from __future__ import annotations

import http.client
import json
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final
from urllib.parse import unquote_plus, urlsplit

import cramjam

_CHUNK_BYTES: Final = 4096
_HOP_BY_HOP: Final = {"connection", "transfer-encoding", "content-length", "host", "proxy-connection"}


@dataclass(frozen=True)
class Request:
    """What was asked. ``said`` is its query and its body in the clear, ``target`` where a CONNECT wants to go."""

    path: str
    said: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    target: str | None = None

    def mentions(self, word: str) -> bool:
        """Whether the word stands in the query or the body."""
        return word.encode() in self.said


@dataclass(frozen=True)
class Reply:
    """What the server answered, or somebody in its stead."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def head(self) -> bytes:
        """Return the status line and the headers; the body comes in chunks."""
        lines = [f"HTTP/1.1 {self.status} {http.client.responses.get(self.status, '')}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP]
        return "\r\n".join([*lines, "Transfer-Encoding: chunked", "", ""]).encode("latin-1")

    def chunks(self) -> list[bytes]:
        """Return the body as it goes over the wire, up to and with its end."""
        parts = [self.body[first : first + _CHUNK_BYTES] for first in range(0, len(self.body), _CHUNK_BYTES)]
        return [b"%x\r\n%s\r\n" % (len(part), part) for part in (*parts, b"")]


@dataclass(frozen=True)
class Wire:
    """The connection to the client."""

    client: socket.socket
    ended: threading.Event

    def send(self, *parts: bytes) -> None:
        """Send bytes, as they are."""
        self.client.sendall(b"".join(parts))

    def wait(self, seconds: float) -> None:
        """Let time pass, unless the test is over."""
        if self.ended.wait(seconds):
            raise ConnectionAbortedError

    def reset(self) -> None:
        """Break the connection so that the other side notices."""
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise ConnectionAbortedError


Fault = Callable[[Wire, Reply], None]
"""Sends an answer, or does not."""


def deliver(wire: Wire, reply: Reply) -> None:
    """Send the answer as it is."""
    wire.send(reply.head(), *reply.chunks())


def answer(status: int, body: bytes = b"", *, kind: str = "text/plain", **headers: str) -> Reply:
    """Return an answer of our own."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, {"Content-Type": kind, "Date": "Sun, 01 Nov 2026 12:00:00 GMT", **named}, body)


def trickle(*, pieces: int, seconds: float) -> Fault:
    """Return the fault of a server that needs ``seconds`` from piece to piece of its answer."""

    def send(wire: Wire, reply: Reply) -> None:
        content = b"".join([reply.head(), *reply.chunks()])
        size = -(-len(content) // pieces)
        for first in range(0, len(content), size):
            wire.send(content[first : first + size])
            wire.wait(seconds)

    return send


def cut(share: float, *, politely: bool = False) -> Fault:
    """Return the fault of a connection that ends after a share of the body; ``politely``, as if that were the whole."""

    def send(wire: Wire, reply: Reply) -> None:
        part = replace(reply, body=reply.body[: int(share * len(reply.body))])
        if politely:
            deliver(wire, part)
            return
        wire.send(part.head(), *part.chunks()[:-1])
        wire.reset()

    return send


def hang(share: float | None) -> Fault:
    """Return the fault of a server that falls silent after a share of the body, or before all (``None``)."""

    def send(wire: Wire, reply: Reply) -> None:
        if share is not None:
            wire.send(reply.head(), *replace(reply, body=reply.body[: int(share * len(reply.body))]).chunks()[:-1])
        wire.wait(600)

    return send


def flip_body(position: int | float) -> Fault:
    """Return the fault of a bit that toppled in the body: at a byte, or at a share of the whole."""

    def send(wire: Wire, reply: Reply) -> None:
        body = bytearray(reply.body)
        body[position if isinstance(position, int) else int(position * len(body))] ^= 0x08
        deliver(wire, replace(reply, body=bytes(body)))

    return send


def flip_head(word: bytes) -> Fault:
    """Return the fault of a bit that toppled in the first byte of a word of the status line or the headers."""

    def send(wire: Wire, reply: Reply) -> None:
        head = bytearray(reply.head())
        head[head.index(word)] ^= 0x08
        wire.send(bytes(head), *reply.chunks())

    return send


def warn(text: str) -> Fault:
    """Return what a Thanos does that lacks a store: it answers with what it has, and a warning."""

    def send(wire: Wire, reply: Reply) -> None:
        deliver(wire, replace(reply, body=json.dumps({**json.loads(reply.body), "warnings": [text]}).encode()))

    return send


@dataclass(frozen=True)
class Interruption:
    """Something that happens to the server while it is still sending its answer, of which it must have plenty."""

    after_bytes: int
    act: Callable[[], None]

    def relay(self, wire: Wire, server: tuple[str, int], request: bytes) -> None:
        """Pass an answer on as it comes, ``act`` in its midst, and break the connection where it breaks."""
        with socket.socket() as upstream:
            upstream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _CHUNK_BYTES)  # so that it has to wait for us
            upstream.connect(server)
            upstream.sendall(request)
            passed = 0
            acted = False
            with suppress(ConnectionResetError):
                while content := upstream.recv(_CHUNK_BYTES):
                    wire.send(content)
                    passed += len(content)
                    if passed >= self.after_bytes and not acted:
                        acted = True
                        self.act()
        wire.reset()


Chosen = Fault | Reply | Interruption


@dataclass
class Proxy:
    """A running proxy. Its ``fault`` may be changed at any time; ``asked`` is what came by."""

    url: str
    fault: Callable[[Request], Chosen | None]
    asked: list[Request] = field(default_factory=list)


@contextmanager
def proxy(upstream: str, fault: Callable[[Request], Chosen | None] = lambda _: None) -> Iterator[Proxy]:
    """Pass requests on to ``upstream`` on the loopback; ``fault`` chooses what becomes of the answer of each.

    A request for another address, as clients send it to a proxy, goes to ``upstream`` all the same, and a CONNECT to
    where it wants.
    """
    ended = threading.Event()
    where = urlsplit(upstream)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            request = _understand(self.path, body, dict(self.headers))
            running.asked.append(request)
            wire = Wire(self.connection, ended)
            try:
                chosen = running.fault(request)
                if isinstance(chosen, Reply):
                    deliver(wire, chosen)
                elif isinstance(chosen, Interruption):
                    chosen.relay(wire, (where.hostname or "", where.port or 80), self._as_sent(body))
                else:
                    (chosen or deliver)(wire, self._ask(body))
            except OSError:  # the client has gone, the upstream has, or a fault wants the connection broken
                self.close_connection = True

        do_GET = do_POST = _pass_on

        def _ask(self, body: bytes) -> Reply:
            connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=30)
            parts = urlsplit(self.path)
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
            try:
                path = parts.path + (f"?{parts.query}" if parts.query else "")
                connection.request(self.command, path, body or None, headers)
                got = connection.getresponse()
                return Reply(got.status, dict(got.headers), got.read())
            except http.client.HTTPException:
                raise ConnectionAbortedError from None
            finally:
                connection.close()

        def _as_sent(self, body: bytes) -> bytes:
            headers = {**self.headers, "Connection": "close"}
            lines = [f"{self.command} {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
            return "\r\n".join([*lines, "", ""]).encode("latin-1") + body

        def do_CONNECT(self) -> None:
            request = Request("", b"", dict(self.headers), target=self.path)
            running.asked.append(request)
            self.close_connection = True
            refused = running.fault(request)
            if isinstance(refused, Reply):
                deliver(Wire(self.connection, ended), refused)
                return
            host, _, port = self.path.rpartition(":")
            with socket.create_connection((host, int(port)), timeout=30) as other:
                self.connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                _relay(self.connection, other, ended)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *_: object) -> None:
            """Say nothing: connections break here on purpose."""

    with Server(("127.0.0.1", 0), Handler) as server:
        running = Proxy(f"http://127.0.0.1:{server.server_port}", fault)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield running
        finally:
            ended.set()
            server.shutdown()
            thread.join()


def _understand(path: str, body: bytes, headers: Mapping[str, str]) -> Request:
    parts = urlsplit(path)
    if headers.get("Content-Encoding") == "snappy":
        body = bytes(cramjam.snappy.decompress_raw(body))
    else:
        body = unquote_plus(body.decode()).encode()
    return Request(parts.path, unquote_plus(parts.query).encode() + b"\n" + body, headers)


def _relay(client: socket.socket, server: socket.socket, ended: threading.Event) -> None:
    other = {client: server, server: client}
    with suppress(OSError):
        while not ended.is_set():
            for ready in select.select([client, server], [], [], 0.1)[0]:
                content = ready.recv(1 << 16)
                if not content:
                    return
                other[ready].sendall(content)
