"""Notice what changed at the source: a metric that vanished, another type, a label that nobody has seen before.

Nothing is refused for it: what a schema declares is collected as ever, and what it does not declare is dropped as
ever. The commit keeps what was noticed, with the names of labels; logs and public files have their number.
"""

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from jobs.snapshot.commits import read_commit
from jobs.store import Store
from schemas.commit import MetricCoverage
from schemas.drift import check_type, find_new_labels, find_types
from schemas.label_classes import LabelCatalogue
from schemas.table import TableSchema
from schemas.windows import Window, from_ms

logger = logging.getLogger(__name__)

_NAMED = 3
"""So many metrics a line of the log names; the commit has them all."""


@dataclass
class DriftWatch:
    """Compares what one run collects with the schemas, the server's metadata and the window before."""

    store: Store
    source: str
    catalogue: LabelCatalogue
    metadata: Mapping[str, Collection[str]] | None
    """Types by metric, as the server tells them; ``None`` when it does not."""
    found: Counter[str] = field(default_factory=Counter)
    """How many metrics vanished, have another or an unknown type, and how many labels are new: each once a run."""
    _before: dict[tuple[str, int], tuple[Window, frozenset[str]]] = field(default_factory=dict)
    """By table, the window that this run committed last, and its metrics with series: the next need not be read."""
    _told: set[tuple[str, str, str]] = field(default_factory=set)
    _news: dict[str, list[str]] = field(default_factory=dict)
    """What the log has not told yet: names by what happened to them."""

    def note(
        self, table: TableSchema, window: Window, coverage: Iterable[MetricCoverage]
    ) -> tuple[MetricCoverage, ...]:
        """Return the coverage of a window with what changed in it."""
        had = self._had_series(table, window)
        noted = tuple(self._note(table, entry, had) for entry in coverage)
        self._log(table)
        return noted

    def note_committed(self, table: TableSchema, window: Window, coverage: Iterable[MetricCoverage]) -> None:
        """Remember what a window has, once it is committed."""
        self._before[table.table, table.major] = (window, _with_series(coverage))

    def _note(self, table: TableSchema, entry: MetricCoverage, had: Collection[str]) -> MetricCoverage:
        metric = table.metric(entry.metric)
        types = find_types(entry.metric, self.metadata or {}) if entry.series else ()
        vanished = entry.status == "empty" and entry.metric in had
        labels = find_new_labels(metric, entry.dropped_labels, self.catalogue)
        if vanished:
            self._tell(table, metric.name, "vanished")
        if entry.series:
            checked = check_type(metric, types)
            if checked != "same":
                self._tell(table, metric.name, "type differs" if checked == "differs" else "type unknown")
        for label in labels:
            self._tell(table, label, "new labels")
        return replace(entry, types=types, vanished=vanished, new_labels=labels)

    def _had_series(self, table: TableSchema, window: Window) -> frozenset[str]:
        """Return the metrics that had series in the window before, if that was committed."""
        before = Window(from_ms(2 * window.start_ms - window.end_ms), window.start)
        window_before, metrics = self._before.get((table.table, table.major), (None, frozenset[str]()))
        if window_before == before:
            return metrics
        record = read_commit(self.store, self.source, table, before)
        return _with_series(record.coverage) if record else frozenset()

    def _tell(self, table: TableSchema, name: str, what: str) -> None:
        if (table.table, name, what) in self._told:
            return
        self._told.add((table.table, name, what))
        self.found[what] += 1
        self._news.setdefault(what, []).append(name)

    def _log(self, table: TableSchema) -> None:
        """Tell what is new in a line of each kind: with the last pod of an exporter all of its metrics vanish."""
        for what, names in self._news.items():
            if what == "new labels":  # their names may be somebody's own, and logs are read by more people than commits
                logger.info(
                    "labels that nobody has classed were dropped", extra={"table": table.table, "count": len(names)}
                )
            elif what != "type unknown":
                more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
                named = ", ".join(sorted(names)[:_NAMED]) + more
                logger.warning(
                    "metrics have changed at the source", extra={"table": table.table, "what": what, "metrics": named}
                )
        self._news.clear()


def _with_series(coverage: Iterable[MetricCoverage]) -> frozenset[str]:
    return frozenset(entry.metric for entry in coverage if entry.series)
