"""The columns of what is counted by hours. Apart from the kernels, so that readers need not import numba."""

from typing import Final

RECEIVED: Final = 0
"""Samples, stale markers left out."""
EXPECTED: Final = 1
"""Samples that the scrapes of a series' target should have given it while it lived."""
HELD: Final = 2
"""Grid points whose sample was older than 1.5 of the series' intervals."""
HOUR_COLUMNS: Final = 3
