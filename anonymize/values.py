"""What is done to values before they are published, as each metric's schema declares it. Pure, on arrays."""

from typing import Final

import numpy as np
import numpy.typing as npt

from schemas.table import Treatment

Values = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

DCGM_BLANKS: Final = np.array(
    [float(base + kind) for base in (0x7FFFFFF0, 1 << 47) for kind in range(4)] + [float(1 << 63)]
)
"""DCGM's "blank", "not found", "not supported" and "no permission" as int32, float64 and (rounded) int64."""


def treat_values(treatment: Treatment, values: Values, timestamps_ms: npt.NDArray[np.int64]) -> tuple[Values, Mask]:
    """Return the values to publish, and which of them are not null. Both inputs are flat, of one length."""
    valid = np.ones(values.shape, dtype=np.bool_)
    with np.errstate(invalid="ignore", over="ignore"):  # NaNs of exporters may be signalling ones
        if treatment == "blank_to_null":
            valid = ~np.isin(values, DCGM_BLANKS)
        elif treatment == "bucket":
            values = round_up_to_bucket(values)
        elif treatment == "age":
            minutes = np.floor((timestamps_ms / 1000 - values) / 60)
            values = np.maximum(minutes, 0.0) * 60
    return unify_nans(values), valid


def unify_nans(values: Values) -> Values:
    """Return the values with one NaN for all: payloads could carry a message."""
    nan = np.isnan(values)
    return np.where(nan, np.nan, values) if nan.any() else values


def round_up_to_bucket(values: Values) -> Values:
    """Return the next 2**n or 3 * 2**(n-1) at or above each positive value; others stay.

    >>> round_up_to_bucket(np.array([100.0, 96.0, 128.0, 0.0]))
    array([128.,  96., 128.,   0.])
    """
    fraction, exponent = np.frexp(values)  # value = fraction * 2**exponent, 0.5 <= fraction < 1
    top = np.select([fraction <= 0.5, fraction <= 0.75], [0.5, 0.75], 1.0)
    rounded = np.ldexp(top, exponent)
    return np.where(np.isfinite(values) & (values > 0), rounded, values)
