"""Count a release's own small groups: no word of a quasi-identifier column may be shared by too few.

Counted from the rows that readers get, whatever the builder counted; the series index must not show more.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from anonymize.audit.findings import Finding
from schemas.policy import OTHER, Policy, SmallGroup
from schemas.table import LabelColumn, TableSchema

_Owners = dict[str, set[str | None]]
"""Entity to the contributors that it was seen with."""


class GroupAudit:
    """Takes the files of a release one by one; ``findings`` says what few share, when all were given."""

    def __init__(self, policy: Policy, *, k: int) -> None:
        self._rules = policy.small_groups
        self._k = k
        self._seen: dict[tuple[str, str, str], _Owners] = defaultdict(lambda: defaultdict(set))
        self._indexed: dict[str, set[tuple[str, str]]] = defaultdict(set)

    def add_rows(self, path: Path, schema: TableSchema) -> None:
        """Take a file of rows: of values or of native histograms."""
        for column, rule in self._quasi_identifiers(schema):
            entities = [each for name in rule.of for each in schema.labels if each.identity == name]
            owners = [each for each in schema.labels if rule.contributor and each.identity == rule.contributor]
            for row in _distinct(path, [column.name, *(each.name for each in (*entities, *owners))]):
                if row[column.name] is None:
                    continue
                domain, entity = next(
                    ((each.identity, row[each.name]) for each in entities if row[each.name]), (rule.of[0], None)
                )
                owner = next((row[each.name] for each in owners if row[each.name]), None)
                known = self._seen[column.vocabulary or "", row[column.name], domain or ""]
                if entity is not None:
                    known[entity].add(owner)

    def add_index(self, path: Path, place: str, schema: TableSchema) -> None:
        """Take a series index."""
        for column, _ in self._quasi_identifiers(schema):
            words = pq.read_table(path, columns=[column.name]).column(column.name).unique().to_pylist()
            self._indexed[place].update((column.vocabulary or "", word) for word in words if word is not None)

    def findings(self) -> Iterator[Finding]:
        """Yield which vocabularies have words that too few share. No word is named."""
        small: dict[str, set[str]] = defaultdict(set)
        for (vocabulary, word, _), entities in self._seen.items():
            if word != OTHER and self._is_small(self._rules[vocabulary], entities):
                small[vocabulary].add(word)
        yield from (Finding(f"vocabulary {name}", "small-group", len(words)) for name, words in small.items())
        shown = {(vocabulary, word) for vocabulary, word, _ in self._seen}
        for place, words in self._indexed.items():
            if extra := words - shown:
                yield Finding(place, "index-names-other-words", len(extra))

    def _is_small(self, rule: SmallGroup, entities: _Owners) -> bool:
        if len(entities) < self._k:
            return True
        if not rule.contributor:
            return False
        counts: dict[str, int] = defaultdict(int)
        for owner in (owner for owners in entities.values() for owner in owners if owner is not None):
            counts[owner] += 1
        return len(counts) < rule.contributors or max(counts.values()) > rule.dominance * len(entities)

    def _quasi_identifiers(self, schema: TableSchema) -> Iterable[tuple[LabelColumn, SmallGroup]]:
        return [
            (column, self._rules[column.vocabulary])
            for column in schema.labels
            if column.quasi_identifier and column.vocabulary in self._rules
        ]


def _distinct(path: Path, names: Collection[str]) -> Iterator[dict[str, Any]]:
    """Yield the distinct combinations of some columns in a file, row group by row group."""
    columns = list(dict.fromkeys(names))
    with pq.ParquetFile(path) as file:
        for number in range(file.num_row_groups):
            rows = file.read_row_group(number, columns=columns)
            if pc.all(pc.is_null(rows.column(columns[0]))).as_py():
                continue
            yield from pa.TableGroupBy(rows, columns).aggregate([]).to_pylist()
