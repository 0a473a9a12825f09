"""Whether the order of a finished file's rows tells the order of raw names. Runs while those are still known.

Rows are sorted by tokens, so the names behind them must stand as if shuffled: of two names of one scope, either comes
first as often. Counted is how many pairs stand as the raw names do (Kendall's rank correlation), column by column.
"""

import math
from bisect import bisect, insort
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from anonymize.audit.findings import Finding
from anonymize.audit.grammar import ANY_TOKEN
from anonymize.audit.order import Ints, encode
from schemas.raw import Raw, open_raw
from schemas.table import TableSchema

Origin = tuple[str | None, ...]
"""What a token was made from: what it names, its scopes, and the name."""
NamesOf = Callable[[Collection[str]], Raw[Mapping[str, Origin]]]
"""Gives the origins of some tokens, of those that this run has made."""

CHANCE: Final = 1e-12
"""A file is refused if chance would give an order as near to the raw one more rarely: 16 names in order are enough.

A chance that comes true would come true for the same names in every window.
"""
_GROUPS: Final = 2
"""So many row groups of a file are read, the largest: every metric is sorted by the same code."""
_MOST_NAMES: Final = 2_000
"""So many names are compared within a scope."""
_MOST_RUNS: Final = 20_000
"""So many runs of equal rows are looked at in a row group and column."""
_EXPONENTS: Final = tuple(np.geomspace(1e-4, 20, 60).tolist())
"""Chernoff's bound holds for each of them, and the least counts."""


@dataclass(frozen=True)
class OrderCheck:
    """How many names were compared with others of their scope, all columns together, and what was found."""

    compared: int
    findings: tuple[Finding, ...]


def check_raw_order(path: Path, *, place: str, table: TableSchema, names_of: NamesOf) -> OrderCheck:
    """Compare the order of tokens in a file read back from disk with that of what they stand for.

    Within the rows that are equal in the sort keys before, tokens of a key stand in an order of their own; of each
    scope the longest such row of tokens counts, since others repeat it.
    """
    named = {column.name for column in table.labels if column.identity}
    keys = list(table.sort_key)
    while keys and keys[-1] not in named:
        keys.pop()
    found = list(_read_rows(path, keys, named)) if keys else []
    origins = open_raw(names_of({token for _, row in found for token in row}))
    compared, findings = 0, []
    for name in keys:
        rows = [row for of, row in found if of == name]
        if strangers := sum(token not in origins for row in rows for token in row):
            findings.append(Finding(f"{place}: order of {name}", "token-of-no-name", strangers))
        ranks = [_rank(names) for names in _by_scope(rows, origins)]
        names = sum(map(len, ranks))
        compared += names
        if ranks and chance_of_order(ranks) < CHANCE:
            findings.append(Finding(f"{place}: order of {name}", "order-of-raw-names", names))
    return OrderCheck(compared, tuple(findings))


def _read_rows(path: Path, keys: Sequence[str], named: Collection[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield for each key, and each stretch of rows that are equal in the keys before, its tokens as they first come."""
    with pq.ParquetFile(path, read_dictionary=list(keys)) as file:
        sizes = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
        for number in sorted(range(len(sizes)), key=lambda at: -sizes[at])[:_GROUPS]:
            group = file.read_row_group(number, columns=list(keys))
            begins = np.zeros(max(group.num_rows - 1, 0), dtype=np.bool_)  # of a stretch, at the row after
            for name in keys:
                column = encode(group.column(name))
                codes: npt.NDArray[np.int32] = column.indices.fill_null(-1).to_numpy()
                steps = begins | (np.diff(codes) != 0)
                if name not in named:
                    begins = steps
                    continue
                at = np.flatnonzero(np.concatenate(([True], steps)))[:_MOST_RUNS]
                stretches = np.concatenate(([0], np.cumsum(begins)))[at]
                words = [*column.dictionary.to_pylist(), ""]
                bounds = np.append(np.flatnonzero(np.diff(stretches, prepend=-1)), len(at))
                for begin in np.flatnonzero(np.diff(bounds) > 1).tolist():
                    first, last = bounds[begin : begin + 2]
                    row = dict.fromkeys(words[code] for code in codes[at[first:last]].tolist())
                    if len(tokens := [word for word in row if ANY_TOKEN.fullmatch(word)]) > 1:
                        yield name, tokens[:_MOST_NAMES]
                begins = steps


def _by_scope(rows: Iterable[Sequence[str]], origins: Mapping[str, Origin]) -> Iterable[Sequence[str]]:
    """Return of each scope the names behind its longest row of tokens, in the order of these.

    Tokens of two kinds, such as a node and a host that is none, are two scopes: their kinds sort them.
    """
    longest: dict[Origin, list[str]] = {}
    for row in rows:
        parts: dict[Origin, list[str]] = {}
        for token in row:
            if token in origins:
                origin = origins[token]
                parts.setdefault((token.partition("_")[0], *origin[:-1]), []).append(origin[-1] or "")
        for scope, names in parts.items():
            if len(names) > len(longest.get(scope, [""])):
                longest[scope] = names
    return longest.values()


def _rank(names: Sequence[str]) -> list[int]:
    places = {name: place for place, name in enumerate(sorted(names))}
    return [places[name] for name in names]


def chance_of_order(rows: Sequence[Sequence[int]]) -> float:
    """Return at most how likely it is that shuffled rows of ranks are as near to their order, or to its reverse.

    The pairs out of order of a shuffled row of n are a sum of independent numbers, one evenly from 0 to k - 1 for each
    k up to n; Chernoff's bound of that sum holds for rows of any length, however short.

    >>> chance_of_order([range(16)]) < 1e-12 < chance_of_order([range(14)])
    True
    >>> chance_of_order([[2, 0, 3, 1], [1, 0]])
    1.0
    """
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    expected = float((lengths * (lengths - 1)).sum()) / 4
    off = abs(sum(map(_count_inversions, rows)) - expected)
    if not off:
        return 1.0
    sizes = np.arange(1, lengths.max() + 1)
    counts = len(rows) - np.searchsorted(np.sort(lengths), sizes)
    least = min(_log_moment(sizes, counts, t) - t * off for t in _EXPONENTS)
    return min(1.0, 2 * math.exp(least))


def _log_moment(sizes: Ints, counts: Ints, t: float) -> float:
    """Return the logarithm of the mean of exp(t x), x being how far pairs out of order are from their mean number."""
    halves = sizes * (t / 2)
    log_sinh = halves + np.log1p(-np.exp(-2 * halves))  # but for a constant: the first, of size 1, is taken off
    return float((log_sinh - np.log(sizes) - log_sinh[0]) @ counts)


def _count_inversions(row: Sequence[int]) -> int:
    seen: list[int] = []
    inversions = 0
    for rank in row:
        inversions += len(seen) - bisect(seen, rank)
        insort(seen, rank)
    return inversions
