"""Run the real command line in children of one warm process, each with one stage that breaks while canaries are live.

A child has a working folder, HOME and TMPDIR of its own, so that all it writes can be found. It reads a request a line
on stdin (``Request`` as JSON) and answers with its exit code.
"""

import importlib
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from tests.jobs.warm import begin_process, end_process

FOLDERS: Final = ("cwd", "home", "tmp")
_EXIT: Final = 120


@dataclass(frozen=True)
class Request:
    """One child: its folder, arguments, stdin, and what breaks how (``ERRORS``) with which text; or what kills it."""

    folder: str
    argv: Sequence[str]
    stage: str = ""
    error: str = ""
    secret: str = ""
    stdin: str = ""


@dataclass
class Breaker:
    """The warm process, from outside."""

    process: Any

    def run(self, request: Request) -> int:
        """Return the exit code of a child, negative for a signal; what it said is in ``out`` and ``err`` there."""
        self.process.stdin.write(json.dumps(asdict(request)) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


def _quote(kind: type[Exception]) -> Callable[[str], Exception]:
    return lambda text: kind(f"Could not convert {text!r}")


def _arrow(text: str) -> Exception:
    return _raised(lambda: importlib.import_module("pyarrow").array([1, text], "int64"))


def _invalid(text: str) -> Exception:
    return _raised(lambda: importlib.import_module("jobs.config").Collection.model_validate({"window": text}))


def _response(text: str) -> Exception:
    return _raised(lambda: importlib.import_module("requests").get(f"http://127.0.0.1:1/?query={text}", timeout=1))


def _noted(text: str) -> Exception:
    inner = ExceptionGroup(text, [ValueError(text), OSError(5, text, text)])
    inner.add_note(text)
    error = RuntimeError(text)
    error.__cause__ = inner
    return error


def _raised(breaks: Callable[[], Any]) -> Exception:
    try:
        breaks()
    except Exception as error:
        return error
    raise AssertionError("nothing broke")


ERRORS: Final[dict[str, Callable[[str], Exception]]] = {
    "ArrowInvalid": _arrow,
    "KeyError": KeyError,
    "ValueError": _quote(ValueError),
    "TypeError": _quote(TypeError),
    "OSError": lambda text: OSError(28, "No space left on device", f"/folder/{text}"),
    "UnicodeDecodeError": lambda text: UnicodeDecodeError("utf-8", text.encode(), 0, 1, text),
    "ValidationError": _invalid,
    "ConnectionError": _response,
    "groups and causes": _noted,
    "MemoryError": MemoryError,
    "RecursionError": RecursionError,
}


def main() -> None:
    """Answer requests until stdin ends."""
    for name in ("cli", "cli_keys", "doctor", "estimate", "scheduler", "keys", "snapshot.run", "release.run"):
        importlib.import_module(f"jobs.{name}")
    for name in ("anonymize.lookup", "jobs.publish.run", "jobs.release.audited", "jobs.publish.verify"):
        importlib.import_module(name)
    importlib.import_module("collector.warm").compile_kernels()
    importlib.import_module("schemas.registry").shipped_tables()
    for line in sys.stdin:
        request = Request(**json.loads(line))
        child = os.fork()
        if not child:
            _live(request)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _live(request: Request) -> None:
    """Be a process that has just begun: its own folders, streams and environment, then the command, then its end."""
    folder = Path(request.folder)
    for name in FOLDERS:
        (folder / name).mkdir(exist_ok=True)
    stdin = folder / "in"
    stdin.write_text(request.stdin)
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp")}
    begin_process(folder, stdin, folder / "cwd", environment)
    stdin.unlink()
    code = _EXIT
    try:
        if request.stage:
            _break(request.stage, request.error, request.secret)
        if "serve" in request.argv:
            _end_after_one_run()
        sys.argv = ["opspub", *request.argv]
        importlib.import_module("jobs.cli").main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    finally:
        end_process()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _break(stage: str, error: str, secret: str) -> None:
    """Let ``module:attribute`` raise, or kill the process, when it is called for the first time."""
    place, _, path = stage.partition(":")
    owner: Any = importlib.import_module(place)
    *outer, name = path.split(".")
    for each in outer:
        owner = getattr(owner, each)

    def broken(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - in the place of anything
        hidden = secret  # as locals hold what was worked on
        if error == "SIGKILL":
            os.kill(os.getpid(), signal.SIGKILL)
        raise ERRORS[error](hidden)

    assert hasattr(owner, name), f"{stage} is gone"
    setattr(owner, name, broken)


def _end_after_one_run() -> None:
    """Let the long-running mode end when its first run has."""
    health = importlib.import_module("jobs.health").Health
    for name in ("failed", "succeeded"):
        counted = getattr(health, name)

        def count(*arguments: Any, counted: Callable[..., None] = counted, **options: Any) -> None:  # noqa: ANN401
            counted(*arguments, **options)
            os.kill(os.getpid(), signal.SIGTERM)

        setattr(health, name, count)


if __name__ == "__main__":
    main()
