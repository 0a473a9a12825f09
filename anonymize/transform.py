"""Raw label sets to publishable columns. Deny by default: what neither schema nor policy names is left behind."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import pyarrow as pa

from anonymize.identity import IdentityFrame, canonical_host, canonical_workload
from anonymize.pseudonyms import Pseudonymizer
from schemas.arrow import data_schema
from schemas.errors import PrivacyError
from schemas.policy import OTHER, SERIES_DOMAIN, SOURCE_DOMAIN, Domain, Policy
from schemas.table import LabelColumn, TableSchema

Labels = Mapping[str, str]
_INT32 = re.compile(r"[0-9]{1,9}")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?|[+-]?Inf|NaN", re.ASCII)
SHORTEST_SEARCHED: Final = 5
"""Raw values shorter than this occur by chance; the grammar alone proves their absence."""


def source_token(pseudonymizer: Pseudonymizer, source: str) -> str:
    """Return the token that stands for a source in what is published."""
    return pseudonymizer.token(SOURCE_DOMAIN, "source", [source])


@dataclass
class Report:
    """What was left behind, by name and count. ``raw_values`` is for the audit alone and never shows."""

    dropped_labels: set[str] = field(default_factory=set)
    outside_vocabulary: Counter[str] = field(default_factory=Counter)
    raw_values: set[str] = field(default_factory=set, repr=False)


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

    def __post_init__(self) -> None:
        if problems := self.policy.check_table(self.table):
            raise PrivacyError(f"{problems[0]} ({len(problems)} problems in all)")

    def make_columns(self, metric: str, labels: Sequence[Labels], report: Report) -> pa.RecordBatch:
        """Return one row per series: ``series_id`` and every label column, in the table's order."""
        declared = self.table.metric(metric).labels
        self._note(declared, labels, report)
        schema = data_schema(self.table)
        arrays: dict[str, Any] = {"series_id": pa.array([self.series_id(metric, each) for each in labels], pa.string())}
        canonical = self._canonical_by_domain(labels)
        for column in self.table.labels:
            if column.name not in declared:
                arrays[column.name] = pa.nulls(len(labels), schema.field(column.name).type)
                continue
            values = self._publish(column, labels, canonical)
            strangers = sum(
                1
                for value, each in zip(values, labels, strict=True)
                if (value is None or value == OTHER) and each.get(column.source_label)
            )
            if strangers:
                report.outside_vocabulary[column.name] += strangers
            arrays[column.name] = pa.array(values, schema.field(column.name).type)
        fields = [schema.field(name) for name in arrays]
        return pa.RecordBatch.from_arrays(list(arrays.values()), schema=pa.schema(fields))

    def series_id(self, metric: str, labels: Labels) -> str:
        """Return the pseudonym of a series: of source, metric and all its labels but the ignored and empty ones."""
        identity: list[str] = []
        for name in sorted(labels):
            if name not in self.ignored_labels and name != "__name__" and labels[name]:
                identity += (name, labels[name])
        return self.pseudonymizer.token(SERIES_DOMAIN, "series", (self.source, metric, *identity))

    @cached_property
    def _public_words(self) -> frozenset[str]:
        vocabularies = self.policy.vocabularies.values()
        return frozenset(word for each in vocabularies for word in (*each.members, *each.members.values()))

    def _note(self, columns: Collection[str], labels: Sequence[Labels], report: Report) -> None:
        published = [column for column in self.table.labels if column.name in columns]
        declared = {column.source_label for column in published}
        plain = {column.source_label for column in published if not column.identity}
        for each in labels:
            for name, value in each.items():
                if name not in declared:
                    report.dropped_labels.add(name)
                if name not in plain and len(value) >= SHORTEST_SEARCHED and value not in self._public_words:
                    report.raw_values.add(value)

    def _canonical_by_domain(self, labels: Sequence[Labels]) -> dict[str, list[str | None]]:
        """Return, for each identity domain of the table, the canonical raw value of every series."""
        found: dict[str, list[str | None]] = {}
        for column in self.table.labels:
            if column.identity and column.identity not in found:
                domain = self.policy.domains[column.identity]
                found[column.identity] = [
                    self._canonical(domain, each.get(column.source_label), each) for each in labels
                ]
        return found

    def _publish(
        self, column: LabelColumn, labels: Sequence[Labels], canonical: Mapping[str, Sequence[str | None]]
    ) -> list[str | None] | list[int | None]:
        raw = [each.get(column.source_label) or None for each in labels]
        if column.number == "int32":
            return [int(value) if value and _INT32.fullmatch(value) else None for value in raw]
        if column.number == "text":
            return [value if value and _NUMBER.fullmatch(value) else None for value in raw]
        if column.vocabulary:
            members = self.policy.vocabularies[column.vocabulary].members
            return [None if value is None else members.get(value, OTHER) for value in raw]
        assert column.identity  # noqa: S101 - the schema's own check left nothing else
        domain = self.policy.domains[column.identity]
        scopes = [canonical[name] for name in domain.scope]
        values = [self._canonical(domain, value, each) for value, each in zip(raw, labels, strict=True)]
        return [
            self._token(column.identity, domain, value, [scope[row] for scope in scopes])
            for row, value in enumerate(values)
        ]

    def _token(self, name: str, domain: Domain, value: str | None, scope: Sequence[str | None]) -> str | None:
        if value is None:
            return None
        if domain.public:
            public = self.policy.vocabularies[domain.public].members.get(value)
            if public is not None:
                return public
        if domain.unmatched and self.frame.find_node(value) is None:
            name, domain = domain.unmatched, self.policy.domains[domain.unmatched]
        return self.pseudonymizer.token(domain.prefix, name, (self.source, *scope, value))

    def _canonical(self, domain: Domain, value: str | None, labels: Labels) -> str | None:
        if not value:
            return None
        if domain.canonical == "host":
            host = canonical_host(value)
            return self.frame.find_node(host) or host
        if domain.canonical == "workload":
            return canonical_workload(value, labels.get("owner_kind"))
        return value
