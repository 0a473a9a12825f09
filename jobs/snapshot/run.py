"""The snapshot job: plan what is due, collect it window by window, commit each table by itself."""

import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property

import pyarrow as pa

from anonymize.identity import IdentityFrame
from anonymize.keys import KeyRing, PseudonymKey, read_ring
from anonymize.pseudonyms import Pseudonymizer
from collector.grid import Grid, make_grid
from collector.pace import Timing
from collector.plan import is_last_chance, time_to_heal
from collector.scrapes import no_scrapes
from jobs.config import Settings
from jobs.kept import keep_policy
from jobs.registry import choose_tables, label_classes_of
from jobs.snapshot.collect import OpenWindow, StagedTable, TableCollector
from jobs.snapshot.commits import commit, ensure_description, put_files, wanted_description
from jobs.snapshot.drift import DriftWatch
from jobs.snapshot.gaps import NO_IDENTITIES, MetricFailed, leave_out, reason_of
from jobs.snapshot.plan import plan_snapshot
from jobs.snapshot.private import private_folder
from jobs.snapshot.result import SnapshotResult, refuse_failures
from jobs.source import OpenSource, open_source
from jobs.store import Store, open_store
from schemas.commit import CommitRecord, MetricCoverage, Span
from schemas.digest import digest
from schemas.errors import (
    CommitConflict,
    DeadlineReached,
    PrivacyError,
    SourceError,
    StoreError,
)
from schemas.policy import Policy
from schemas.registry import read_policy
from schemas.table import TableSchema
from schemas.windows import Window, format_duration, span_ms, to_ms

logger = logging.getLogger(__name__)

_DEAD_WINDOWS = 2  # windows in a row of which nothing could be read: the source is down, not a metric


def run_snapshot(
    settings: Settings,
    *,
    clock: Callable[[], datetime],
    timing: Timing | None = None,
    span: Window | None = None,
    only: Sequence[str] = (),
    progress: Callable[[int, int, str], None] = lambda done, total, what: None,
    stop: Callable[[], bool] = lambda: False,
    result: SnapshotResult | None = None,
) -> SnapshotResult:
    """Collect and commit everything that is due; raise what stopped it after keeping all that was committed.

    ``limits.deadline``, as ``timing`` tells the time, and ``stop`` end a run wherever it is, a read included: what is
    in work then is not committed. A service that is told to end does so with its progress kept. ``result`` is counted
    up as windows are committed, also for whom an error ends the run.
    """
    given = timing or Timing()
    end = given.stopwatch() + settings.limits.deadline.total_seconds()
    timing = replace(given, remaining_seconds=lambda: 0.0 if stop() else end - given.stopwatch())
    result = SnapshotResult() if result is None else result
    try:
        _take_snapshot(settings, timing, result, clock=clock, span=span, only=only, progress=progress)
    except DeadlineReached:
        why = "told to stop" if stop() else f"limits.deadline {format_duration(settings.limits.deadline)} reached"
        kept = f"{result.commits} of {result.due} commits are kept" if result.due else "nothing was begun"
        raise DeadlineReached(f"{why}; {kept}, the next run goes on") from None
    return result


def _take_snapshot(
    settings: Settings,
    timing: Timing,
    result: SnapshotResult,
    *,
    clock: Callable[[], datetime],
    span: Window | None,
    only: Sequence[str],
    progress: Callable[[int, int, str], None],
) -> None:
    started = clock()
    tables = choose_tables(settings, only)
    policy = read_policy(settings.privacy.policy)
    if problems := [problem for table in tables for problem in policy.check_table(table)]:
        raise PrivacyError(f"{problems[0]} ({len(problems)} problems in all); see 'opspub policy lint'")
    ring = read_ring(settings.privacy.key_file)
    store = open_store(settings.staging, endpoint_url=settings.s3_endpoint_url)
    source = open_source(settings, now=started, timing=timing)
    now = source.earlier_clock(started)
    oldest = source.oldest(now=now, span=span)
    ensure_description(store, wanted_description(settings.collection))
    plan = plan_snapshot(settings, store, tables, oldest=oldest, now=now, span=span)
    result.due = plan.commits
    if plan.windows:
        keep_policy(store, policy)
    run = _Run(settings, source, store, policy, ring, clock, secrets.token_hex(16), timing, result)
    run.heals_for = time_to_heal(
        retention=source.server.retention, max_catch_up=settings.collection.max_catch_up, span=span
    )
    if plan.windows:
        run.watch = DriftWatch(store, settings.source.name, label_classes_of(settings), source.metric_types())
    for done, (window, due) in enumerate(plan.windows):
        progress(done, len(plan.windows), str(window))
        run.collect_window(window, due)
    progress(len(plan.windows), len(plan.windows), "done")
    run.raise_failures()


