"""Backfill against a real Prometheus: the same commits as a snapshot's, by any number of workers, through any end."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from demo.servers import Server
from jobs.backfill import BackfillResult, Outcome, Task, _Backfill, _begin_worker
from jobs.clock import read_clock
from jobs.snapshot.result import SnapshotResult
from schemas.errors import PartialResult, PrivacyError, SourceError, UsageError
from schemas.windows import Window
from tests.jobs.bench import OPSPUB, Bench

SECOND = timedelta(seconds=1)
FULL = bool(os.environ.get("OPSCOMMONS_TEST_FULL"))  # noqa: TID251 - `make test-full` asks for the long forms
WINDOWS = 4


@pytest.fixture(scope="module")
def scraped(prometheus: Server) -> Server:
    """A server that has scraped itself for longer than the span."""
    time.sleep(WINDOWS + 2)
    return prometheus


@pytest.fixture
def span(bench: Bench, scraped: Server) -> tuple[str, ...]:
    """Four windows of a second, which the server has scraped."""
    bench.set("source", url=scraped.url)
    bench.set("collection", tables=["node", "scrape"], window="1s", step="1s", settle="0s")
    end = read_clock().replace(microsecond=0)
    return ("--start", f"{end - WINDOWS * SECOND:%FT%TZ}", "--end", f"{end:%FT%TZ}")


def commits(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what each commit says, but for who made it and when."""
    return {
        path.relative_to(folder).as_posix(): json.loads(path.read_text()) | {"run": None, "created": None}
        for path in sorted(folder.rglob("commits/**/*.json"))
    }


