"""Compile the numba kernels into ``NUMBA_CACHE_DIR``, once while the image is built: decode a block of no series."""

from collector.grid import Grid
from collector.remote_read import _Block

_Block(Grid(0, 60_000, 30_000, 300_000, lookback_includes_edge=True), "warm-up").take()
