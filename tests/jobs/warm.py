"""The real command line in a fork of a process that has imported everything: a run costs a tenth of an interpreter's.

``run_warm`` is what tests call. The process starts with the first run and ends with the tests. A run has folders, an
environment and streams of its own, and may be one of several at once. ``tests/e2e`` starts interpreters.
"""

import atexit
import fcntl
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODULES = ("cli", "doctor", "estimate", "gc", "keys", "snapshot.run", "release.run", "release.audited", "store.s3")
_LOCK = threading.Lock()


def run_warm(
    arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str], timeout: float
) -> tuple[int, str, str]:
    """Run ``opspub`` in a folder; return its exit code and what it said. Raise ``TimeoutError`` for one that hangs."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        os.mkfifo(place / "code")
        code = os.open(place / "code", os.O_RDONLY | os.O_NONBLOCK)
        try:
            request = {"argv": arguments, "cwd": str(folder), "environment": dict(environment), "place": name}
            with _LOCK:
                _send(request)
            if not select.select([code], [], [], timeout)[0]:
                raise TimeoutError(f"opspub {' '.join(arguments)} took over {timeout:.0f} s")
            fcntl.fcntl(code, fcntl.F_SETFL, 0)
            ended = int(os.read(code, 16))
        finally:
            os.close(code)
        return ended, *((place / stream).read_text() for stream in ("out", "err"))  # type: ignore[return-value]


def _send(request: Mapping[str, object]) -> None:
    stdin = _process().stdin
    assert stdin is not None
    stdin.write(json.dumps(request) + "\n")
    stdin.flush()


@cache
def _process() -> "subprocess.Popen[str]":
    process = subprocess.Popen([sys.executable, "-m", "tests.jobs.warm"], stdin=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdin
    atexit.register(process.stdin.close)
    return process


def main() -> None:
    """Begin a run for each line of stdin, until it ends."""
    for name in (*(f"jobs.{name}" for name in MODULES), "jobs.publish.run", "jobs.publish.verify", "anonymize.lookup"):
        importlib.import_module(name)
    importlib.import_module("jobs.lean").leave_pandas_out()
    importlib.import_module("collector.warm").compile_kernels()
    importlib.import_module("schemas.registry").shipped_tables()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        if not os.fork():
            _watch(json.loads(line))


def _watch(request: dict[str, object]) -> None:
    """Run it in a child of one's own, and tell how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if not child:
        try:
            _live(request)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    Path(str(request["place"]), "code").write_text(str(os.waitstatus_to_exitcode(status)))
    os._exit(0)


def _live(request: dict[str, object]) -> None:
    place = Path(str(request["place"]))
    begin_process(place, Path(os.devnull), Path(str(request["cwd"])), request["environment"])  # type: ignore[arg-type]
    time.tzset()
    sys.argv = ["opspub", *request["argv"]]  # type: ignore[misc]
    try:
        importlib.import_module("jobs.cli").main()
    finally:
        end_process()


def begin_process(told: Path, stdin: Path, cwd: Path, environment: Mapping[str, str]) -> None:
    """Let a fork be a process that has just begun: ``out`` and ``err`` in ``told`` take what it says."""
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(told / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.dup2(os.open(stdin, os.O_RDONLY), 0)
    sys.stdin = os.fdopen(0, "r", closefd=False)
    os.chdir(cwd)
    os.environ.clear()  # noqa: TID251 - a child's own
    os.environ.update(environment)  # noqa: TID251
    tempfile.tempdir = None


def end_process() -> None:
    """Do what an interpreter does at its end."""
    threading._shutdown()  # type: ignore[attr-defined]
    importlib.import_module("atexit")._run_exitfuncs()


if __name__ == "__main__":
    main()
