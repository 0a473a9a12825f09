"""Collect one table of one window: read, pseudonymise, write sorted runs, read them back, scan, commit."""

import hashlib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import groupby
from pathlib import Path
from threading import Lock
from typing import Final

import pyarrow as pa

from anonymize.audit.grammar import build_grammar
from anonymize.audit.raworder import NamesOf, check_raw_order
from anonymize.audit.rawscan import scan_staged
from anonymize.identity import IdentityFrame
from anonymize.pseudonyms import Pseudonymizer
from anonymize.transform import Report, TableAnonymizer, searched_addresses, source_token
from collector.ahead import read_ahead, read_in_order
from collector.counts import ReadPlan, Wanted, list_wanted
from collector.coverage import count_samples
from collector.grid import Grid
from collector.native import Block
from collector.scrapes import ScrapeTimes
from jobs.guard import failing_closed
from jobs.snapshot.commits import data_key
from jobs.snapshot.gaps import MetricFailed
from jobs.snapshot.runs import Form, RunStart, RunWriter
from jobs.snapshot.series import MetricRuns
from jobs.snapshot.workloads import PodSource, Workloads, read_workloads
from jobs.source import OpenSource, refuse_unframed
from schemas.commit import CommitFile, MetricCoverage, RawOrder, RawScan
from schemas.derived import MADE_FROM, is_derived
from schemas.errors import PrivacyError, SourceError
from schemas.policy import Policy
from schemas.raw import Raw
from schemas.table import TableSchema
from schemas.windows import Window
from schemas.workload_kinds import read_workload_rules

_Piece = tuple[str, Block | None]
_ONE_AT_A_TIME: Final = Lock()

PROCESS_BYTES: Final = 320 << 20
"""What a process takes beside its reads: the libraries, and the row groups on their way into files."""
READ_BYTES: Final = 64 << 20
"""What one read in flight may hold: a block that is gathered, one that waits and one in work, with their labels."""


