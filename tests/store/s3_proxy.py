"""A proxy in front of a real S3 server that spoils some of the answers, and passes on everything else as it is."""

import http.client
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Final
from urllib.parse import urlsplit

HANG_SECONDS: Final = 1.0
_DROPPED: Final = {"transfer-encoding", "connection"}


@dataclass
class Answer:
    """What the server said."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


Fault = Callable[["Spoiler", Answer], None]
"""Changes an answer, or breaks the connection instead."""


@dataclass
class S3Proxy:
    """Where the proxy listens, which calls it spoils, and what it saw."""

    endpoint_url: str
    faults: list[tuple[str, Fault]] = field(default_factory=list)
    """Each spoils one call of its method, in this order."""
    choose: Callable[[str, int], Fault | None] = lambda method, number: None
    """Says which fault hits a call, by its method and its number among those of the method, the first being 1."""
    numbers: Counter[str] = field(default_factory=Counter)
    calls: list[str] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def take(self, method: str, path: str) -> Fault | None:
        """Count a call and return what shall happen to it."""
        with self.lock:
            self.calls.append(f"{method} {path}")
            self.numbers[method] += 1
            if fault := self.choose(method, self.numbers[method]):
                return fault
            if self.faults and self.faults[0][0] == method:
                return self.faults.pop(0)[1]
        return None


class Spoiler(BaseHTTPRequestHandler):
    """Passes one call on."""

    protocol_version = "HTTP/1.1"
    proxy: S3Proxy
    upstream: str

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""

    def answer(self) -> None:
        """Ask the server, spoil what it says, and say that."""
        fault = self.proxy.take(self.command, self.path)
        if fault is cut_upload:
            self.rfile.read(int(self.headers["Content-Length"]) // 2)
            self.break_off()
            return
        if "100-continue" in self.headers.get("Expect", ""):
            self.send_response_only(100)
            self.end_headers()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if fault is flip_upload:
            body = flipped(body)
        asked = http.client.HTTPConnection(self.upstream, timeout=30)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
        asked.request(self.command, self.path, body=body, headers=headers)
        with asked.getresponse() as got:
            kept = [(name, value) for name, value in got.getheaders() if name.lower() not in _DROPPED]
            answer = Answer(got.status, kept, got.read())
        asked.close()
        if fault and fault is not flip_upload:
            fault(self, answer)
        if not self.close_connection:
            self.say(answer)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = answer

    def say(self, answer: Answer) -> None:
        """Write an answer; its stated length stays, whatever became of its body."""
        self.send_response_only(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        if not any(name.lower() == "content-length" for name, _ in answer.headers):
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def break_off(self) -> None:
        """End the connection so that the other side notices."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True


def flipped(body: bytes) -> bytes:
    """Return a body with one bit changed in its middle, if it has one."""
    if not body:
        return body
    at = len(body) // 2
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]


def flip(_: Spoiler, answer: Answer) -> None:
    """Change one bit of what is read."""
    answer.body = flipped(answer.body)


def truncate(spoiler: Spoiler, answer: Answer) -> None:
    """Break off in the middle of what is read."""
    answer.body = answer.body[: len(answer.body) // 2]
    spoiler.say(answer)
    spoiler.close_connection = True


def lose(spoiler: Spoiler, _: Answer) -> None:
    """Let the server do what it was asked, and tell nobody."""
    spoiler.break_off()


def hang(spoiler: Spoiler, _: Answer) -> None:
    """Let the server do what it was asked, and say nothing for longer than anybody waits."""
    time.sleep(HANG_SECONDS)
    spoiler.break_off()


def cut_upload(spoiler: Spoiler, _: Answer) -> None:
    """Break off in the middle of what is written: the server never sees it."""


def flip_upload(spoiler: Spoiler, _: Answer) -> None:
    """Change one bit of what is written."""


def refuse(status: int, code: str) -> Fault:
    """Return the fault of a server that says so."""

    def say(_: Spoiler, answer: Answer) -> None:
        answer.status = status
        answer.body = f"<Error><Code>{code}</Code></Error>".encode()
        answer.headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(answer.body)))]

    return say


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that went away: many of them are meant to."""


@contextmanager
def s3_proxy(endpoint_url: str) -> Iterator[S3Proxy]:
    """Run a proxy in front of a server, on loopback."""
    server = _Server(("127.0.0.1", 0), Spoiler)
    proxy = S3Proxy(f"http://127.0.0.1:{server.server_address[1]}")
    handler = type("BoundSpoiler", (Spoiler,), {"proxy": proxy, "upstream": urlsplit(endpoint_url).netloc})
    server.RequestHandlerClass = handler
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        thread.join()
        with suppress(OSError):
            server.server_close()
