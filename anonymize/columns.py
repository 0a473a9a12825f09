"""Columns of many series as codes and values, so that each distinct value is worked on once, however many have it."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Codes = npt.NDArray[np.int32]
STRINGS = pa.dictionary(pa.int32(), pa.string())


@dataclass(frozen=True, slots=True)
class Column:
    """``values[codes[row]]`` is the value of a series; code -1 says that it has none. Values never show.

    ``codes`` is int32 [series].
    """

    codes: Codes
    values: Sequence[str] = field(repr=False)

    def replaced(self, values: Iterable[str | None]) -> "Column":
        """Return the column with each value replaced by the one at its place; equal ones become one."""
        index: dict[str, int] = {}
        codes = [-1 if not value else index.setdefault(value, len(index)) for value in values]
        return Column(np.array([*codes, -1], dtype=np.int32)[self.codes], list(index))  # code -1 finds the last


def absent(count: int) -> Column:
    """Return a column in which no series has a value."""
    return Column(np.full(count, -1, dtype=np.int32), ())


def combine(columns: Sequence[Column]) -> tuple[Codes, list[tuple[str | None, ...]]]:
    """Return the distinct combinations of values in several columns, and the code of each series'."""
    sizes = [len(column.values) + 1 for column in columns]
    if math.prod(sizes) >= 1 << 63:
        raise OverflowError("more combinations of values than there are codes")
    mixed = np.zeros(len(columns[0].codes), dtype=np.int64)
    for column, size in zip(columns, sizes, strict=True):
        mixed = mixed * size + (column.codes + 1)
    distinct, codes = np.unique(mixed, return_inverse=True)
    parts: list[list[str | None]] = []
    for column, size in zip(reversed(columns), reversed(sizes), strict=True):
        distinct, code = np.divmod(distinct, size)
        parts.append([column.values[at - 1] if at else None for at in code.tolist()])
    return codes.astype(np.int32), list(zip(*reversed(parts), strict=True))


def to_arrow(column: Column) -> Any:  # noqa: ANN401 - a dictionary array; the stubs cannot say of what
    """Return the column as Arrow's dictionary array of strings."""
    indices: Any = pa.array(column.codes, mask=column.codes < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(column.values, pa.string()))