def reads_at_once(concurrent_reads: int, memory_bytes: int) -> int:
    """Return how many reads may be in flight: as many as allowed and as have room, but one at least.

    >>> reads_at_once(4, 512 << 20), reads_at_once(4, 1 << 30), reads_at_once(2, 1)
    (3, 4, 1)
    """
    return max(1, min(concurrent_reads, (memory_bytes - PROCESS_BYTES) // READ_BYTES))


@dataclass(frozen=True)
class StagedTable:
    """The finished local files of one table and window, and what is known of them."""

    table: TableSchema
    source_token: str
    files: Mapping[Path, CommitFile]
    coverage: tuple[MetricCoverage, ...]

    @property
    def rows(self) -> int:
        """All rows."""
        return sum(file.rows for file in self.files.values())


@dataclass(frozen=True)
class OpenWindow:
    """What the tables of a window share: its grid, who is who in it, what was scraped, and whom it hides under."""

    window: Window
    grid: Grid
    pseudonymizer: Pseudonymizer
    frame: IdentityFrame
    scrapes: ScrapeTimes
    present: frozenset[str] | None = None
    """Metrics that the source may have in the window; the others are not read. ``None``: nobody can tell."""


@dataclass(frozen=True)
class TableCollector:
    """Collects one table of one window into a private folder."""

    source: OpenSource
    table: TableSchema
    policy: Policy
    opened: OpenWindow
    without: Mapping[str, MetricCoverage] = field(default_factory=dict)
    """Metrics that are not read, with the coverage that says why."""

    def collect(self, folder: Path) -> StagedTable:
        """Read every metric and write, scan and name the files; raise ``MetricFailed`` with the first that fails."""
        name = self.source.settings.source.name
        anonymizer = TableAnonymizer(
            table=self.table,
            policy=self.policy,
            pseudonymizer=self.opened.pseudonymizer,
            source=name,
            frame=self.opened.frame,
            ignored_labels=self.source.ignored_labels,
        )
        raw_values = searched_addresses(self.opened.frame)
        coverage: list[MetricCoverage] = []
        with (
            RunWriter(folder, self.table) as writer,
            closing(read_ahead(self._read_runs(anonymizer, raw_values, coverage), depth=1)) as pieces,
        ):
            for piece in pieces:
                if isinstance(piece, RunStart):
                    writer.begin(piece)
                else:
                    writer.add(piece)
        found = {
            path: self._scan(path, rows, writer.forms[path], raw_values, anonymizer.names_of)
            for path, rows in writer.files.items()
        }
        # as they came, runs of one metric stand in the order of the raw names at which they were cut
        files = dict(sorted(found.items(), key=lambda pair: pair[1].path))
        coverage = sorted((*coverage, *self.without.values()), key=lambda entry: entry.metric)
        return StagedTable(self.table, source_token(self.opened.pseudonymizer, name), files, tuple(coverage))

    def _read_runs(
        self, anonymizer: TableAnonymizer, raw_values: Raw[set[str]], coverage: list[MetricCoverage]
    ) -> Iterator[RunStart | pa.RecordBatch]:
        """Yield the sorted runs of all metrics; note every raw value seen, and how each metric ended."""
        opened = self.opened
        listed = list_wanted(self.table, self.source.matchers)
        wanted = {each.metric: each for each in listed if each.metric not in self.without}
        if opened.present is not None:
            for name in {each for each in wanted if MADE_FROM.get(each, each) not in opened.present}:
                coverage.append(MetricRuns(self.table.metric(name), anonymizer, opened.grid, opened.scrapes).coverage())
                del wanted[name]
        with closing(self._read_metrics(tuple(wanted.values()))) as pieces:
            for name, group in groupby(pieces, key=lambda piece: piece[0]):
                runs = MetricRuns(
                    self.table.metric(name),
                    anonymizer,
                    opened.grid,
                    opened.scrapes,
                    Report(raw_values=raw_values),
                )
                try:
                    for _, block in group:
                        if block is not None:
                            if self._names_hosts:
                                refuse_unframed(opened.frame, self.table.table)
                            yield from runs.make(block)
                    self._estimate_received(wanted[name], runs)
                except SourceError as error:
                    raise MetricFailed(name, error) from None
                replica = self.source.reader.serving(name, opened.grid).replica
                coverage.append(replace(runs.coverage(), replica=replica))

    def _read_metrics(self, wanted: Sequence[Wanted]) -> Generator[_Piece, None, None]:
        """Yield the blocks of every metric, one metric behind another, each begun by a piece without a block."""
        limits = self.source.settings.limits
        asked = [each for each in wanted if not is_derived(each.metric)]
        plan = self.source.reader.plan(asked, self.opened.grid, most=limits.max_series_per_read)
        reads: list[Callable[[], Iterator[_Piece]]] = [partial(self._read_metric, each, plan) for each in wanted]
        return read_in_order(reads, at_once=reads_at_once(limits.concurrent_reads, limits.memory))

    def _read_metric(self, wanted: Wanted, plan: ReadPlan) -> Iterator[_Piece]:
        yield wanted.metric, None
        if is_derived(wanted.metric):
            yield wanted.metric, self._workloads.blocks.get(wanted.metric)
            return
        parts = plan.parts(wanted.metric)
        for block in self.source.reader.read(wanted.metric, wanted.matchers, self.opened.grid, parts):
            yield wanted.metric, block

    @cached_property
    def _workloads(self) -> Workloads:
        with _ONE_AT_A_TIME:  # reads run side by side, and one reading serves all of them
            return self._read_workloads

    @cached_property
    def _read_workloads(self) -> Workloads:
        source = PodSource(
            self.source.reader,
            self.source.matchers,
            replace(self.opened.grid, raw=False),
            self.opened.scrapes,
            self.source.settings.limits.max_series_per_read,
            self.opened.present,
        )
        return read_workloads(source, read_workload_rules(), public_namespaces=self.policy.public_words("namespace"))

    def _estimate_received(self, wanted: Wanted, runs: MetricRuns) -> None:
        """Count the raw samples of a metric that came by the query API, which shows grid points alone."""
        metric = MADE_FROM.get(wanted.metric, wanted.metric)
        serving = self.source.reader.serving(metric, self.opened.grid)
        if serving.reader.path == "http":
            matchers = (*wanted.matchers, *serving.matchers)
            runs.counter.estimate(count_samples(serving.reader.api, metric, matchers, self.opened.grid))

    @property
    def _names_hosts(self) -> bool:
        return any(column.identity and self.policy.domains[column.identity].unmatched for column in self.table.labels)

    def _scan(self, path: Path, rows: int, form: Form, raw_values: Raw[set[str]], names_of: NamesOf) -> CommitFile:
        """Hash a finished file and search it for every raw value and for their order, as it lies on the disk."""
        place = f"staged file of table {self.table.table}"
        content = path.read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        key = data_key(self.source.settings.source.name, self.table, self.opened.window, sha256)
        with failing_closed(f"the search of table {self.table.table} for raw values"):
            findings = scan_staged(
                path,
                place=place,
                names=(path.name, key.rpartition("/")[2]),
                raw_values=raw_values,
                grammar=build_grammar(self.table, self.policy, native=form == "native"),
            )
            order = check_raw_order(path, place=place, table=self.table, names_of=names_of)
        if findings := [*findings, *order.findings]:
            raise PrivacyError(f"{findings[0]}; {len(findings)} findings in all; nothing of it was committed")
        return CommitFile(
            path=key,
            sha256=sha256,
            bytes=len(content),
            rows=rows,
            raw_scan=RawScan(searched=len(raw_values), hits=0),
            raw_order=RawOrder(compared=order.compared, follows=0),
            form=form,
        )
