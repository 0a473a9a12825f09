"""Compare versions of a table: within a major version readers may only find more, never less or other. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from pydantic import BaseModel

from schemas.table import LabelColumn, Metric, TableSchema

WORDS = frozenset({"meaning", "description", "exporter"})
"""Fields that explain: a new minor version may say them better."""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two versions of a table."""

    place: str
    what: str
    breaking: bool
    """Whether only a new major version may do it."""

    def __str__(self) -> str:
        return f"{self.place}: {self.what}"


def compare_tables(older: TableSchema, newer: TableSchema) -> tuple[Change, ...]:
    """Return every difference but the version itself, in the order of the older schema."""
    return (
        *_compare_fields(f"table {older.table}", older, newer, skip={"version", "labels", "metrics"}),
        *_compare_columns(older, newer),
        *_compare_metrics(older, newer),
    )


def check_registry(tables: Iterable[TableSchema]) -> list[str]:
    """Return where a minor version does more than add to the one before it."""
    found = []
    ordered = sorted(tables, key=lambda schema: (schema.table, schema.major, schema.minor))
    for (table, major), versions in groupby(ordered, key=lambda schema: (schema.table, schema.major)):
        for older, newer in pairwise(versions):
            if older.minor == newer.minor:
                found.append(f"table {table} has version {newer.version} twice; wanted each version once")
            found += [
                f"table {table} {newer.version} is not compatible with {older.version}: {change}"
                f" (a minor version only adds: undo it, or name the version {major + 1}.0)"
                for change in compare_tables(older, newer)
                if change.breaking
            ]
    return found


def _compare_columns(older: TableSchema, newer: TableSchema) -> Iterator[Change]:
    before, after = ({column.name: column for column in each.labels} for each in (older, newer))
    added = [column for name, column in after.items() if name not in before]
    for name, column in before.items():
        if name in after:
            yield from _compare_fields(f"column {name}", column, after[name], skip={"also"})
            yield from _compare_sources(column, after[name])
        else:
            yield Change(f"column {name}", _tell_loss(column, added), breaking=True)
    yield from (Change(f"column {column.name}", "added", breaking=False) for column in added)
    yield from _compare_order(f"table {older.table}", "label columns", tuple(before), tuple(after))


def _compare_sources(older: LabelColumn, newer: LabelColumn) -> Iterator[Change]:
    """Labels may be added behind the others, where they stand in for series that have none of those."""
    place, kept = f"column {older.name}", len(older.also)
    if newer.also[:kept] != older.also:
        yield Change(place, f"also changed from {_show(older.also)} to {_show(newer.also)}", breaking=True)
    else:
        yield from (Change(place, f"is also made from label {label}", breaking=False) for label in newer.also[kept:])


def _compare_metrics(older: TableSchema, newer: TableSchema) -> Iterator[Change]:
    before, after = ({metric.name: metric for metric in each.metrics} for each in (older, newer))
    for name, metric in before.items():
        if name in after:
            yield from _compare_fields(f"metric {name}", metric, after[name], skip={"labels"})
            yield from _compare_label_lists(metric, after[name])
        else:
            yield Change(f"metric {name}", "removed", breaking=True)
    yield from (Change(f"metric {name}", "added", breaking=False) for name in after if name not in before)


def _compare_label_lists(older: Metric, newer: Metric) -> Iterator[Change]:
    place = f"metric {older.name}"
    yield from (Change(place, f"lost label {n}", breaking=True) for n in older.labels if n not in newer.labels)
    yield from (Change(place, f"got label {n}", breaking=False) for n in newer.labels if n not in older.labels)


def _compare_fields(
    place: str, older: BaseModel, newer: BaseModel, skip: frozenset[str] | set[str] = frozenset()
) -> Iterator[Change]:
    for name in type(older).model_fields:
        before, after = getattr(older, name), getattr(newer, name)
        if name not in skip and before != after:
            yield Change(place, f"{name} changed from {_show(before)} to {_show(after)}", breaking=name not in WORDS)


def _compare_order(place: str, what: str, before: Sequence[str], after: Sequence[str]) -> Iterator[Change]:
    kept = [name for name in after if name in before]
    if kept != [name for name in before if name in after]:
        yield Change(place, f"{what} stand in another order", breaking=True)


def _tell_loss(column: LabelColumn, added: Sequence[LabelColumn]) -> str:
    for other in added:
        if other.source_label == column.source_label:
            return f"renamed to {other.name}"
    return "removed"


def _show(value: object) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, tuple) else repr(value)
