"""Run the real command line in children of one warm process, and end them where a test wants it.

This process imports everything once and starts no thread, so a child costs a fork and not an interpreter, and may be
killed at any instruction. It reads a request a line on stdin (``commands.Request`` as JSON) and answers with a line.
"""

import importlib
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Any, Final

CALLS: Final = ("put_new", "put", "get", "get_range", "fetch", "list", "delete", "survey", "erase")
_SIGNALS: Final = {"KILL": signal.SIGKILL, "TERM": signal.SIGTERM}


def main() -> None:
    """Answer requests until stdin ends."""
    _warm_up()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_serve(json.loads(line))) + "\n")
        sys.stdout.flush()


def _warm_up() -> None:
    for name in ("jobs.cli", "jobs.doctor", "jobs.gc", "jobs.snapshot.run", "jobs.release.run", "jobs.store.s3"):
        importlib.import_module(name)
    for name in ("run", "retract", "verify"):
        importlib.import_module(f"jobs.publish.{name}")
    importlib.import_module("collector.warm").compile_kernels()
    importlib.import_module("schemas.registry").shipped_tables()
    importlib.import_module("jobs.store.s3").S3Store("bucket", "", endpoint_url="http://127.0.0.1:1")  # asks nobody


def _serve(request: dict[str, Any]) -> list[dict[str, Any]]:
    """Start as many children as asked for at one moment; return how each ended."""
    with tempfile.TemporaryDirectory() as place:
        gate, opened = os.pipe()
        children = [_start(request, Path(place, str(number)), gate, opened) for number in range(request["count"])]
        os.close(gate)
        begun = time.monotonic()
        os.close(opened)
        return [_await(request, child, folder, begun) for child, folder in children]


def _start(request: dict[str, Any], folder: Path, gate: int, opened: int) -> tuple[int, Path]:
    folder.mkdir()
    child = os.fork()
    if child:
        return child, folder
    code = 1
    try:
        os.close(opened)
        os.read(gate, 1)  # ends when the parent lets all of them go
        code = _run(request, folder)
    finally:
        os._exit(code)


def _run(request: dict[str, Any], folder: Path) -> int:
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.update(request["environment"])  # noqa: TID251 - this is where a child gets it
    os.umask(request["umask"])
    cli = importlib.import_module("jobs.cli")
    if request["clock"]:
        _set_clock(cli, [datetime.fromisoformat(text).astimezone(UTC) for text in request["clock"]])
    for place, value in request["constants"].items():
        module, _, name = place.partition(":")
        setattr(importlib.import_module(module), name, value)
    if request["without_pauses"]:
        time.sleep = lambda _seconds: None
    _watch_calls(folder / "calls", request)
    sys.argv = ["opspub", *request["argv"]]
    code = 0
    try:
        cli.main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def _set_clock(cli: Any, instants: list[datetime]) -> None:  # noqa: ANN401 - a module
    """Let the clock say these instants one after another, and the last one for ever."""
    asked = count()
    cli.read_clock = lambda: instants[min(next(asked), len(instants) - 1)]


def _watch_calls(log: Path, request: dict[str, Any]) -> None:
    """Note every call to a store, and send the signal at the one that was asked for."""
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    numbers, lock = count(1), Lock()
    at, moment, number = request["at"], request["moment"], _SIGNALS[request["signal"]]

    def watch(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401
            with lock:
                hit = next(numbers) == at
                os.write(written, f"{name}\n".encode())
            if hit and moment == "before":
                os.kill(os.getpid(), number)
            answer = method(*arguments, **options)
            if isinstance(answer, Iterator):
                answer = iter(list(answer))
            if hit and moment == "after":
                os.kill(os.getpid(), number)
            return answer

        return call

    for place, name in (("jobs.store.folder", "FolderStore"), ("jobs.store.s3", "S3Store")):
        kind = getattr(importlib.import_module(place), name)
        for call in CALLS:
            setattr(kind, call, watch(call, getattr(kind, call)))


def _await(request: dict[str, Any], child: int, folder: Path, begun: float) -> dict[str, Any]:
    """Wait for a child, sending the signal when its time has come; one that hangs is killed and said to have hung."""
    due, hung = request["after_seconds"], False
    while True:
        ended, status, used = os.wait4(child, os.WNOHANG)
        if ended:
            break
        elapsed = time.monotonic() - begun
        if due is not None and elapsed >= due:
            os.kill(child, _SIGNALS[request["signal"]])
            due = None
        if elapsed > request["timeout"] and not hung:
            hung = True
            os.kill(child, signal.SIGKILL)
        time.sleep(0.0005)
    return {
        "code": os.waitstatus_to_exitcode(status),
        "out": (folder / "out").read_text() if (folder / "out").exists() else "",
        "err": (folder / "err").read_text() if (folder / "err").exists() else "",
        "calls": (folder / "calls").read_text().split() if (folder / "calls").exists() else [],
        "seconds": time.monotonic() - begun,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "hung": hung,
    }


if __name__ == "__main__":
    main()
