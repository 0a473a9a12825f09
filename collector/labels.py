"""The label sets of many series, held by columns: for each label name the distinct values and a code a series."""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from schemas.raw import Raw, open_raw

RawLabels = Raw[Sequence[Mapping[str, str]]]
"""A mapping of labels for each of some series."""

_NAME: Final = "__name__"
_ABSENT: Final = -1


class LabelSets:
    """The labels of some series without ``__name__``. Their values are sealed, and stay in this process."""

    __slots__ = ("_codes", "_count", "_values")

    def __init__(self, sets: Iterable[Mapping[str, str]] = ()) -> None:
        self._codes: dict[str, array[int]] = {}
        self._values: Raw[dict[str, dict[str, int]]] = Raw("labels", {})
        self._count = 0
        self._extend(sets)

    def extend(self, sets: RawLabels) -> None:
        """Take the labels of some more series."""
        self._extend(open_raw(sets))

    def _extend(self, sets: Iterable[Mapping[str, str]]) -> None:
        for labels in sets:
            self.append(labels.items())

    def append(self, labels: Iterable[tuple[str, str]]) -> None:
        """Take the labels of one more series."""
        count, known = self._count, open_raw(self._values)
        for name, value in labels:
            if name == _NAME:
                continue
            codes = self._codes.get(name)
            if codes is None:
                codes = self._codes[name] = array("i")
                known[name] = {}
            if len(codes) < count:
                codes.extend([_ABSENT] * (count - len(codes)))
            values = known[name]
            codes.append(values.setdefault(value, len(values)))
        self._count = count + 1

    def columns(self) -> dict[str, tuple[npt.NDArray[np.int32], Raw[Sequence[str]]]]:
        """Return for each label name (codes, values): ``values[codes[row]]`` is a series' value, -1 says it has none.

        ``codes`` is int32 [series]; the values are distinct.
        """
        known = open_raw(self._values)
        return {name: (self._whole(codes), Raw(name, list(known[name]))) for name, codes in self._codes.items()}

    def rows(self, numbers: Iterable[int] | None = None) -> RawLabels:
        """Return a mapping for each series, or for each with one of these row numbers."""
        return Raw("labels", list(self._rows(range(self._count) if numbers is None else numbers)))

    def _rows(self, numbers: Iterable[int]) -> Iterator[Mapping[str, str]]:
        known = open_raw(self._values)
        columns = [(name, codes, list(known[name])) for name, codes in self._codes.items()]
        for row in numbers:
            yield {
                name: values[codes[row]]
                for name, codes, values in columns
                if row < len(codes) and codes[row] != _ABSENT
            }

    def _whole(self, codes: "array[int]") -> npt.NDArray[np.int32]:
        whole = np.full(self._count, _ABSENT, dtype=np.int32)
        whole[: len(codes)] = np.frombuffer(codes, dtype=np.int32) if codes else 0
        return whole

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        return f"<labels of {self._count} series>"

    def __reduce__(self) -> Any:  # noqa: ANN401 - the protocol's own type
        raise TypeError("raw series stay in the process that read them")
