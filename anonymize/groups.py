"""Which words of a release too few share to be shown. Pure: counted over the whole release, decided once.

A word is the value of a quasi-identifier column, such as a family of GPUs. It is shown if at least k entities have it
and, where a contributor could own it, if enough of them share in it and none has nearly all. Entities are counted as
64 bits of a hash, so that millions of pods take megabytes.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from schemas.policy import OTHER, SmallGroup

_PENDING: Final = 1 << 20
"""Pairs of one group that wait to be made distinct: 16 MB."""
_NOBODY: Final = 0


@dataclass(frozen=True, slots=True, order=True)
class Group:
    """Those who share a word of a vocabulary, counted in entities of one domain."""

    vocabulary: str
    word: str
    domain: str


class GroupCounter:
    """Counts the distinct entities of each group, and whose they are."""

    def __init__(self) -> None:
        self._distinct: dict[Group, npt.NDArray[np.uint64]] = {}
        self._pending: dict[Group, list[tuple[int, int]]] = defaultdict(list)

    def add(self, group: Group, entity: str | None, contributor: str | None) -> None:
        """Note that an entity, or nobody in particular, has the word; the same again changes nothing."""
        pending = self._pending[group]
        pending.append((_hash(entity), _hash(contributor)))
        if len(pending) >= _PENDING:
            self._settle(group)

    def sizes(self) -> Iterable[tuple[Group, "GroupSize"]]:
        """Yield how large each group is, in the order of their names."""
        for group in sorted({*self._distinct, *self._pending}):
            pairs = self._settle(group)
            pairs = pairs[pairs[:, 0] != _NOBODY]
            entities = len(np.unique(pairs[:, 0]))
            owners, counts = np.unique(pairs[:, 1], return_counts=True)
            known = owners != _NOBODY
            yield group, GroupSize(entities, int(known.sum()), int(counts[known].max(initial=0)))

    def _settle(self, group: Group) -> npt.NDArray[np.uint64]:
        """Return the distinct (entity, contributor) pairs of a group: uint64 [pairs, 2]."""
        new = np.array(self._pending.pop(group, []), dtype=np.uint64).reshape(-1, 2)
        known = self._distinct.get(group, np.empty((0, 2), dtype=np.uint64))
        self._distinct[group] = np.unique(np.concatenate([known, new]), axis=0)
        return self._distinct[group]


@dataclass(frozen=True, slots=True)
class GroupSize:
    """How many entities a group has, how many contributors they belong to, and how many the largest of these has."""

    entities: int
    contributors: int
    largest: int

    def is_small(self, rule: SmallGroup, *, k: int) -> bool:
        """Return whether the group's word could point at somebody.

        >>> rule = SmallGroup(of=("workload",), contributor="namespace", why="A kind that one team has tells it.")
        >>> [GroupSize(*size).is_small(rule, k=5) for size in ((4, 4, 1), (9, 2, 5), (10, 3, 9), (9, 3, 4))]
        [True, True, True, False]
        """
        if self.entities < k:
            return True
        if rule.contributor is None:
            return False
        return self.contributors < rule.contributors or self.largest > rule.dominance * self.entities


def find_small_groups(counter: GroupCounter, rules: Mapping[str, SmallGroup], *, k: int) -> dict[str, frozenset[str]]:
    """Return by vocabulary the words that must not be shown: those of which any group is small."""
    small: dict[str, set[str]] = defaultdict(set)
    for group, size in counter.sizes():
        if group.word != OTHER and size.is_small(rules[group.vocabulary], k=k):
            small[group.vocabulary].add(group.word)
    return {vocabulary: frozenset(words) for vocabulary, words in sorted(small.items())}


def _hash(name: str | None) -> int:
    if not name:
        return _NOBODY
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") or 1