def start(bench: Bench, *arguments: str) -> "subprocess.Popen[str]":
    """Begin a command in the bench's folder."""
    bench.write_config()
    return subprocess.Popen(
        [OPSPUB, "--config", bench.folder / "opspub.yaml", *arguments],
        cwd=bench.folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(bench.folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until(true: Callable[[], bool]) -> None:
    patience = time.monotonic() + 60
    while not true():
        assert time.monotonic() < patience
        time.sleep(0.02)


def test_workers_make_the_commits_of_a_snapshot(bench: Bench, span: tuple[str, ...]) -> None:
    """Which command collected a window must not matter to anyone, nor how many processes did."""
    done = bench.run("snapshot", *span, "--json")
    bench.config["staging"] = "file:again"

    again = bench.run("backfill", *span, "--workers", "2", "--json")
    nothing = bench.run("backfill", *span)

    assert (done.code, again.code, nothing.code) == (0, 0, 0), again.err
    wanted = commits(bench.folder / "staging")
    assert len(wanted) == 2 * WINDOWS
    assert commits(bench.folder / "again") == wanted
    files = {path.name for path in (bench.folder / "staging/data").rglob("*.parquet")}
    assert {path.name for path in (bench.folder / "again/data").rglob("*.parquet")} == files
    said, before = json.loads(again.out), json.loads(done.out)
    assert [said[name] for name in ("commits", "rows", "windows")] == [
        before[name] for name in ("commits", "rows", "windows")
    ]
    assert nothing.out == "nothing is due in this span\n"


def test_a_killed_backfill_goes_on_where_it_ended(bench: Bench, span: tuple[str, ...]) -> None:
    """No state but the commits: nothing is lost, nothing is there twice, and no worker stays behind."""
    running = start(bench, "backfill", *span, "--workers", "2")
    wait_until(lambda: len(commits(bench.folder / "staging")) > 0)
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    running.kill()
    running.communicate()
    wait_until(lambda: not any(Path(f"/proc/{child}").exists() for child in children))
    before = (bench.folder / "staging").rglob("commits/**/*.json")
    kept = {path: path.read_bytes() for path in before}

    again = bench.run("-v", "backfill", *span)

    assert again.code == 0, again.err
    assert len(commits(bench.folder / "staging")) == 2 * WINDOWS
    assert all(path.read_bytes() == content for path, content in kept.items())
    told = [line for line in again.err.splitlines() if "backfill progress" in line]
    assert told == sorted(told, key=lambda line: line.split("window=")[1])  # the oldest window first
    assert told
    assert all("left=" in line for line in told)


@pytest.mark.skipif(not FULL, reason="a few seconds of waiting: make test-full")
def test_a_backfill_that_is_told_to_end_keeps_its_progress(bench: Bench, span: tuple[str, ...]) -> None:
    """As a snapshot does: exit 8, within ten seconds."""
    running = start(bench, "backfill", *span, "--workers", "2")
    wait_until(lambda: len(commits(bench.folder / "staging")) > 0)
    running.send_signal(signal.SIGTERM)
    _, err = running.communicate(timeout=30)

    assert running.returncode in (0, 8)  # 0: it had done the last window
    assert running.returncode == 0 or "commits are kept, the next run goes on" in err


def test_a_worker_that_waits_for_ever_is_ended() -> None:
    """A store that says nothing must not hold the backfill that was told to stop; one window's work is lost."""
    context = multiprocessing.get_context("spawn")
    event = context.Event()
    given = (event, os.getpid(), 0.1)
    with ProcessPoolExecutor(1, mp_context=context, initializer=_begin_worker, initargs=given) as pool:
        waiting = pool.submit(time.sleep, 60)
        event.set()

        with pytest.raises(BrokenProcessPool):
            waiting.result(timeout=30)


def test_what_cannot_be_is_said(bench: Bench) -> None:
    """More workers than reads allowed at the source would be more than anybody asked of it."""
    many = bench.run("backfill", "--start", "2026-11-01", "--end", "2026-11-02", "--workers", "3")
    no_span = bench.run("backfill")

    assert (many.code, no_span.code) == (2, 2)
    assert "found --workers 3; wanted 1 to limits.concurrent_reads, 2" in many.line
    assert "wanted the span to collect" in no_span.line


def a_task(number: int) -> Task:
    start = read_clock().replace(microsecond=0) + number * SECOND
    return Task(Path("nowhere"), Window(start, start + SECOND), ("node",), 1, 1.0)


def test_failed_windows_end_as_in_a_snapshot() -> None:
    """A scheduler tells by the exit code whether to try again."""

    def ended(*outcomes: Outcome) -> _Backfill:
        state = _Backfill(BackfillResult(planned=len(outcomes)), 0.0)
        for number, outcome in enumerate(outcomes):
            state.count(a_task(number), outcome, lambda done, total, what: None)
        return state

    well = Outcome(SnapshotResult(windows=1, commits=2))
    failed, refused = Outcome(SnapshotResult(), 3, "no answer"), Outcome(SnapshotResult(), 5, "no key")

    ended(well, well).raise_failures()
    with pytest.raises(PartialResult, match="1 tables were not committed and stay due, 2 were"):
        ended(well, failed).raise_failures()
    with pytest.raises(SourceError, match=r"^no answer$"):
        ended(failed, failed).raise_failures()
    with pytest.raises(PrivacyError):
        ended(well, failed, refused).raise_failures()
    with pytest.raises(UsageError):
        ended(Outcome(SnapshotResult(), 2, "another window"))


@pytest.mark.skipif(not FULL or not find_spec("distributed"), reason="needs Dask, and make test-full")
def test_a_cluster_makes_the_same_commits(bench: Bench, span: tuple[str, ...]) -> None:
    """Dask's workers are told where their configuration lies: nothing secret goes over its network."""
    done = bench.run("snapshot", *span)
    bench.config["staging"] = "file:again"
    program = (
        "import sys, time; from distributed import LocalCluster\n"
        "if __name__ == '__main__':\n"
        "    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:\n"
        "        print(cluster.scheduler_address, flush=True); sys.stdin.read()\n"
    )
    script = bench.folder / "cluster.py"
    script.write_text(program)
    with subprocess.Popen(
        [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as cluster:
        assert cluster.stdout
        assert cluster.stdin
        address = cluster.stdout.readline().strip()
        again = bench.run("backfill", *span, "--workers", "2", "--scheduler", address)
        cluster.stdin.close()

    assert (done.code, again.code) == (0, 0), again.err
    assert commits(bench.folder / "again") == commits(bench.folder / "staging")