@dataclass
class _Run:
    """One run over many windows: what stays the same, what it made, and what failed."""

    settings: Settings
    source: OpenSource
    store: Store
    policy: Policy
    ring: KeyRing
    clock: Callable[[], datetime]
    run: str
    timing: Timing = field(default_factory=Timing)
    result: SnapshotResult = field(default_factory=SnapshotResult)
    heals_for: timedelta | None = None
    """How long after its start a window that failed may be tried again."""
    errors: list[SourceError | CommitConflict | PrivacyError] = field(default_factory=list)
    dead_windows: int = 0
    watch: DriftWatch | None = None

    @cached_property
    def policy_digest(self) -> str:
        """Of the policy, which is the same for all windows."""
        return digest(self.policy)

    def collect_window(self, window: Window, tables: Sequence[TableSchema]) -> None:
        """Collect the tables of one window; a table that fails leaves the others be.

        Raise ``DeadlineReached`` when the time is up before the last of them.
        """
        try:
            key = self.ring.key_for(window)
        except PrivacyError as error:  # destroyed, or not made yet: the other windows have theirs
            self._fail(window, "all tables", error)
            return
        before = self.result.commits
        self.timing.check()
        self._collect_tables(window, tables, key)
        self.result.windows += self.result.commits > before
        self.dead_windows = 0 if self.result.commits > before else self.dead_windows + 1
        if self.dead_windows >= _DEAD_WINDOWS:
            if not self._source_answers():
                self.raise_failures()
            self.dead_windows = 0  # it answers: these windows fail by themselves, and must not starve the others

    def _collect_tables(self, window: Window, tables: Sequence[TableSchema], key: PseudonymKey) -> None:
        grid = self._grid_of(window)
        pseudonymizer = Pseudonymizer(key)
        try:
            frame = self.source.read_frame(grid)
            scrapes = self.source.read_scrapes(grid)
            present = self.source.metric_names()
        except SourceError as error:
            if not self._is_lost(window):
                self._fail(window, "all tables", error)
                return
            blind = OpenWindow(window, grid, pseudonymizer, IdentityFrame(), no_scrapes(grid))
            for table in tables:
                without = {each.name: leave_out(each.name, window, NO_IDENTITIES) for each in table.metrics}
                self._collect_table(table, blind, without)
            return
        opened = OpenWindow(window, grid, pseudonymizer, frame, scrapes, present)
        for table in tables:
            self.timing.check()
            self._collect_table(table, opened, {})

    def _grid_of(self, window: Window) -> Grid:
        collection = self.settings.collection
        return make_grid(
            window,
            step_ms=span_ms(collection.step),
            lookback_ms=span_ms(collection.lookback),
            includes_edge=self.source.server.lookback_includes_edge,
            raw=collection.timestamps == "raw",
        )

    def _is_lost(self, window: Window) -> bool:
        """Return whether what fails in this window now would be lost with it, although the source is there."""
        return is_last_chance(window, now=self.clock(), kept=self.heals_for) and self._source_answers()

    def _source_answers(self) -> bool:
        try:
            self.source.reader.api.query("vector(1)", at_ms=to_ms(self.clock()))
        except SourceError:
            return False
        return True

    def _collect_table(self, table: TableSchema, opened: OpenWindow, without: Mapping[str, MetricCoverage]) -> None:
        """Collect and commit a table, but for the metrics ``without``; those that fail join them at the last chance."""
        window = opened.window
        collector = TableCollector(self.source, table, self.policy, opened, without)
        with private_folder(self.settings.work_dir) as folder:
            try:
                staged = collector.collect(folder)
                if self.watch:
                    staged = replace(staged, coverage=self.watch.note(table, window, staged.coverage))
                put_files(self.store, {file.path: path for path, file in staged.files.items()})
                commit(self.store, self._record(staged, opened))
            except MetricFailed as failed:
                if failed.metric in without or not self._is_lost(window):
                    self._fail(window, f"table {table.table}", failed.error)
                    return
                gap = leave_out(failed.metric, window, reason_of(failed.error))
            except (SourceError, CommitConflict, PrivacyError) as error:
                self._fail(window, f"table {table.table}", error)
                return
            except (OSError, pa.ArrowException) as error:  # its text may hold a value, its type cannot
                what = getattr(error, "strerror", None) or type(error).__name__
                raise StoreError(f"a staged file cannot be written in {self.settings.work_dir}: {what}") from None
            else:
                self._count(staged, window)
                return
        # the rows of a metric that broke off are in the files already: only a new beginning leaves it out
        self._collect_table(table, opened, {**without, gap.metric: gap})

    def _count(self, staged: StagedTable, window: Window) -> None:
        table = staged.table.table
        if self.watch:
            self.watch.note_committed(staged.table, window, staged.coverage)
        self.result.commits += 1
        self.result.rows += staged.rows
        self.result.series += sum(metric.series for metric in staged.coverage)
        self.result.drift = dict(sorted(self.watch.found.items())) if self.watch else {}
        self.result.bytes += sum(file.bytes for file in staged.files.values())
        logger.info("window committed", extra={"window": str(window), "table": table, "rows": staged.rows})
        for metric in staged.coverage:
            if metric.status in ("partial", "failed"):
                self.result.gaps.append(f"table {table}, window {window}, metric {metric.metric}: {metric.reason}")
                logger.warning(
                    "window committed with a gap",
                    extra={"window": str(window), "table": table, "metric": metric.metric},
                )

    def _record(self, staged: StagedTable, opened: OpenWindow) -> CommitRecord:
        source = self.settings.source
        return CommitRecord(
            run=self.run,
            source=source.name,
            source_token=staged.source_token,
            provenance=source.provenance,
            table=staged.table.table,
            schema_version=staged.table.version,
            schema_digest=digest(staged.table),
            window=Span(start=opened.window.start, end=opened.window.end),
            files=tuple(staged.files.values()),
            key_id=opened.pseudonymizer.key_id,
            policy=self.policy.policy,
            policy_digest=self.policy_digest,
            read=self.source.read_info,
            coverage=staged.coverage,
            created=self.clock(),
        )

    def _fail(self, window: Window, what: str, error: SourceError | CommitConflict | PrivacyError) -> None:
        self.errors.append(error)
        self.result.failures.append(f"{what}, window {window}: {error}")
        logger.warning("table not committed", extra={"window": str(window), "what": what, "reason": str(error)})

    def raise_failures(self) -> None:
        """Raise what went wrong: the first error itself when nothing was committed, else that data are missing."""
        tables = sum(isinstance(error, SourceError) for error in self.errors)
        refuse_failures(self.errors, self.result, tables=tables)
