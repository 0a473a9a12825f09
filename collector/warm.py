"""Compile every kernel for the types that reads have, so that no run has to: at install, or while an image is built."""

import numpy as np

from collector.coverage import decode_up
from collector.grid import Grid
from collector.http_read import GriddedBlock
from collector.labels import LabelSets
from collector.native import NativeBlock
from collector.remote_pb2 import Chunk
from collector.remote_read import Gatherer

_ONE_SAMPLE = bytes([0, 1, 0]) + bytes(8)  # its time is 0 and its value 0.0
_ONE_HISTOGRAM = bytes.fromhex("00010074462223ff0000000000000880")  # its time is 0, too


def compile_kernels() -> None:
    """Decode one sample by each way there is. What is compiled is kept as ``collector.kernels.compiled`` says."""
    grid = Grid(0, 60_000, 30_000, 300_000, lookback_includes_edge=True)
    chunk = Chunk(type=Chunk.XOR, data=_ONE_SAMPLE)
    gatherer = Gatherer(grid, "warm-up")
    gatherer.add((("a", "b"),), [chunk])
    gatherer.take().decode_all()
    list(NativeBlock(LabelSets([{}]), [[(2, _ONE_HISTOGRAM)]], grid, "warm-up").decode(np.arange(1)))
    decode_up("warm-up", [((), [chunk])])
    GriddedBlock(LabelSets([{}]), grid, []).decode(np.empty(0, dtype=np.int64))


if __name__ == "__main__":
    compile_kernels()
