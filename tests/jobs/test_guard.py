"""A process that breaks tells where and how, and never a word of what an exception, a warning or a log record says."""

import errno
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import requests
import yaml
from google.protobuf import json_format
from pydantic import BaseModel

from collector.remote_pb2 import Chunk
from jobs.guard import describe_crash, locate_crash
from jobs.log import EventFormatter
from schemas.errors import SourceError
from tests.jobs.bench import OPSPUB, Bench

SECRET = "payroll-of-the-boss"


class Model(BaseModel):
    count: int


def out_of_a_group() -> None:
    raise ExceptionGroup(SECRET, [KeyError(SECRET), ExceptionGroup(SECRET, [ValueError(SECRET)])])


def a_dictionary() -> None:
    found: dict[str, int] = {}
    found[SECRET]


def with_causes() -> None:
    try:
        a_dictionary()
    except KeyError as error:
        error.add_note(SECRET)
        raise RuntimeError(SECRET) from SourceError(SECRET)


def closed_server() -> None:
    requests.get(f"http://127.0.0.1:1/api?query={SECRET}", timeout=1)


def a_file() -> None:
    Path(f"/nowhere/{SECRET}").read_text()


BREAKING: dict[str, tuple[str, Callable[[], Any]]] = {
    "dictionary": ("KeyError", a_dictionary),
    "pyarrow": ("pyarrow.lib.ArrowInvalid", lambda: pa.array([1, SECRET], pa.int64())),
    "pyarrow key": ("KeyError", lambda: pa.table({"a": [1]}).column(SECRET)),
    "numpy": ("ValueError", lambda: np.array([SECRET]).astype(np.float64)),
    "unicode": ("UnicodeDecodeError (start 19, end 20)", lambda: (SECRET.encode() + b"\xff").decode()),
    "json": ("json.decoder.JSONDecodeError (lineno 1, colno 1, pos 0)", lambda: json.loads(SECRET)),
    "yaml": ("yaml.scanner.ScannerError", lambda: yaml.safe_load(f"a: '{SECRET}")),
    "pydantic": ("pydantic_core._pydantic_core.ValidationError (error_count 1)", lambda: Model(count=SECRET)),  # type: ignore[arg-type]
    "protobuf": ("ValueError", lambda: Chunk(**{SECRET: 1})),  # type: ignore[arg-type]
    "protobuf JSON": ("google.protobuf.json_format.ParseError", lambda: json_format.ParseDict({SECRET: 1}, Chunk())),
    "requests": ("requests.exceptions.ConnectionError", closed_server),
    "file": (f"FileNotFoundError (errno {errno.ENOENT})", a_file),
    "group": ("ExceptionGroup", out_of_a_group),
    "causes": ("RuntimeError", with_causes),
}


def broken(breaks: Callable[[], Any]) -> Exception:
    hidden = SECRET  # a local, as careless hands might print it
    try:
        breaks()
    except Exception as error:
        return error
    raise AssertionError(f"{hidden} did not break")


@pytest.mark.parametrize("kind", BREAKING)
def test_no_library_s_exception_says_what_it_met(kind: str) -> None:
    """Each of them quotes what it could not handle, which is a label's value when it happens in a snapshot."""
    name, breaks = BREAKING[kind]
    error = broken(breaks)
    assert SECRET in f"{error!r} {error} {error.__cause__!r} {vars(error)} {getattr(error, 'object', '')!r}", (
        "this one is harmless"
    )

    told = describe_crash(error)

    assert SECRET not in told + locate_crash(error)
    assert f"\n{name}\n" in told
    assert 'File "tests/jobs/test_guard.py", line ' in told
    assert "in broken\n    breaks()\n" in told


def test_a_chain_and_a_group_are_told_whole() -> None:
    """A defect is found by where it began, which is seldom where it came out."""
    chain = describe_crash(broken(with_causes))
    group = describe_crash(broken(out_of_a_group))

    assert [line for line in chain.splitlines() if not line.startswith((" ", "opspub", "The "))] == [
        "Traceback (most recent call last):",
        "schemas.errors.SourceError",
        "which led to:",
        "Traceback (most recent call last):",
        "RuntimeError",
    ]
    assert [line for line in group.splitlines() if line.endswith(("Error", "Group"))] == [
        "ExceptionGroup",
        "KeyError",
        "ExceptionGroup",
        "ValueError",
    ]


def test_a_deep_recursion_is_told_briefly() -> None:
    def fall() -> None:
        fall()

    told = describe_crash(broken(fall))

    assert len(told.splitlines()) < 100
    assert " more ..." in told


@pytest.mark.parametrize("style", ["text", "json"])
def test_a_log_record_shows_no_text_of_foreign_things(style: Any) -> None:  # noqa: ANN401 - one of two words
    """Logs are shared more freely than data: whatever a careless line hands over, its value stays here."""
    record = logging.makeLogRecord({"name": "jobs", "msg": "it broke", "levelname": "ERROR", "args": (SECRET,)})
    record.__dict__ |= {"reason": KeyError(SECRET), "labels": {"pod": SECRET}, "several": [1, ValueError(SECRET)]}
    record.exc_info = (KeyError, broken(BREAKING["dictionary"][1]), None)

    line = EventFormatter(style).format(record)
    bare = EventFormatter(style).format(logging.makeLogRecord({"msg": ValueError(SECRET)}))

    assert SECRET not in line + bare
    assert "it broke" in line
    assert "<KeyError>" in line
    assert "KeyError at tests/jobs/test_guard.py:" in line


