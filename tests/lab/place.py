"""Where one run of the lab lives: its folder, its ports and the processes that end with it."""

import http.client
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.error import URLError
from urllib.request import Request, urlopen

from tests.lab import LabUnavailable, last_lines

_STOP_SECONDS = 10.0


@dataclass(frozen=True)
class Place:
    """The lab's folder; ``home`` outlives a run, ``folder`` is new in each. Leaving it ends what was started."""

    home: Path
    folder: Path
    environment: Mapping[str, str]
    _cleanup: ExitStack = field(default_factory=ExitStack, repr=False)

    def start(
        self, name: str, command: Sequence[str | int | Path], *, environment: Mapping[str, str] | None = None
    ) -> "Running":
        """Start a program that works in a folder of its own; its output goes to ``<name>.log``."""
        log = self.folder / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [str(word) for word in command],
                env={**self.environment, **(environment or {})},
                cwd=self.work_folder(name),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._cleanup.callback(_end, process)
        return Running(name, process, log)

    def work_folder(self, name: str) -> Path:
        """Return the folder that a program works in, made if need be."""
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def short_folder(self, name: str) -> Path:
        """Return a new folder with a short path, for sockets: the kernel limits theirs to 107 bytes."""
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-"))
        self._cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
        return folder

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.close()


@dataclass(frozen=True, slots=True)
class Running:
    """A program that was started."""

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path

    def wait_for(self, url: str, holds: str = "", *, seconds: float = 240) -> None:
        """Wait until a page answers 200 and holds a text; raise ``LabUnavailable`` if it does not in time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            with suppress(OSError, URLError, http.client.HTTPException):
                if holds in call(url).decode(errors="replace"):
                    return
            time.sleep(0.3)
        ended = self.process.poll()
        found = f"gave no page {f'with {holds!r} ' if holds else ''}in time" if ended is None else f"ended with {ended}"
        raise LabUnavailable(f"{self.name} {found}; it said: {last_lines(self.log.read_bytes())}")


def call(
    url: str, body: object = None, *, method: str | None = None, headers: Mapping[str, str] | None = None
) -> bytes:
    """Return what a server of this machine answers; with ``body``, send it as JSON. Raise ``URLError``."""
    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data, {"Content-Type": "application/json", **(headers or {})}, method=method)
    with urlopen(request, timeout=20) as answer:
        return bytes(answer.read())


def call_json(url: str, **arguments: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a server's answer, read as JSON."""
    return json.loads(call(url, **arguments))


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Stop a program and all of its session, each by its id: some leave children behind."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_SECONDS)
    for pid in _of_session(process.pid):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait(_STOP_SECONDS)


def _of_session(leader: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, IndexError, ValueError):
            session = int(stat.read_text().rpartition(")")[2].split()[3])
            if session == leader:
                found.append(int(stat.parent.name))
    return found
