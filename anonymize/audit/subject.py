"""What an audit looks at: a release in its folder, the rules that it must keep, and what was counted on the way.

A check is a function of it that yields findings; ``release.CHECKS`` lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from anonymize.audit.findings import Finding
from anonymize.audit.grammar import Grammar, TableGrammar, build_grammar, token_pattern
from anonymize.audit.tokens import TokenSet
from schemas.aggregate import AGGREGATE, KIND, KIND_VOCABULARIES, NAMESPACE, aggregate_schema
from schemas.arrow import COVERAGE_SCHEMA, data_schema, series_schema
from schemas.coverage import REASONS
from schemas.digest import digest
from schemas.manifest import Manifest, ReleaseFile
from schemas.native import native_schema
from schemas.policy import OTHER, SOURCE_DOMAIN, Policy
from schemas.table import NATIVE_SUFFIX, TableSchema

if TYPE_CHECKING:
    from anonymize.audit.words import WordSearch

MANIFEST: Final = "manifest.json"
SUMS: Final = "SHA256SUMS"
ROWS: Final = frozenset({"data", "native"})
"""Roles of files that hold rows of series."""
SERIES: Final = ROWS | {"series"}
"""Roles of files that an aggregate release must not have."""


@dataclass
class Subject:
    """A release under audit. ``known_tables`` are the registry's schemas by (name, version)."""

    folder: Path
    manifest: Manifest
    manifest_sha256: str
    policy: Policy
    known_tables: dict[tuple[str, str], TableSchema]
    k: int
    """How many entities must share a word of a quasi-identifier column."""
    inputs: TokenSet | None = None
    """Every token of the raw-scanned inputs; ``None`` where they are not at hand."""
    words: WordSearch | None = None
    """What must not occur in any form; ``None`` where nobody named anything."""
    loose: dict[str, str] = field(default_factory=dict)
    """By place: text that no grammar has judged, to be searched for words."""
    strings: int = 0
    rows: int = 0

    @cached_property
    def listed(self) -> frozenset[str]:
        """The paths that the manifest lists."""
        return frozenset(file.path for file in self.manifest.files)

    @cached_property
    def tables(self) -> dict[str, tuple[TableSchema, TableGrammar]]:
        """The tables of the manifest whose schema is known and covered by the policy."""
        found = {}
        for entry in self.manifest.tables:
            schema = self.known_tables.get((entry.table, entry.schema_version))
            if schema and digest(schema) == entry.schema_digest and not self.policy.check_table(schema):
                found[entry.table] = schema, build_grammar(schema, self.policy)
        return found

    def path(self, file: ReleaseFile) -> Path | None:
        """Return where a listed file lies, or ``None`` when no plain file lies there; the listing has said so."""
        path = self.folder / file.path
        inside = not {"", ".", ".."} & set(file.path.split("/"))
        return path if inside and path.is_file() and not path.is_symlink() else None

    def parquet_files(self) -> Iterator[tuple[ReleaseFile, Path]]:
        """Yield the Parquet files that are there."""
        for file in self.manifest.files:
            if file.path.endswith(".parquet") and (path := self.path(file)):
                yield file, path

    def expected(self, file: ReleaseFile) -> tuple[pa.Schema | None, dict[str, Grammar]]:
        """Return the columns that a Parquet file must have, and the grammar of each that holds strings."""
        if file.role == "coverage":
            return COVERAGE_SCHEMA, self._coverage_grammar
        found = self.tables.get(parent_table(file) or "")
        if found is None:
            return None, {}
        schema, grammar = found
        if file.role == AGGREGATE:
            return aggregate_schema(schema), {**grammar.columns, **self._group_grammar}
        paths = frozenset(each.path for each in self.manifest.files if each.role == "data")
        make = {"data": data_schema, "native": native_schema}.get(file.role, series_schema)
        return make(schema), {**grammar.columns, "path": Grammar(words=paths)}

    @cached_property
    def _group_grammar(self) -> dict[str, Grammar]:
        """The names of groups: in an aggregate release no token but those of namespaces may stand."""
        domain, lists = self.policy.domains["namespace"], self.policy.vocabularies
        public = lists[domain.public].members.values() if domain.public else ()
        kinds = {word for name in KIND_VOCABULARIES if name in lists for word in lists[name].members.values()}
        return {
            NAMESPACE: Grammar(words=frozenset(public) | {OTHER}, pattern=token_pattern(domain.prefix)),
            KIND: Grammar(words=frozenset(kinds) | {OTHER}),
        }

    @cached_property
    def _coverage_grammar(self) -> dict[str, Grammar]:
        metrics = frozenset(metric.name for schema in self.known_tables.values() for metric in schema.metrics)
        return {
            "source": Grammar(pattern=token_pattern(SOURCE_DOMAIN)),
            "table": Grammar(words=frozenset(name for name, _ in self.known_tables)),
            "metric": Grammar(words=metrics),
            "status": Grammar(words=frozenset({"complete", "empty", "partial", "failed"})),
            "reason": Grammar(words=frozenset(REASONS)),
        }


Check = Callable[[Subject], Iterator[Finding]]


def parent_table(file: ReleaseFile) -> str | None:
    """Return the table whose schema says what a file holds."""
    return (file.table or "").removesuffix(NATIVE_SUFFIX) if file.role == "native" else file.table
