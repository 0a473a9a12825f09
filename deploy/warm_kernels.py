"""Compile every numba kernel into ``NUMBA_CACHE_DIR``, once while the image is built or the project installed."""

from collector.warm import compile_kernels

compile_kernels()
