"""The one door to numba: how kernels are compiled and where they are kept.

They release the interpreter's lock and are kept on disk, so that a process need not compile for seconds first. Where
no folder can be written, as under a read-only root file system without a writable NUMBA_CACHE_DIR, each process
compiles its own.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import config, njit

_HERE = Path(__file__).parent


def digest_kernels() -> str:
    """Return a digest of the sources of all kernels."""
    sources = (path.read_bytes() for path in sorted(_HERE.glob("*.py")))
    return hashlib.sha256(b"\0".join(sources)).hexdigest()[:16]


_settings: Any = config
if not _settings.CACHE_DIR:
    # numba looks at a kernel's own file only, so a kernel would keep the code of a callee that has changed
    _settings.CACHE_DIR = str(_HERE / "__pycache__" / digest_kernels())

Kernel = Any  # what numba makes of a function has no type that a checker knows


def kernel(function: Callable[..., Any]) -> Kernel:
    """Compile a function over arrays when it is first called with arguments of some types."""
    return _compile(function)


def inlined(function: Callable[..., Any]) -> Kernel:
    """The same for a small function that its callers take in whole."""
    return _compile(function, inline="always")


def _compile(function: Callable[..., Any], **options: Any) -> Kernel:
    try:
        return njit(cache=True, nogil=True, **options)(function)
    except RuntimeError:  # "no locator available": there is nowhere to keep it
        return njit(nogil=True, **options)(function)
