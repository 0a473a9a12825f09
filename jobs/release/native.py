"""Write the native histograms of one table of a release: committed runs in, one sorted file per metric and day out.

Histograms are large, so runs are merged as they are read: of each only one row group is held, beside its series.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jobs.layout import data_path
from jobs.parquet import ROW_GROUP_ROWS, build_group, open_writer
from jobs.release.merge import Hide, Instants, Merge, begins_series, plan_merge, show_plain
from schemas.native import VALUE_FIELDS, native_name, native_schema
from schemas.table import TableSchema

GROUP_BUCKETS: Final = 1 << 20
"""A row group ends early when it has so many buckets: 8 MB of them."""
HELD_ROWS: Final = 500_000
"""Rows of all runs together that are held at once."""
_FLAT: Final = ["timestamp", *(each.name for each in VALUE_FIELDS)]


@dataclass
class NativeSums:
    """What is counted over the files of one metric."""

    rows: int = 0
    series: int = 0


@dataclass(frozen=True)
class WrittenNative:
    """One file: where it lies and what is in it. ``columns`` has a row for each series and label set."""

    path: str
    rows: int
    first_ms: int
    last_ms: int
    columns: pa.RecordBatch = field(repr=False)


def write_native_day(
    paths: Sequence[Path],
    schema: TableSchema,
    metric: str,
    day: dt.date,
    root: Path,
    *,
    hide: Hide,
    scratch: Path,
    shift_ms: int = 0,
) -> WrittenNative | None:
    """Merge the staged files of one day, in the order of their windows, into one; ``None`` if none has the metric.

    ``day`` is that of the staged timestamps with ``shift_ms`` added.
    """
    fields = [each for each in native_schema(schema) if each.name not in _FLAT]
    merge = plan_merge(
        paths,
        schema,
        metric,
        fields=fields,
        flat=_FLAT,
        hide=hide,
        scratch=scratch,
        shift_ms=shift_ms,
        held_rows=HELD_ROWS,
    )
    if merge is None:
        return None
    path = data_path(native_name(schema.table), metric, day, 0)
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    wanted = native_schema(schema)
    numbers, instants = np.cumsum(begins_series(merge.columns)), Instants(path)
    first_ms, last_ms = 1 << 62, -(1 << 62)
    with open_writer(root / path, wanted) as writer:
        for group in _merge(merge):
            times: Any = group.values.column("timestamp").combine_chunks().cast(pa.int64())
            first_ms, last_ms = min(first_ms, pc.min(times).as_py()), max(last_ms, pc.max(times).as_py())
            instants.check(times.to_numpy(), np.repeat(numbers[group.segments], group.lengths))
            values: dict[str, Any] = {name: group.values.column(name).combine_chunks() for name in _FLAT}
            at: Any = pa.array(group.segments)
            shown = show_plain(merge.columns.take(at))
            writer.write_batch(build_group(shown, group.lengths, values, wanted, {}))
    return WrittenNative(path, int(merge.lengths.sum()), first_ms, last_ms, merge.columns)


@dataclass(frozen=True)
class _Group:
    """Rows of one row group: ``segments`` (int64) are the numbers of their series, ``lengths`` how many each has."""

    segments: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    values: pa.Table


def _merge(merge: Merge) -> Iterator[_Group]:
    """Yield the rows of all runs in the order of their segments, a row group at a time."""
    gathered: list[tuple[int, pa.Table]] = []
    rows = buckets = 0
    for segment, (owner, length) in enumerate(zip(merge.owners.tolist(), merge.lengths.tolist(), strict=True)):
        for piece in merge.runs[owner].cursor.take(length):
            rest = piece
            while rest.num_rows:
                part = rest.slice(0, ROW_GROUP_ROWS - rows)
                rest = rest.slice(part.num_rows)
                gathered.append((segment, part))
                rows += part.num_rows
                buckets += _count_buckets(part)
                if rows == ROW_GROUP_ROWS or buckets >= GROUP_BUCKETS:
                    yield _join(gathered)
                    gathered, rows, buckets = [], 0, 0
    if gathered:
        yield _join(gathered)


def _count_buckets(part: pa.Table) -> int:
    sides = (pc.list_value_length(part.column(name)) for name in ("positive_counts", "negative_counts"))
    return sum(int(pc.sum(lengths).as_py() or 0) for lengths in sides)


def _join(gathered: Sequence[tuple[int, pa.Table]]) -> _Group:
    """Return the pieces as one group; its values do not hold the row groups that they were cut from."""
    segments = np.array([segment for segment, _ in gathered], dtype=np.int64)
    lengths = np.array([part.num_rows for _, part in gathered], dtype=np.int64)
    return _Group(segments, lengths, pa.concat_tables([part for _, part in gathered]).combine_chunks())
