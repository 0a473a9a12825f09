"""Read from servers that watch the same targets: for each metric and window the best covered one, never two.

A querier that does not deduplicate shows its replicas as series that differ in a replica label alone; then the best
covered value of that label is chosen, by the same rule.
"""

import logging
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

from collector.client import QueryApi
from collector.connection import Access, Connection
from collector.counts import ReadPlan, Wanted
from collector.covered import Choice, Replica, find_labels, weigh
from collector.failures import Unavailable
from collector.grid import Grid
from collector.native import Block, NativeBlock
from collector.pace import Timing
from collector.promql import Matcher
from collector.reader import ReadPath, Serving, choose_reader
from collector.server import ServerInfo, check_lookback, read_server_info
from collector.split import WHOLE, Read
from schemas.errors import SourceError

HELD_SAMPLES: Final = 6_000_000
"""A read is handed on when it is complete, so that another replica may still take its place; a larger one when so much
of it is there. Chunks take 10 MB, decoded samples 100 MB."""

logger = logging.getLogger(__name__)


class Replicas:
    """A ``Reader`` over one server or more.

    A server that does not answer is passed over for as long as another one does. Threads may share it.
    """

    def __init__(
        self,
        replicas: Sequence[Replica],
        *,
        labels: Sequence[str] = (),
        matchers: Sequence[Matcher] = (),
        several: bool = False,
    ) -> None:
        """``labels`` tell replicas apart, ``matchers`` select the source; ``several`` are listed, if not all here."""
        self._replicas = tuple(replicas)
        self._several = several or len(self._replicas) > 1
        self._labels = tuple(labels)
        self._matchers = tuple(matchers)
        self._lock = threading.Lock()
        self._silent: set[int] = set()
        self._told: set[int] = set()
        self._found_labels: dict[tuple[int, Grid], tuple[str, ...]] = {}
        self._serving: dict[tuple[str, Grid], Serving] = {}

    @property
    def connection(self) -> Connection:
        """The connection to the first that answers."""
        return self._answering[0].reader.connection

    @property
    def api(self) -> QueryApi:
        """The query API of the first that answers."""
        return self._answering[0].reader.api

    @property
    def apis(self) -> Sequence[QueryApi]:
        """The query APIs of all that answer."""
        return [replica.reader.api for replica in self._answering]

    @property
    def path(self) -> ReadPath:
        """The way by which samples come from the first that answers."""
        return self._answering[0].reader.path

    def plan(self, wanted: Sequence[Wanted], grid: Grid, *, most: int) -> ReadPlan:
        """Count on the first that answers: the reads are complete and disjoint on every other, too."""
        return _ReplicatedPlan(self, {each.place: each.reader.plan(wanted, grid, most=most) for each in self._replicas})

    def count_parts(self, metric: str, plans: Mapping[int, ReadPlan]) -> tuple[Read, ...]:
        """Return the parts of a metric by the first of the replicas' plans that can tell them."""
        failures: list[SourceError] = []
        for replica in self._answering:
            try:
                return plans[replica.place].parts(metric)
            except SourceError as error:
                failures.append(self._pass_over(replica, error))
        raise failures[0]

    def read(
        self, metric: str, matchers: Sequence[Matcher], grid: Grid, parts: Sequence[Read] = WHOLE
    ) -> Generator[Block, None, None]:
        """Yield the series of a metric from the best covered replica; where it fails, from the next best."""
        *better, last = self._rank(metric, matchers, grid)
        for choice in better:
            with closing(self._read(choice, metric, matchers, grid, parts)) as blocks:
                try:
                    held = _hold(blocks)
                except SourceError as error:
                    self._pass_over(choice.replica, error)
                    continue
                self._note(metric, grid, choice)
                yield from held
                yield from blocks
                return
        self._note(metric, grid, last)
        yield from self._read(last, metric, matchers, grid, parts)

    def _read(
        self, choice: Choice, metric: str, matchers: Sequence[Matcher], grid: Grid, parts: Sequence[Read]
    ) -> Generator[Block, None, None]:
        return choice.replica.reader.read(metric, (*matchers, *choice.matchers), grid, parts)

    def serving(self, metric: str, grid: Grid) -> Serving:
        """Return the replica that gave a metric; before it is read, the first that answers."""
        return self._serving.get((metric, grid)) or Serving(self._answering[0].reader)

    def choose(self, metric: str, matchers: Sequence[Matcher], grid: Grid) -> Serving:
        """Return the best covered replica of a metric."""
        return self._rank(metric, matchers, grid)[0].serving

    @property
    def _answering(self) -> tuple[Replica, ...]:
        return tuple(each for each in self._replicas if each.place not in self._silent) or self._replicas

    def _pass_over(self, replica: Replica, error: SourceError) -> SourceError:
        with self._lock:
            if isinstance(error, Unavailable):
                self._silent.add(replica.place)
            news = self._several and replica.place not in self._told
            self._told.add(replica.place)
        if news:
            place = replica.reader.connection.place
            logger.warning("replica passed over", extra={"place": place, "reason": str(error)})
        return error

    def _note(self, metric: str, grid: Grid, choice: Choice) -> None:
        with self._lock:
            if any(known != grid for _, known in self._serving):
                self._serving.clear()  # what nobody asked about in its window is not going to be asked about
            self._serving[metric, grid] = choice.serving

    def _rank(self, metric: str, matchers: Sequence[Matcher], grid: Grid) -> list[Choice]:
        """Return the replicas that answer, the best covered first, of equals the first listed."""
        failures: list[SourceError] = []
        choices: list[Choice] = []
        for replica in self._answering:
            try:
                choices.append(self._weigh(replica, metric, matchers, grid))
            except SourceError as error:
                failures.append(self._pass_over(replica, error))
        if not choices:
            raise failures[0]
        return sorted(choices, key=lambda choice: -choice.samples)

    def _weigh(self, replica: Replica, metric: str, matchers: Sequence[Matcher], grid: Grid) -> Choice:
        number = replica.place if self._several else None
        labels = self._labels_of(replica, grid)
        if not labels and len(self._answering) == 1:
            return Choice(replica, number, 0)  # nothing to choose from, so nothing to count
        return weigh(replica, metric, matchers, grid, labels=labels, number=number)

    def _labels_of(self, replica: Replica, grid: Grid) -> tuple[str, ...]:
        if not self._labels:
            return ()
        key = (replica.place, grid)
        with self._lock:
            found = self._found_labels.get(key)
        if found is None:
            found = find_labels(replica, self._labels, self._matchers, grid)
            with self._lock:
                self._found_labels = {known: those for known, those in self._found_labels.items() if known[1] == grid}
                self._found_labels[key] = found
        return found