GUARDED = """
import atexit, gc, logging, sys, threading, warnings
from jobs.guard import guard_process
guard_process()
secret = "payroll-" + "of-the-boss"
class Cell:
    def __repr__(self): return secret
    def __del__(self): raise ValueError(secret)
def fail(): raise KeyError(secret)
thread = threading.Thread(target=fail); thread.start(); thread.join()
cell = Cell(); del cell; gc.collect()
atexit.register(fail)
warnings.warn(secret)
logging.getLogger("jobs").addHandler(logging.StreamHandler())
logging.getLogger("jobs").error("%d", secret)
raise RuntimeError(secret)
"""


def test_threads_finalizers_exit_warnings_and_the_main_thread_are_silent(tmp_path: Path) -> None:
    """Python prints an exception in many places; each has a hook of its own."""
    (tmp_path / "guarded.py").write_text(GUARDED)

    ran = subprocess.run([sys.executable, tmp_path / "guarded.py"], capture_output=True, text=True, check=False)

    assert ran.returncode == 1
    assert SECRET not in ran.stdout + ran.stderr
    told = [line for line in ran.stderr.splitlines() if line.startswith("opspub: ")]
    assert told == [
        "opspub: a thread ended unexpectedly",
        "opspub: an error that nobody could catch",
        f"opspub: UserWarning at {tmp_path.name}/guarded.py:13",
        "opspub: ended unexpectedly",
        "opspub: an error that nobody could catch",
    ]


@pytest.mark.parametrize("guarded", [True, False])
def test_a_guarded_process_leaves_no_core(tmp_path: Path, guarded: bool) -> None:
    """An image of the memory holds the key and every raw value. Without the guard there is one."""
    program = f"""
        import os, resource
        resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
        from jobs.guard import guard_process
        {"guard_process()" if guarded else ""}
        os.abort()
    """
    child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], cwd=tmp_path)
    _, status = os.waitpid(child.pid, 0)
    child.returncode = -signal.SIGABRT  # it was waited for here, to learn more than its exit code

    if not guarded and not os.WCOREDUMP(status):
        pytest.skip("this machine writes no core in any case")
    assert os.WCOREDUMP(status) is not guarded
    assert os.WTERMSIG(status) == signal.SIGABRT


def test_a_run_is_guarded_before_it_reads_its_key(bench: Bench) -> None:
    """A real snapshot that waits for its source has read settings, policy and key."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        bench.set("source", url=f"http://127.0.0.1:{server.getsockname()[1]}")
        config = bench.folder / "opspub.yaml"
        config.write_text(yaml.safe_dump(bench.config))
        with subprocess.Popen(
            [OPSPUB, "--config", config, "snapshot"], cwd=bench.folder, stderr=subprocess.PIPE
        ) as process:
            connection, _ = server.accept()
            limits = Path(f"/proc/{process.pid}/limits").read_text()
            process.send_signal(signal.SIGABRT)
            connection.close()
            process.communicate()

    assert limits[limits.index("Max core file size") :].split()[4:6] == ["0", "0"]
    assert not list(bench.folder.glob("core*"))


def test_main_guards_before_anything_else(tmp_path: Path) -> None:
    """The configuration may hold a password, so even that is read behind the guard."""
    program = """
        import ctypes, resource, sys, jobs.cli, jobs.config
        def read(path):
            print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
            raise KeyError("payroll-of-the-boss")
        jobs.config.read_settings = read
        sys.argv = ["opspub", "doctor"]
        jobs.cli.main()
    """

    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, cwd=tmp_path, check=False
    )

    assert ran.stdout == "(0, 0) 0\n"
    assert ran.returncode == 1
    assert "\nKeyError\n" in ran.stderr
    assert 'File "jobs/cli.py", line ' in ran.stderr
    assert "please report them" in ran.stderr
    assert SECRET not in ran.stderr


@pytest.mark.parametrize(("argument", "code"), [("--nonsense", 2), ("--help", 0)])
def test_a_library_that_aborts_in_its_teardown_changes_no_exit_code(tmp_path: Path, argument: str, code: int) -> None:
    """CronJobs and people go by the code; a signal in the place of 6 would send them elsewhere."""
    program = """
        import ctypes, sys, jobs.cli
        ctypes.CDLL(None).__cxa_atexit(ctypes.CDLL(None).abort, None, None)
        sys.argv = ["opspub", sys.argv[1]]
        jobs.cli.main()
    """

    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), argument],
        capture_output=True, text=True, cwd=tmp_path, check=False,
    )  # fmt: skip

    assert ran.returncode == code
    assert "opspub" in ran.stdout + ran.stderr


def test_output_that_nobody_takes_is_not_success(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run([OPSPUB, "--help"], stdout=full, stderr=subprocess.DEVNULL, cwd=tmp_path, check=False)

    assert ran.returncode not in (0, -6)
