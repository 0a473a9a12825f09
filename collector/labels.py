"""The label sets of many series, held by columns: for each label name the distinct values and a code a series."""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, overload

import numpy as np
import numpy.typing as npt

_NAME: Final = "__name__"
_ABSENT: Final = -1


class LabelSets(Sequence[Mapping[str, str]]):
    """The labels of some series without ``__name__``; as a sequence, one mapping for each series.

    They are raw: nothing of them shows in the repr, and they stay in the process that read them.
    """

    def __init__(self, sets: Iterable[Mapping[str, str]] = ()) -> None:
        self._codes: dict[str, array[int]] = {}
        self._values: dict[str, dict[str, int]] = {}
        self._count = 0
        for labels in sets:
            self.append(labels.items())

    def append(self, labels: Iterable[tuple[str, str]]) -> None:
        """Take the labels of one more series."""
        count = self._count
        for name, value in labels:
            if name == _NAME:
                continue
            codes = self._codes.get(name)
            if codes is None:
                codes = self._codes[name] = array("i")
                self._values[name] = {}
            if len(codes) < count:
                codes.extend([_ABSENT] * (count - len(codes)))
            values = self._values[name]
            codes.append(values.setdefault(value, len(values)))
        self._count = count + 1

    def columns(self) -> dict[str, tuple[npt.NDArray[np.int32], list[str]]]:
        """Return for each label name (codes, values): ``values[codes[row]]`` is a series' value, -1 says it has none.

        ``codes`` is int32 [series]; the values are distinct.
        """
        return {name: (self._whole(codes), list(self._values[name])) for name, codes in self._codes.items()}

    def _whole(self, codes: "array[int]") -> npt.NDArray[np.int32]:
        whole = np.full(self._count, _ABSENT, dtype=np.int32)
        whole[: len(codes)] = np.frombuffer(codes, dtype=np.int32) if codes else 0
        return whole

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Mapping[str, str]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Mapping[str, str]]: ...
    def __getitem__(self, index: int | slice) -> Mapping[str, str] | Sequence[Mapping[str, str]]:
        rows = list(self)
        return rows[index]

    def __iter__(self) -> Iterator[Mapping[str, str]]:
        columns = [(name, codes, list(self._values[name])) for name, codes in self._codes.items()]
        for row in range(self._count):
            yield {
                name: values[codes[row]]
                for name, codes, values in columns
                if row < len(codes) and codes[row] != _ABSENT
            }

    def __repr__(self) -> str:
        return f"<labels of {self._count} series>"

    def __reduce__(self) -> Any:  # noqa: ANN401 - the protocol's own type
        raise TypeError("raw series stay in the process that read them")
