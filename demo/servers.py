"""Start and stop servers on this machine's loopback, each living in a folder of its own.

A server outlives the process that starts it. ``<name>.json`` in the folder holds its process id and port, and
``<name>.log`` what it says. Before a signal is sent, the process's command line must name the folder: a process
id that was given to somebody else meanwhile is left alone.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from demo.errors import DemoError
from demo.packages import Programs

PROMETHEUS = "prometheus"
NODE_EXPORTER = "node-exporter"
_LOOPBACK = "127.0.0.1"
_POLL_SECONDS = 0.1
_STOP_SECONDS = 15.0
_LOG_LINES = 5
_children: dict[int, subprocess.Popen[bytes]] = {}  # those that this process started and must reap


@dataclass(frozen=True, slots=True)
class Server:
    """A server that was started in ``folder``."""

    name: str
    folder: Path
    pid: int
    port: int

    @property
    def url(self) -> str:
        """The server's address, without a slash at the end."""
        return f"http://{_LOOPBACK}:{self.port}"

    @property
    def log(self) -> Path:
        """The file that takes what the server says."""
        return self.folder / f"{self.name}.log"

    def is_running(self) -> bool:
        """Return whether the process is there and is the one that was started in this folder."""
        if child := _children.get(self.pid):
            child.poll()
        with contextlib.suppress(OSError):
            command = Path(f"/proc/{self.pid}/cmdline").read_bytes()
            return f"={self.folder}/".encode() in command
        return False

    def stop(self) -> None:
        """End the process, by force if it doesn't end by itself. Does nothing to a process that isn't ours."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            patience = time.monotonic() + _STOP_SECONDS
            if self.is_running():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, number)
            while self.is_running() and time.monotonic() < patience:
                time.sleep(_POLL_SECONDS)
        if self.is_running():
            raise DemoError(f"process {self.pid} ({self.name}) did not end, wanted it to; end it by hand")
        if child := _children.pop(self.pid, None):
            child.wait(_STOP_SECONDS)  # a child that has just ended still wants to be reaped
        self._record.unlink(missing_ok=True)

    def read_log_end(self) -> str:
        """Return the last lines of the log, on one line."""
        with contextlib.suppress(OSError):
            return " | ".join(self.log.read_text(errors="replace").splitlines()[-_LOG_LINES:])
        return ""

    def get(self, path: str) -> tuple[int, bytes]:
        """Return status and body of a GET; status 0 if nobody answered."""
        connection = http.client.HTTPConnection(_LOOPBACK, self.port, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            return 0, b""
        finally:
            connection.close()

    @property
    def _record(self) -> Path:
        return self.folder / f"{self.name}.json"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start_prometheus(
    programs: Programs,
    folder: Path,
    *,
    config: str,
    flags: Sequence[str] = (),
    port: int | None = None,
    patience: float = 60.0,
) -> Server:
    """Start Prometheus on the TSDB in ``folder/tsdb`` and wait until it is ready.

    ``config`` is the text of its configuration file. One of ``flags`` that names a flag set here replaces it.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "prometheus.yml").write_text(config)
    port = port or find_free_port()
    defaults = {
        "--config.file": str(folder / "prometheus.yml"),
        "--storage.tsdb.path": str(folder / "tsdb"),
        "--web.listen-address": f"{_LOOPBACK}:{port}",
        "--storage.tsdb.retention.time": "30d",
        "--log.level": "warn",
    }
    return _start(PROMETHEUS, folder, port, _merge(programs.prometheus, defaults, flags), "/-/ready", patience)


def start_node_exporter(
    programs: Programs, folder: Path, *, flags: Sequence[str] = (), port: int | None = None, patience: float = 20.0
) -> Server:
    """Start node_exporter on this machine and wait until it answers."""
    folder = folder.resolve()
    textfiles = folder / "textfiles"
    textfiles.mkdir(parents=True, exist_ok=True)
    port = port or find_free_port()
    defaults = {
        "--collector.textfile.directory": str(textfiles) + "/",  # also makes the process known as ours
        "--web.listen-address": f"{_LOOPBACK}:{port}",
        "--log.level": "warn",
    }
    command = _merge(programs.node_exporter, defaults, flags)
    return _start(NODE_EXPORTER, folder, port, command, "/metrics", patience)


def attach(folder: Path, name: str = PROMETHEUS) -> Server | None:
    """Return the server of that name that runs in ``folder``, if there is one."""
    folder = folder.resolve()
    try:
        record = json.loads((folder / f"{name}.json").read_text())
        server = Server(name, folder, int(record["pid"]), int(record["port"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return server if server.is_running() else None


def is_running(folder: Path, name: str = PROMETHEUS) -> bool:
    """Return whether a server of that name runs in ``folder``."""
    return attach(folder, name) is not None


def find_free_port(preferred: int | None = None) -> int:
    """Return a port that nobody listens on: ``preferred`` if it is free."""
    for port in (preferred, 0) if preferred else (0,):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((_LOOPBACK, port or 0))
            return int(probe.getsockname()[1])
    raise DemoError("found no free port on the loopback, wanted one")


def _merge(program: Path, defaults: Mapping[str, str], flags: Sequence[str]) -> list[str]:
    chosen = {flag.partition("=")[0] for flag in flags}
    kept = [f"{name}={value}" for name, value in defaults.items() if name not in chosen]
    return [str(program), *kept, *flags]


def _start(name: str, folder: Path, port: int, command: Sequence[str], ready_path: str, patience: float) -> Server:
    if running := attach(folder, name):
        raise DemoError(f"found {name} running in {folder} (process {running.pid}), wanted none; stop it first")
    with (folder / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder, start_new_session=True
        )
    _children[process.pid] = process
    server = Server(name, folder, process.pid, port)
    (folder / f"{name}.json").write_text(json.dumps({"pid": process.pid, "port": port}))
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and process.poll() is None:
        if server.get(ready_path)[0] == http.HTTPStatus.OK:
            return server
        time.sleep(_POLL_SECONDS)
    ended = process.poll()
    server.stop()
    what = "not ready" if ended is None else f"ended with code {ended}"
    raise DemoError(f"{name} was {what} within {patience:g} s, wanted it ready; it said: {server.read_log_end()}")
