"""Compare the registry with what a server offers, and propose the beginning of a table for what no table has. Pure.

It knows names alone: of metrics, of labels, and the types that the server's metadata tells; never a value of a label.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from schemas.derived import MADE_FROM
from schemas.drift import TypeCheck, check_type, find_new_labels, find_types
from schemas.label_classes import LabelCatalogue
from schemas.table import Metric, TableSchema

Metadata = Mapping[str, Collection[str]]
_NAMED: Final = 5
_TYPES: Final = frozenset({"counter", "gauge", "histogram", "summary", "info"})
_KNOWN_IDENTITIES: Final = {"namespace": "namespace", "pod": "pod", "container": "container", "node": "node"}


@dataclass(frozen=True, slots=True)
class MetricOffer:
    """A declared metric that the server has. ``dropped`` are labels that it has and that the table does not publish."""

    metric: str
    type_check: TypeCheck
    types: tuple[str, ...]
    dropped: tuple[str, ...]
    new_labels: tuple[str, ...]
    """Those of the dropped that nobody has given a class."""


@dataclass(frozen=True, slots=True)
class TableOffer:
    """One table: which of its metrics the server has, and which not."""

    table: str
    present: tuple[MetricOffer, ...]
    absent: tuple[str, ...]


def compare_table(
    table: TableSchema, names: Collection[str], metadata: Metadata, labels: Mapping[str, Collection[str]],
    catalogue: LabelCatalogue,
) -> TableOffer:  # fmt: skip
    """Return what a server offers of a table; ``labels`` has the names of the labels of each metric that is there."""
    there = [metric for metric in table.metrics if MADE_FROM.get(metric.name, metric.name) in names]
    present = tuple(_compare(table, metric, metadata, labels.get(metric.name, ()), catalogue) for metric in there)
    return TableOffer(table.table, present, tuple(each.name for each in table.metrics if each not in there))


def _compare(
    table: TableSchema, metric: Metric, metadata: Metadata, labels: Collection[str], catalogue: LabelCatalogue
) -> MetricOffer:
    types = find_types(metric.name, metadata)
    columns = [column for column in table.labels if column.name in metric.labels]
    declared = {label for column in columns for label in column.source_labels}
    dropped = tuple(sorted(set(labels) - declared - {"__name__"}))
    return MetricOffer(
        metric.name, check_type(metric, types), types, dropped, find_new_labels(metric, dropped, catalogue)
    )


def find_undeclared(tables: Collection[TableSchema], names: Collection[str]) -> tuple[str, ...]:
    """Return the metrics of a server that no table has, sorted."""
    declared = {metric.name for table in tables for metric in table.metrics}
    return tuple(sorted(set(names) - declared))


def tell_offers(offers: Sequence[TableOffer], undeclared: Sequence[str]) -> Iterator[str]:
    """Yield the lines that people read: each table, then what is wrong with it, then what no table has."""
    for offer in offers:
        yield f"{offer.table:14} {len(offer.present):3} of {len(offer.present) + len(offer.absent):3} metrics present"
        if offer.present and offer.absent:
            yield f"  absent: {_list(offer.absent)}"
        for each in offer.present:
            if each.type_check == "differs":
                yield f"  {each.metric}: the server says {' and '.join(each.types)}, not what the table declares"
        if unknown := [each.metric for each in offer.present if each.type_check == "unknown"]:
            yield f"  type unknown, since the server's metadata has no entry: {_list(unknown)}"
        if new := sorted({label for each in offer.present for label in each.new_labels}):
            yield f"  labels that nobody has seen before, dropped: {', '.join(new)}"
    if undeclared:
        prefixes = Counter(name.partition("_")[0] for name in undeclared)
        most = ", ".join(f"{prefix} ({count})" for prefix, count in prefixes.most_common(_NAMED))
        yield f"{len(undeclared)} metrics are in no table, most of them begin with {most}"
        yield "'opspub schema coverage --propose PREFIX' prints the beginning of a table for those of a prefix"


def render_proposal(
    name: str, metrics: Sequence[str], metadata: Metadata, labels: Mapping[str, Collection[str]]
) -> str:
    """Return YAML for metrics that no table has, marked unreviewed: of no label it says how it would be made safe."""
    every = sorted({label for metric in metrics for label in labels.get(metric, ())} - {"__name__"})
    lines = [
        "# Proposed from what a server offers. It is refused until somebody has said of each label what it is, or",
        '# taken it out, and then removed the line with "unreviewed". What is not named here is never published.',
        "unreviewed: true",
        f"table: {name}",
        'version: "1.0"',
        "family: ops # or ml",
        "description: To be written.",
        "labels:",
    ]
    for label in every:
        hint = _KNOWN_IDENTITIES.get(label)
        lines += [
            f"  - name: {label.lower()}",
            *([f"    label: {label}"] if label != label.lower() else []),
            f"    # one of identity:{' ' + hint if hint else ''}, vocabulary: or number: is to stand here",
            "    meaning: To be written.",
        ]
    lines += ["sort_key: []", "metrics:"]
    for metric in metrics:
        (type_, *_) = [each for each in find_types(metric, metadata) if each in _TYPES] or ["untyped"]
        own = sorted(set(labels.get(metric, ())) - {"__name__"})
        lines += [
            f"  - name: {metric}",
            f"    type: {type_}" + ("" if type_ != "untyped" else " # the server's metadata has no entry"),
            "    unit: to be written",
            "    exporter: to be written",
            "    meaning: To be written.",
            f"    labels: [{', '.join(label.lower() for label in own)}]",
        ]
    return "\n".join(lines) + "\n"


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
