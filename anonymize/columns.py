"""Columns of many series as codes and values, so that each distinct value is worked on once, however many have it."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.raw import Raw, open_raw

Codes = npt.NDArray[np.int32]
STRINGS = pa.dictionary(pa.int32(), pa.string())


@dataclass(frozen=True, slots=True)
class Column:
    """``values[codes[row]]`` is what is published of a series; code -1 says nothing. ``codes`` is int32 [series]."""

    codes: Codes
    values: Sequence[str]


@dataclass(frozen=True, slots=True)
class RawColumn:
    """The same of raw values. Only a ``Column`` can be written."""

    codes: Codes
    values: Raw[Sequence[str]]

    def replaced(self, values: Iterable[str | None]) -> "RawColumn":
        """Return the column with each value replaced by another raw one; equal ones become one."""
        codes, distinct = replace_codes(self.codes, values)
        return RawColumn(codes, Raw("canonical", distinct))

    def published(self, values: Iterable[str | None]) -> Column:
        """Return the column with each value replaced by what stands for it in public."""
        return Column(*replace_codes(self.codes, values))


def replace_codes(codes: Codes, values: Iterable[str | None]) -> tuple[Codes, list[str]]:
    """Return the codes of a column whose values are replaced, and the distinct new values; empty ones are none."""
    index: dict[str, int] = {}
    new = [-1 if not value else index.setdefault(value, len(index)) for value in values]
    return np.array([*new, -1], dtype=np.int32)[codes], list(index)  # code -1 finds the last


def absent(count: int) -> RawColumn:
    """Return a column in which no series has a value."""
    return RawColumn(np.full(count, -1, dtype=np.int32), Raw("nothing", ()))


def combine(columns: Sequence[Column | RawColumn]) -> tuple[Codes, list[tuple[str | None, ...]]]:
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
        values = column.values if isinstance(column, Column) else open_raw(column.values)
        parts.append([values[at - 1] if at else None for at in code.tolist()])
    return codes.astype(np.int32), list(zip(*reversed(parts), strict=True))


def to_arrow(column: Column) -> Any:  # noqa: ANN401 - a dictionary array; the stubs cannot say of what
    """Return the column as Arrow's dictionary array of strings."""
    indices: Any = pa.array(column.codes, mask=column.codes < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(column.values, pa.string()))
