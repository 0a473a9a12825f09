"""The one door to numba: how kernels are compiled and where they are kept.

They release the interpreter's lock and are kept on disk, so that a process need not compile for seconds first. Where
no folder can be written, as under a read-only root file system without a writable NUMBA_CACHE_DIR, each process
compiles its own.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

_Kernel = TypeVar("_Kernel", bound=Callable[..., Any])


def kernel(function: _Kernel) -> _Kernel:
    """Compile a function over arrays when it is first called with arguments of some types."""
    return _compile(function)


def inlined(function: _Kernel) -> _Kernel:
    """The same for a small function that its callers take in whole."""
    return _compile(function, inline="always")


def _compile(function: _Kernel, **options: Any) -> _Kernel:
    try:
        compiled: _Kernel = njit(cache=True, nogil=True, **options)(function)
    except RuntimeError:  # "no locator available": there is nowhere to keep it
        compiled = njit(nogil=True, **options)(function)
    return compiled
