"""Hide what too few share: count the entities of each quasi-identifier's words in the staged files, then replace words.

A word is hidden in the whole release, wherever it stands. What an earlier release of the same key hid stays hidden:
the same tokens under the word itself would tell what was hidden there.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from anonymize.columns import Column, combine
from anonymize.groups import Group, GroupCounter, find_small_groups
from jobs.release.heads import CommitHead
from jobs.release.staged import fetch_verified, metric_of
from jobs.store import Store
from schemas.digest import readable_json
from schemas.manifest import Manifest
from schemas.policy import OTHER, Policy, SmallGroup
from schemas.suppression import SuppressionRecord
from schemas.table import LabelColumn, TableSchema
from schemas.windows import Window

Place = tuple[str, str, Window]
"""A column of a table in a window."""


@dataclass(frozen=True)
class Suppression:
    """The words that a release must not show, by vocabulary, and where they stand in its snapshots."""

    words: Mapping[str, frozenset[str]] = field(default_factory=dict, repr=False)
    places: frozenset[Place] = frozenset()

    @property
    def columns(self) -> tuple[tuple[str, str], ...]:
        """Return the pairs of table and column in which a word is hidden."""
        return tuple(sorted({(table, column) for table, column, _ in self.places}))

    def hide(self, columns: pa.RecordBatch, schema: TableSchema) -> pa.RecordBatch:
        """Return the label columns of some series with ``other`` in the place of words that must not be shown."""
        for label in schema.labels:
            words = self.words.get(label.vocabulary or "")
            at = columns.schema.get_field_index(label.name)
            if words and at >= 0:
                columns = columns.set_column(at, columns.schema.field(at), _replace(columns.column(at), words))
        return columns

    def record(self, manifest: Manifest, source: str) -> SuppressionRecord:
        """Return what later releases of the key must know of a release."""
        return SuppressionRecord(
            version=manifest.release.version,
            manifest_sha256=hashlib.sha256(readable_json(manifest)).hexdigest(),
            source=source,
            key_id=manifest.key_id,
            words={vocabulary: tuple(sorted(hidden)) for vocabulary, hidden in sorted(self.words.items())},
        )


def choose_suppression(
    schemas: Mapping[str, TableSchema],
    commits: Iterable[CommitHead],
    policy: Policy,
    *,
    k: int,
    earlier: Iterable[SuppressionRecord],
    store: Store,
    cache: Path,
) -> Suppression:
    """Return what a release of ``commits`` must hide: words of small groups, and those that ``earlier`` ones hid."""
    counter = GroupCounter()
    seen: dict[tuple[str, str], set[Place]] = defaultdict(set)
    for record in commits:
        schema = schemas[record.table]
        for label in schema.labels:
            if label.quasi_identifier and label.vocabulary:
                rule = policy.small_groups[label.vocabulary]
                for file in record.files:
                    path = fetch_verified(store, file, cache)
                    for group, entity, contributor in _read_entities(path, schema, label, rule):
                        counter.add(group, entity, contributor)
                        seen[group.vocabulary, group.word].add((record.table, label.name, record.window))
    words = find_small_groups(counter, policy.small_groups, k=k)
    for before in earlier:
        for vocabulary, hidden in before.words.items():
            words[vocabulary] = words.get(vocabulary, frozenset()) | frozenset(hidden)
    places = (found for (vocabulary, word), found in seen.items() if word in words.get(vocabulary, ()))
    return Suppression(words, frozenset(place for found in places for place in found))


def _read_entities(
    path: Path, schema: TableSchema, label: LabelColumn, rule: SmallGroup
) -> Iterator[tuple[Group, str | None, str | None]]:
    """Yield (group, entity, contributor) of the series in a staged file, the same once for each row group.

    A series that names no entity points at none; it counts as nobody, so that a word which nobody else has is hidden.
    """
    entities = [each for domain in rule.of for each in schema.labels if each.identity == domain]
    owners = [each for each in schema.labels if each.identity and each.identity == rule.contributor]
    names = [each.name for each in (label, *entities, *owners)]
    with pq.ParquetFile(path, read_dictionary=names) as file:
        names = [name for name in names if name in file.schema_arrow.names]  # a minor version adds columns
        for number in range(file.num_row_groups if label.name in names else 0):
            if label.name not in schema.metric(metric_of(file.metadata.row_group(number))).labels:
                continue
            rows = file.read_row_group(number, columns=names)
            for values in combine([_to_column(rows.column(name).combine_chunks()) for name in names])[1]:
                given = dict(zip(names, values, strict=True))
                word = given[label.name]
                if word is not None:
                    entity = next((each for each in entities if given.get(each.name)), entities[0])
                    owner = next((given[each.name] for each in owners if given.get(each.name)), None)
                    yield Group(label.vocabulary or "", word, entity.identity or ""), given.get(entity.name), owner


def _to_column(encoded: Any) -> Column:  # noqa: ANN401 - Arrow's array, dictionary-encoded by the reader
    return Column(encoded.indices.fill_null(-1).to_numpy(), encoded.dictionary.to_pylist())


def _replace(column: Any, words: frozenset[str]) -> Any:  # noqa: ANN401 - an Arrow array, encoded or not
    """Return the column with ``other`` for the words; a dictionary is built anew, since it must not hold them."""
    encoded = pa.types.is_dictionary(column.type)
    plain = column.cast(pa.string()) if encoded else column
    hidden: Any = pc.if_else(pc.is_in(plain, pa.array(sorted(words))), OTHER, plain)
    return hidden.dictionary_encode() if encoded else hidden
