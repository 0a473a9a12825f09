"""Collect a long span: one task for each window, the oldest first, in processes of this machine or of a Dask cluster.

The oldest goes first, unlike in a snapshot: the source forgets it first, and nobody waits for the newest window of a
backfill. A task is all due tables of one window, so that raw names stay in one process. What is done is told by the
commits alone: a backfill that was killed, or runs twice, goes on where they end.
"""

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, Final

from jobs.clock import read_clock, read_stopwatch
from jobs.config import Settings, read_settings
from jobs.guard import guard_process, locate_crash
from jobs.lean import leave_pandas_out
from jobs.registry import choose_tables
from jobs.snapshot.plan import plan_snapshot
from jobs.snapshot.result import SnapshotResult, refuse_failures
from jobs.snapshot.run import run_snapshot
from jobs.source import open_source
from jobs.store import open_store
from schemas.errors import (
    CommitConflict,
    DeadlineReached,
    PartialResult,
    PrivacyError,
    PublisherError,
    SourceError,
    StoreError,
    UsageError,
)
from schemas.windows import Window, format_duration

logger = logging.getLogger(__name__)

_BY_CODE: Final[dict[int, type[PublisherError]]] = {
    kind.exit_code: kind
    for kind in (UsageError, SourceError, PartialResult, PrivacyError, StoreError, CommitConflict, DeadlineReached)
}
_LEFT_ALONE: Final = (UsageError, StoreError)
"""What ends a backfill at once: every other window would meet it, too."""
_DEAD_WINDOWS: Final = 2
_TICK_SECONDS: Final = 0.2
PATIENCE_SECONDS: Final = 8.0
"""How long running tasks may take to break off when the process is told to stop; then they are ended."""

_stopped = threading.Event()
"""In a worker: whether its backfill was told to stop."""


@dataclass(frozen=True, slots=True)
class Task:
    """One window. ``settings`` is the configuration, or the path at which a worker elsewhere finds its own."""

    settings: Settings | Path
    window: Window
    tables: tuple[str, ...]
    reads: int
    seconds: float
    """What is left of the deadline."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a task ended: what it made and, if it failed, the exit code and the line of its error."""

    result: SnapshotResult
    exit_code: int = 0
    reason: str = ""


@dataclass
class BackfillResult(SnapshotResult):
    """What a backfill did."""

    planned: int = 0
    """Windows of the span that had something due."""


@dataclass
class _Backfill:
    result: BackfillResult
    began: float
    done: int = 0
    dead: int = 0
    errors: list[PublisherError] = field(default_factory=list)

    def count(self, task: Task, outcome: Outcome, progress: Callable[[int, int, str], None]) -> None:
        """Add what one task made, and say how long the others will take."""
        made, total = outcome.result, self.result
        for name in ("windows", "commits", "rows", "series", "bytes"):
            setattr(total, name, getattr(total, name) + getattr(made, name))
        total.failures += made.failures
        total.gaps += made.gaps
        self.done += 1
        left = (read_stopwatch() - self.began) / self.done * (total.planned - self.done)
        remaining = format_duration(timedelta(seconds=round(left)))
        logger.info(
            "backfill progress",
            extra={"window": str(task.window), "done": self.done, "of": total.planned, "left": remaining},
        )
        progress(self.done, total.planned, f"{task.window}, about {remaining} left")
        if outcome.exit_code:
            error = _BY_CODE.get(outcome.exit_code, PublisherError)(outcome.reason)
            if isinstance(error, (*_LEFT_ALONE, DeadlineReached)) or type(error) is PublisherError:
                raise error
            if not made.failures:
                total.failures.append(f"window {task.window}: {error}")
            self.errors.append(error)
        self.dead = 0 if made.commits or not outcome.exit_code else self.dead + 1

    def raise_failures(self) -> None:
        """Raise as a snapshot does: what forbids, the first error if nothing was committed, or that data lack."""
        refuse_failures(self.errors, self.result, tables=len(self.result.failures))