@dataclass(frozen=True)
class _ReplicatedPlan:
    replicas: Replicas
    plans: Mapping[int, ReadPlan]

    def parts(self, metric: str) -> tuple[Read, ...]:
        """See ``ReadPlan``."""
        return self.replicas.count_parts(metric, self.plans)


def open_replicas(
    accesses: Sequence[Access],
    mode: Literal["auto", "remote-read", "http"],
    *,
    lookback: timedelta,
    now_ms: int,
    timing: Timing | None = None,
    labels: Sequence[str] = (),
    matchers: Sequence[Matcher] = (),
) -> tuple[Replicas, ServerInfo]:
    """Connect to servers that watch the same; return their reader, and what the first that answers says of itself.

    One that does not answer, or that the first one's way of reading does not suit, is passed over. Raises
    ``SourceError`` when none is left, ``UsageError`` when one looks back farther than ``lookback``, or less far.
    """
    found: list[Replica] = []
    failures: list[SourceError] = []
    first: ServerInfo | None = None
    for place, access in enumerate(accesses):
        connection = Connection(access, timing)
        try:
            info = read_server_info(connection)
            check_lookback(info, lookback)
            if first and info.lookback_includes_edge != first.lookback_includes_edge:
                raise SourceError(f"{connection.place} has another rule for what a query sees than the first replica")
            reader = choose_reader(connection, found[0].reader.path if found else mode, now_ms=now_ms)
        except SourceError as error:
            failures.append(error)
            if len(accesses) > 1:
                logger.warning("replica passed over", extra={"place": connection.place, "reason": str(error)})
            continue
        found.append(Replica(place, reader))
        first = first or info
    if first is None:
        raise failures[0]
    return Replicas(found, labels=labels, matchers=matchers, several=len(accesses) > 1), first


def _hold(blocks: Iterator[Block]) -> list[Block]:
    """Return all blocks, or so many that no more should be held."""
    held: list[Block] = []
    samples = 0
    for block in blocks:
        held.append(block)
        # a histogram may be as large as a hundred floats, which take two bytes each
        samples += block.nbytes // 2 if isinstance(block, NativeBlock) else int(block.most.sum())
        if samples >= HELD_SAMPLES:
            break
    return held
