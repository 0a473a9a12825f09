"""Raw values, sealed: what a source itself calls things travels from its decoder to the transformer in these.

Whatever prints, logs, formats, copies or stores one sees what it is called and how much it holds. Only ``open_raw``
gives out what is inside; a test lists the few files that may call it.
"""

from typing import Any, Generic, NoReturn, Self, TypeVar

_Held = TypeVar("_Held", covariant=True)
_Opened = TypeVar("_Opened")


class Raw(Generic[_Held]):
    """Something raw, under the name of its label or of what it is. No dataclass, since printers take those apart.

    >>> pods = Raw("pod", ["payroll-0", "payroll-1"])
    >>> pods, f"{pods:>40}", len(pods)
    (<raw pod: 2>, '<raw pod: 2>', 2)
    """

    __slots__ = ("_held", "_name")

    def __init__(self, name: str, held: _Held) -> None:
        self._name = name
        self._held = held

    def __len__(self) -> int:
        held: Any = self._held
        return 1 if isinstance(held, str) else len(held)

    def __repr__(self) -> str:
        return f"<raw {self._name}: {len(self)}>"

    def __format__(self, _spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Raw) and self._held == other._held

    def __hash__(self) -> int:
        return hash(self._held)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: dict[int, Any]) -> Self:
        return self

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise TypeError("raw values stay in the process that read them")


def open_raw(raw: Raw[_Opened]) -> _Opened:
    """Return what is inside: for those who turn it into something publishable, or search for it."""
    return raw._held
