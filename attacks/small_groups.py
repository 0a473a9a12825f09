"""Count the smallest group of every quasi-identifier column: who shares a rare word with few is nearly named."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from attacks.published import Published
from schemas.attacks import Smallest, SmallestGroups
from schemas.policy import OTHER

FEW = 5
OF: Mapping[str, tuple[str, ...]] = {"owner_kinds": ("workload", "pod", "owner")}
"""By vocabulary the columns that hold who has a word; of these the first that a row has counts. Else nodes."""


def attack_small_groups(release: Published) -> SmallestGroups:
    """Return for each quasi-identifier column how many share its rarest word."""
    return SmallestGroups(columns=tuple(_measure(release)))


def _measure(release: Published) -> Iterator[Smallest]:
    for table in release.tables:
        index = release.series(table)
        for label in release.labels(table):
            if not label.get("quasi_identifier"):
                continue
            columns = [name for name in OF.get(label["vocabulary"], ("node",)) if name in index.column_names]
            who = zip(*(index.column(name).to_pylist() for name in columns), strict=True)
            groups: dict[str, set[str]] = defaultdict(set)
            for word, names in zip(index.column(label["name"]).to_pylist(), who, strict=True):
                entity = next(filter(None, names), None)
                if word not in (None, OTHER) and entity is not None:
                    groups[word].add(entity)
            if groups:
                sizes = [len(members) for members in groups.values()]
                yield Smallest(
                    table=table,
                    column=label["name"],
                    words=len(sizes),
                    entities=len(set().union(*groups.values())),
                    smallest=min(sizes),
                    below_five=sum(size < FEW for size in sizes),
                )
