"""Decode whole series to their raw samples, off any grid: for what must be known of scrapes."""

from collector.kernels.compiled import kernel
from collector.kernels.grid import order_samples
from collector.kernels.xor import decode_chunk


@kernel
def decode_series(data, chunk_ends, series_chunks, times, bits, lengths):
    """Fill the flat ``times`` (int64, ms) and ``bits`` (uint64) series after series, each ordered by time.

    ``data`` is uint8 [bytes + PADDING]; ``chunk_ends`` int64 [chunks]; ``series_chunks`` int64 [series], the number of
    chunks up to and with each series; ``lengths`` int64 [series] takes the samples of each. Returns the number of
    samples, or the negative code of a broken chunk.
    """
    at = 0
    chunk = 0
    begin = 0
    for series in range(series_chunks.size):
        count = 0
        while chunk < series_chunks[series]:
            found = decode_chunk(data, begin, chunk_ends[chunk], times, bits, at + count)
            if found < 0:
                return found
            begin = chunk_ends[chunk]
            count += found
            chunk += 1
        lengths[series] = order_samples(times[at:], bits[at:], count)
        at += lengths[series]
    return at