def run_backfill(
    settings: Settings,
    *,
    span: Window,
    only: Sequence[str] = (),
    workers: int = 1,
    scheduler: str | None = None,
    config: Path | None = None,
    progress: Callable[[int, int, str], None] = lambda done, total, what: None,
    stop: Callable[[], bool] = lambda: False,
) -> BackfillResult:
    """Collect and commit what is due in ``span``; raise what stopped it after keeping all that was committed.

    ``limits.concurrent_reads`` is for all workers together, the other limits for each. A cluster's workers find their
    own configuration at ``config``, with their own key file: nothing secret goes over its network.
    """
    reads = settings.limits.concurrent_reads
    if not 1 <= workers <= reads:
        raise UsageError(
            f"found --workers {workers}; wanted 1 to limits.concurrent_reads, {reads}: so many reads may be in flight "
            "at the source, whoever asks"
        )
    state = _Backfill(BackfillResult(), read_stopwatch())
    windows = _plan(settings, span, only)
    state.result.planned, state.result.due = len(windows), sum(len(tables) for _, tables in windows)
    if not windows:
        return state.result
    seconds = settings.limits.deadline.total_seconds()

    def make_tasks() -> Iterator[Task]:
        for window, tables in windows:
            left = state.began + seconds - read_stopwatch()
            yield Task(config if scheduler and config else settings, window, tables, max(1, reads // workers), left)

    with _open_workers(workers, scheduler, stop) as (executor, tell):
        _run_tasks(executor, settings, make_tasks(), state, workers=workers, stop=stop, tell=tell, progress=progress)
    state.raise_failures()
    return state.result


def collect_window(task: Task, stop: Callable[[], bool] | None = None) -> Outcome:
    """Collect one window in this process; return what came of it, without a word of an error that is not ours."""
    result = SnapshotResult()
    try:
        settings = read_settings(task.settings) if isinstance(task.settings, Path) else task.settings
        limits = settings.limits.model_copy(
            update={"concurrent_reads": task.reads, "deadline": timedelta(seconds=max(0.0, task.seconds))}
        )
        run_snapshot(
            settings.model_copy(update={"limits": limits}),
            clock=read_clock,
            span=task.window,
            only=task.tables,
            stop=stop or _stopped.is_set,
            result=result,
        )
    except PublisherError as error:
        return Outcome(result, error.exit_code, str(error))
    except Exception as error:
        return Outcome(result, 1, f"a defect in window {task.window}: {locate_crash(error)}")
    return Outcome(result)


def _plan(settings: Settings, span: Window, only: Sequence[str]) -> list[tuple[Window, tuple[str, ...]]]:
    """Return the due windows of the span with their tables, the oldest first."""
    now = read_clock()
    store = open_store(settings.staging, endpoint_url=settings.s3_endpoint_url)
    oldest = open_source(settings, now=now).oldest(now=now, span=span)
    plan = plan_snapshot(settings, store, choose_tables(settings, only), oldest=oldest, now=now, span=span)
    return [(window, tuple(table.table for table in tables)) for window, tables in sorted(plan.windows)]


def _run_tasks(
    executor: Executor,
    settings: Settings,
    tasks: Iterator[Task],
    state: _Backfill,
    *,
    workers: int,
    stop: Callable[[], bool],
    tell: Callable[[], None],
    progress: Callable[[int, int, str], None],
) -> None:
    """Keep as many tasks in work as there are workers, until all are done or one says that it makes no sense."""
    running: dict[Future[Outcome], Task] = {}

    def submit(count: int) -> None:
        for task in islice(tasks, count):
            running[executor.submit(collect_window, task)] = task

    submit(workers)
    told = 0.0
    while running:
        if stop() and not told:
            tell()
            told = read_stopwatch()
        finished, _ = wait(running, timeout=_TICK_SECONDS, return_when=FIRST_COMPLETED)
        for future in finished:
            task = running.pop(future)
            try:
                state.count(task, future.result(), progress)
            except DeadlineReached:
                tell()
                raise _tell_deadline(settings, state.result, told=bool(told) or stop()) from None
            except BrokenProcessPool:
                raise PublisherError(
                    f"a worker was killed in window {task.window}; what is committed is kept"
                ) from None
            except PublisherError:
                tell()
                raise
            if state.dead >= max(_DEAD_WINDOWS, workers):
                open_source(settings, now=read_clock())  # raises when it is down, else the windows fail by themselves
                state.dead = 0
            if not told:
                submit(1)
        if told and (not running or read_stopwatch() - told > PATIENCE_SECONDS):
            raise _tell_deadline(settings, state.result, told=True)


def _tell_deadline(settings: Settings, result: SnapshotResult, *, told: bool) -> DeadlineReached:
    why = "told to stop" if told else f"limits.deadline {format_duration(settings.limits.deadline)} reached"
    return DeadlineReached(f"{why}; {result.commits} of {result.due} commits are kept, the next run goes on")


@contextmanager
def _open_workers(
    workers: int, scheduler: str | None, stop: Callable[[], bool]
) -> Iterator[tuple[Executor, Callable[[], None]]]:
    """Yield what runs tasks, and what tells those in work to stop."""
    if scheduler:
        with _open_cluster(scheduler) as executor:
            yield executor, lambda: None  # a window that goes on elsewhere is committed, or not; both are well
        return
    if workers == 1:
        yield _Here(stop), lambda: None
        return
    context = multiprocessing.get_context("spawn")  # a fork would share connections
    event = context.Event()
    given = (event, os.getpid(), PATIENCE_SECONDS)
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_worker, initargs=given)
    try:
        yield pool, event.set
    finally:
        event.set()
        pool.shutdown(wait=True, cancel_futures=True)


class _Here(Executor):
    """Runs a task in this process, at once."""

    def __init__(self, stop: Callable[[], bool]) -> None:
        self._stop = stop

    def submit(self, _: Callable[..., Any], /, *args: Any, **__: Any) -> Future[Any]:  # noqa: ANN401 - as Executor has it
        """Return the future of what is done already."""
        future: Future[Any] = Future()
        future.set_result(collect_window(args[0], self._stop))
        return future


@contextmanager
def _open_cluster(scheduler: str) -> Iterator[Executor]:
    try:
        distributed: Any = import_module("distributed")
    except ImportError:
        raise UsageError(
            "--scheduler needs Dask, which is not installed here; wanted pip install 'opscommons-publisher[dask]', "
            "here and on the cluster's workers"
        ) from None
    try:
        client: Any = distributed.Client(scheduler, timeout="10s")
    except (OSError, ValueError) as error:
        raise UsageError(f"no Dask scheduler answers at {scheduler}: {type(error).__name__}") from None
    with client:
        yield client.get_executor(pure=False, retries=0)


def _begin_worker(event: Any, parent: int, patience_seconds: float) -> None:  # noqa: ANN401 - multiprocessing's own type
    """Make a fresh process a worker that ends with its backfill; a signal to both is for the backfill to act upon.

    One that still waits for a store when its patience is over ends where it is, as if it had been killed.
    """
    guard_process()
    leave_pandas_out()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)

    def watch() -> None:
        while not event.wait(_TICK_SECONDS):
            if os.getppid() != parent:
                os._exit(1)  # nobody would ever tell it to end
        _stopped.set()
        threading.Event().wait(patience_seconds)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
