"""What values can show of the treatment that their metric declares. Written anew: nothing of the transformer's."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from schemas.table import Treatment

_BLANKS: Final = frozenset({float(1 << 63)} | {float(base + kind) for base in (2**31 - 16, 2**47) for kind in range(4)})
"""DCGM's placeholders for what it does not have, as its three widths of numbers become floats."""
_MINUTE: Final = 60


def count_untreated(treatment: Treatment, values: npt.NDArray[np.float64]) -> int:
    """Return how many of the values, none of them null, the treatment would never have left.

    >>> count_untreated("bucket", np.array([96.0, 100.0, 128.0])), count_untreated("age", np.array([120.0, 7.5]))
    (1, 1)
    """
    finite: npt.NDArray[Any] = values[np.isfinite(values)]
    if treatment == "bucket":
        mantissa, _ = np.frexp(finite[finite > 0])
        return int(np.count_nonzero((mantissa != 0.5) & (mantissa != 0.75)))
    if treatment == "age":
        return int(np.count_nonzero((finite < 0) | (finite % _MINUTE != 0)))
    if treatment == "blank_to_null":
        return int(np.count_nonzero(np.isin(finite, list(_BLANKS))))
    return 0
