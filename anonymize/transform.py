"""Raw label sets to publishable columns. Deny by default: what neither schema nor policy names is left behind."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from anonymize.columns import STRINGS, Codes, Column, RawColumn, absent, combine, replace_codes, to_arrow
from anonymize.identity import IdentityFrame, canonical_host, canonical_workload
from anonymize.pseudonyms import Pseudonymizer, encode_parts
from schemas.arrow import data_schema
from schemas.errors import PrivacyError
from schemas.policy import OTHER, SERIES_DOMAIN, SOURCE_DOMAIN, Domain, Policy
from schemas.raw import Raw, open_raw
from schemas.table import LabelColumn, TableSchema

RawColumns = Mapping[str, tuple[Codes, Raw[Sequence[str]]]]
_INT32 = re.compile(r"[0-9]{1,9}")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?|[+-]?Inf|NaN", re.ASCII)


def searched_addresses(frame: IdentityFrame) -> Raw[set[str]]:
    """Return what a frame knows that must not be found in public: the set to which each ``Report`` adds its own."""
    return Raw("values", set(open_raw(frame.nodes)))


def source_token(pseudonymizer: Pseudonymizer, source: str) -> str:
    """Return the token that stands for a source in what is published."""
    return pseudonymizer.token(SOURCE_DOMAIN, "source", [source])


@dataclass
class Report:
    """What was left behind, by name and count. ``raw_values`` is what a search must not find in public."""

    dropped_labels: set[str] = field(default_factory=set)
    outside_vocabulary: Counter[str] = field(default_factory=Counter)
    raw_values: Raw[set[str]] = field(default_factory=lambda: Raw("values", set()))


@dataclass(frozen=True)
class TableAnonymizer:
    """Makes the published label columns of one table of one (source, window)."""

    table: TableSchema
    policy: Policy
    pseudonymizer: Pseudonymizer
    source: str
    frame: IdentityFrame
    ignored_labels: frozenset[str]
    """External and replica labels: what the server adds, which says nothing about the series."""
    _tokens: dict[tuple[str | None, ...], str | None] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if problems := self.policy.check_table(self.table):
            raise PrivacyError(f"{problems[0]} ({len(problems)} problems in all)")

    def make_columns(self, metric: str, labels: RawColumns, count: int, report: Report) -> pa.RecordBatch:
        """Return one row for each of ``count`` series: ``series_id`` and every label column, in the table's order.

        ``labels`` holds for each raw label name the codes of the series (int32, -1 where it is absent) and the distinct
        values that they stand for. Strings come back dictionary-encoded, but for ``series_id``.
        """
        columns = {name: RawColumn(codes, values) for name, (codes, values) in labels.items()}
        declared = self.table.metric(metric).labels
        self._note(declared, columns, report)
        schema = data_schema(self.table)
        arrays: dict[str, Any] = {"series_id": self._series_ids(metric, columns, count)}
        canonical = self._canonical_by_domain(columns, count)
        for column in self.table.labels:
            raw = _choose(column, columns)
            if column.name not in declared or raw is None:
                arrays[column.name] = pa.nulls(count, _arrow_type(schema, column))
                continue
            published = self._publish(column, raw, canonical, columns)
            if strangers := _count_strangers(raw, published):
                report.outside_vocabulary[column.name] += strangers
            arrays[column.name] = _numbers(published) if column.number == "int32" else to_arrow(published)
        fields = [schema.field(name).with_type(array.type) for name, array in arrays.items()]
        return pa.RecordBatch.from_arrays(list(arrays.values()), schema=pa.schema(fields))

    def names_of(self, tokens: Collection[str]) -> Raw[Mapping[str, tuple[str | None, ...]]]:
        """Return for some of the tokens made so far what they name, in which scopes, and the name itself."""
        return Raw(
            "names", {token: known for known, token in self._tokens.items() if token is not None and token in tokens}
        )

    def _series_ids(self, metric: str, columns: Mapping[str, RawColumn], count: int) -> Any:  # noqa: ANN401
        """Return the pseudonyms of source, metric and all labels but the ignored and empty ones."""
        parts = []
        for name in sorted(columns):
            if name not in self.ignored_labels and name != "__name__":
                column = columns[name]
                texts = [encode_parts((name, value)) if value else b"" for value in open_raw(column.values)] + [b""]
                parts.append([texts[code] for code in column.codes.tolist()])
        encoded = map(b"".join, zip(*parts, strict=True)) if parts else (b"" for _ in range(count))
        return self.pseudonymizer.tokens(SERIES_DOMAIN, "series", (self.source, metric), encoded)

    @cached_property
    def _public_words(self) -> frozenset[str]:
        vocabularies = self.policy.vocabularies.values()
        return frozenset(word for each in vocabularies for word in (*each.members, *each.members.values()))

    def _note(self, columns: Collection[str], labels: Mapping[str, RawColumn], report: Report) -> None:
        published = [column for column in self.table.labels if column.name in columns]
        declared = {label for column in published for label in column.source_labels}
        plain = {label for column in published if not column.identity for label in column.source_labels}
        report.dropped_labels.update(labels.keys() - declared)
        for name, column in labels.items():
            if name not in plain:
                open_raw(report.raw_values).update(
                    value for value in open_raw(column.values) if value and value not in self._public_words
                )

    def _canonical_by_domain(self, columns: Mapping[str, RawColumn], count: int) -> dict[str, RawColumn]:
        """Return, for each identity domain of the table, the canonical raw value of every series."""
        found: dict[str, RawColumn] = {}
        for column in self.table.labels:
            if column.identity and column.identity not in found:
                raw = _choose(column, columns)
                domain = self.policy.domains[column.identity]
                found[column.identity] = absent(count) if raw is None else self._canonical(domain, raw, columns)
        return found

    def _publish(
        self,
        column: LabelColumn,
        raw: RawColumn,
        canonical: Mapping[str, RawColumn],
        columns: Mapping[str, RawColumn],
    ) -> Column:
        values = open_raw(raw.values)
        if column.number:
            pattern = _INT32 if column.number == "int32" else _NUMBER
            return raw.published(value if pattern.fullmatch(value) else None for value in values)
        if column.vocabulary:
            members = self.policy.vocabularies[column.vocabulary].members
            return raw.published(members.get(value, OTHER) if value else None for value in values)
        assert column.identity  # noqa: S101 - the schema's own check left nothing else
        domain = self.policy.domains[column.identity]
        codes, keys = combine([*(canonical[name] for name in domain.scope), self._canonical(domain, raw, columns)])
        return Column(*replace_codes(codes, (self._token(column.identity, domain, *key) for key in keys)))

    def _token(self, name: str, domain: Domain, *key: str | None) -> str | None:
        known = (name, *key)
        if known not in self._tokens:
            self._tokens[known] = self._make_token(name, domain, key)
        return self._tokens[known]

    def _make_token(self, name: str, domain: Domain, key: Sequence[str | None]) -> str | None:
        *scope, value = key
        if value is None:
            return None
        if domain.public:
            public = self.policy.vocabularies[domain.public].members.get(value)
            if public is not None:
                return public
        if domain.unmatched and self.frame.find_node(value) is None:
            name, domain = domain.unmatched, self.policy.domains[domain.unmatched]
        return self.pseudonymizer.token(domain.prefix, name, (self.source, *scope, value))

    def _canonical(self, domain: Domain, raw: RawColumn, columns: Mapping[str, RawColumn]) -> RawColumn:
        values = open_raw(raw.values)
        if domain.canonical == "host":
            hosts = map(canonical_host, values)
            return raw.replaced(self.frame.find_node(host) or host for host in hosts)
        if domain.canonical == "workload":
            kinds = columns.get("owner_kind") or absent(len(raw.codes))
            codes, pairs = combine([raw, kinds])
            named = (canonical_workload(name, kind) if name else None for name, kind in pairs)
            return replace(raw, codes=codes).replaced(named)
        return raw.replaced(values)


def _choose(column: LabelColumn, columns: Mapping[str, RawColumn]) -> RawColumn | None:
    """Return the raw values of a column: of the labels that it may be made from, the first that a series has."""
    given = [columns[label] for label in column.source_labels if label in columns]
    if len(given) < 2:
        return given[0] if given else None
    codes, keys = combine(given)
    return replace(given[0], codes=codes).replaced(next(filter(None, key), None) for key in keys)


def _arrow_type(schema: pa.Schema, column: LabelColumn) -> Any:  # noqa: ANN401 - Arrow's own types
    plain = schema.field(column.name).type
    return STRINGS if pa.types.is_string(plain) else plain


def _numbers(column: Column) -> Any:  # noqa: ANN401 - Arrow's own type
    numbers = np.array([*map(int, column.values), 0], dtype=np.int32)
    return pa.array(numbers[column.codes], mask=column.codes < 0)


def _count_strangers(raw: RawColumn, published: Column) -> int:
    """Return how many series have a value that was not published as itself, but as ``other`` or not at all."""
    full = np.array([*(bool(value) for value in open_raw(raw.values)), False])[raw.codes]
    lost = np.array([*(value == OTHER for value in published.values), True])[published.codes]
    return int(np.count_nonzero(full & lost))
