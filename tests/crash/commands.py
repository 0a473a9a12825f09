"""Ask the warm process (``forked``) to run commands, and hear how they ended."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).parents[2]
Moment = Literal["before", "after"]


@dataclass(frozen=True)
class Request:
    """One command line, and what shall happen to the process that runs it."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    clock: tuple[str, ...] = ()
    """What the clock says, one after another; the real one when empty."""
    at: int | None = None
    """Number of the call to a store at which the signal is sent."""
    moment: Moment = "before"
    after_seconds: float | None = None
    """When the signal is sent, wherever the process is."""
    signal: Literal["KILL", "TERM"] = "KILL"
    count: int = 1
    """How many processes do it at one moment."""
    constants: Mapping[str, object] = field(default_factory=dict)
    """Constants of the program by ``module:name``, for what would take minutes otherwise."""
    without_pauses: bool = False
    umask: int = 0o022
    timeout: float = 60


@dataclass(frozen=True)
class Ended:
    """How a process ended, and what it said."""

    code: int
    """Its exit code; negative when a signal ended it."""
    out: str
    err: str
    calls: tuple[str, ...]
    """Its calls to stores."""
    seconds: float
    cpu_seconds: float

    @property
    def killed(self) -> bool:
        """Whether SIGKILL ended it."""
        return self.code == -9

    @property
    def line(self) -> str:
        """The one line on stderr; fails when there is another number of lines, or a traceback."""
        assert "Traceback" not in self.err
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        return lines[0].removeprefix("opspub: ")

    @property
    def result(self) -> dict[str, Any]:
        """What ``--json`` said."""
        return dict(json.loads(self.out))


class WarmProcess:
    """The process whose children run commands."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.forked"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._hear() == "ready"

    def run(self, request: Request) -> Ended:
        """Run one command and return how it ended."""
        (ended,) = self.run_all(request)
        return ended

    def run_all(self, request: Request) -> Sequence[Ended]:
        """Run a command in as many processes as the request says, all let go at once."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps(asdict(request)) + "\n")
        self._process.stdin.flush()
        found = []
        for answer in json.loads(self._hear()):
            assert not answer.pop("hung"), f"{request.argv} hung; it said: {answer['err']}"
            found.append(Ended(**{**answer, "calls": tuple(answer["calls"])}))
        return found

    def stop(self) -> None:
        """End it."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()

    def _hear(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, "the warm process ended"
        return line.rstrip("\n")


def as_text(instant: datetime) -> str:
    """Return an instant as commands take it."""
    return f"{instant:%Y-%m-%dT%H:%M:%SZ}"
