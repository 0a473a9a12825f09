"""The columns of a series' statistics. Apart from the kernels, so that readers need not import numba."""

from typing import Final

RECEIVED: Final = 0
"""Samples inside the window, stale markers left out."""
EXPECTED: Final = 1
"""Samples that the series' own interval would have given while it lived."""
HELD: Final = 2
"""Grid points whose sample was older than 1.5 intervals."""
INTERVAL: Final = 3
"""The scrape interval in milliseconds: the median gap; 0 where the series had one sample."""
STATS: Final = 4
