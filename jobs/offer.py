"""Ask a live server what it offers: names of metrics, their types, and the names of their labels. Reads no sample."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from collector.promql import render_selector
from jobs.config import Settings
from jobs.registry import label_classes_of, registry_of
from jobs.source import OpenSource, open_source
from schemas.derived import is_derived
from schemas.errors import UsageError
from schemas.offer import TableOffer, compare_table, find_undeclared, render_proposal
from schemas.windows import span_ms, to_ms

MOST_PROPOSED: Final = 100
"""Nobody reviews more at once."""


@dataclass(frozen=True)
class Offer:
    """What a server offers of every table, and what no table has."""

    tables: tuple[TableOffer, ...]
    undeclared: tuple[str, ...]


def compare_offer(settings: Settings, *, now: datetime) -> Offer:
    """Return how the registry fits the configured source, by the series of the last window."""
    source, registry = open_source(settings, now=now), registry_of(settings)
    names = _names_of(source, settings, now)
    metadata = source.metric_types() or {}
    tables = registry.latest.values()
    declared = [metric.name for table in tables for metric in table.metrics if metric.name in names]
    labels = {name: _labels_of(source, settings, name, now) for name in declared if not is_derived(name)}
    catalogue = label_classes_of(settings)
    offers = tuple(compare_table(table, names, metadata, labels, catalogue) for table in tables)
    return Offer(offers, find_undeclared(tables, names))


def propose_table(settings: Settings, prefix: str, *, now: datetime) -> str:
    """Return YAML for the metrics of the source that begin with a prefix and that no table has."""
    source = open_source(settings, now=now)
    undeclared = find_undeclared(registry_of(settings).latest.values(), _names_of(source, settings, now))
    metrics = [name for name in undeclared if name.startswith(prefix)]
    if not metrics:
        raise UsageError(f"the source has no metric that begins with {prefix} and that no table has")
    if len(metrics) > MOST_PROPOSED:
        raise UsageError(f"{len(metrics)} metrics begin with {prefix}; wanted a prefix of {MOST_PROPOSED} at most")
    labels = {name: _labels_of(source, settings, name, now) for name in metrics}
    name = prefix.strip("_:").lower().replace(":", "_") or "proposed"
    return render_proposal(name, metrics, source.metric_types() or {}, labels)


def _names_of(source: OpenSource, settings: Settings, now: datetime) -> Sequence[str]:
    """Return the metrics of the source alone: a server may hold others beside it."""
    matchers = ",".join(map(str, source.matchers))
    selector = f'{{__name__!=""{"," if matchers else ""}{matchers}}}'
    return source.reader.api.label_values("__name__", selector, **_span(settings, now))


def _labels_of(source: OpenSource, settings: Settings, metric: str, now: datetime) -> Collection[str]:
    found = source.reader.api.label_names(render_selector(metric, source.matchers), **_span(settings, now))
    return set(found) - source.ignored_labels


def _span(settings: Settings, now: datetime) -> dict[str, int]:
    end = to_ms(now)
    return {"start_ms": end - span_ms(settings.collection.window + settings.collection.settle), "end_ms": end}
