"""Audit the values of native histograms in a released file, row group by row group."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.native import VALUE_FIELDS

CANONICAL_NAN: Final = np.uint64(0x7FF8000000000000)
_NUMBERS: Final = tuple(each.name for each in VALUE_FIELDS if pa.types.is_float64(each.type))
_LISTS: Final = ("positive_counts", "negative_counts", "custom_bounds")


def count_strange_nans(values: Any) -> int:  # noqa: ANN401 - an Arrow column of floats
    """Return how many values are a NaN with another payload than the canonical one."""
    bits = values.drop_null().to_numpy().view(np.uint64)
    return int(np.count_nonzero(np.isnan(bits.view(np.float64)) & (bits != CANONICAL_NAN)))


def check_histograms(path: Path) -> Iterator[tuple[str, int]]:
    """Yield (code, count) of what no histogram in its canonical form has."""
    found: Counter[str] = Counter()
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            rows = file.read_row_group(group, columns=[each.name for each in VALUE_FIELDS])
            parts: list[Any] = [rows.column(name) for name in _NUMBERS]
            parts += [pc.list_flatten(rows.column(name)) for name in _LISTS]
            found["nan-payload"] += sum(count_strange_nans(part) for part in parts)
            found["spans-differ-from-counts"] += sum(
                _count_broken(rows.column(f"{side}_spans"), rows.column(f"{side}_counts"))
                for side in ("positive", "negative")
            )
    yield from ((code, count) for code, count in found.items() if count)


def _count_broken(spans: Any, counts: Any) -> int:  # noqa: ANN401 - Arrow columns
    """Return in how many rows the spans name another number of buckets than there are, or one bucket is empty."""
    of_spans, of_counts = pc.list_parent_indices(spans), pc.list_parent_indices(counts)
    lengths = pc.struct_field(pc.list_flatten(spans), "length").to_numpy()
    named = np.bincount(of_spans.to_numpy(), weights=lengths, minlength=len(spans))
    empty = np.bincount(of_counts.to_numpy(), weights=pc.list_flatten(counts).to_numpy() == 0, minlength=len(spans))
    return int(np.count_nonzero((named != pc.list_value_length(counts).to_numpy()) | (empty > 0)))
