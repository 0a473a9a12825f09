"""The two hot loops, compiled by numba: decode a Gorilla (XOR) bit stream, put samples on a step grid.

Kernels are plain functions over arrays. They raise nothing: a negative result names what was wrong.
"""
