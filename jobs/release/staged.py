"""Read committed snapshots back: verified files in, segments of one metric out."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.parquet import Segments
from jobs.store import Store
from schemas.arrow import data_schema
from schemas.commit import CommitFile
from schemas.errors import StoreError
from schemas.table import TableSchema


def fetch_verified(store: Store, file: CommitFile, folder: Path) -> Path:
    """Copy a staged file to ``folder`` once; raise ``StoreError`` when it is not what its commit says."""
    path = folder / Path(file.path).name
    if not path.exists():
        store.fetch(file.path, path)
        with path.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
        if found != file.sha256:
            path.unlink()
            raise StoreError(
                f"{file.path} in {store.url} has SHA-256 {found[:16]}…, its commit says {file.sha256[:16]}…"
            )
    return path


def read_segments(paths: Iterable[Path], table: TableSchema, metric: str) -> Iterator[Segments]:
    """Yield the rows of one metric of each staged file that has some."""
    wanted = data_schema(table)
    texts = [field.name for field in wanted if pa.types.is_string(field.type)]
    for path in paths:
        with pq.ParquetFile(path, read_dictionary=texts) as file:
            groups = groups_of(file, metric)
            if not groups:
                continue
            rows = file.read_row_groups(
                groups, columns=[name for name in wanted.names if name in file.schema_arrow.names]
            )
        yield _to_segments(rows.unify_dictionaries().combine_chunks(), wanted)


def groups_of(file: pq.ParquetFile, metric: str) -> list[int]:
    """Return the numbers of the row groups that hold a metric."""
    return [number for number in range(file.num_row_groups) if metric_of(file.metadata.row_group(number)) == metric]


def series_starts(rows: pa.Table) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return where each series begins in sorted rows of one chunk, and how many rows it has: int64 [series]."""
    series: Any = rows.column("series_id").chunk(0)
    codes = series.indices.to_numpy()
    starts = np.flatnonzero(np.concatenate(([True], codes[1:] != codes[:-1])))
    return starts, np.diff(starts, append=len(codes))


def metric_of(group: pq.RowGroupMetaData) -> str:
    """Return the metric of a staged row group, which holds one."""
    statistics = group.column(0).statistics  # the first column is the metric, one value a row group
    if statistics is None or statistics.min != statistics.max:
        raise StoreError("a staged row group holds more than one metric")
    return str(statistics.min)


def _to_segments(rows: pa.Table, wanted: pa.Schema) -> Segments:
    starts, lengths = series_starts(rows)
    at: Any = pa.array(starts)
    arrays, fields = [], []
    for field in wanted:
        if field.name in ("timestamp", "value"):
            continue
        if field.name in rows.schema.names:
            column: Any = rows.column(field.name).take(at).combine_chunks()
            arrays.append(column.cast(field.type))
        else:  # a column that a later minor version added
            arrays.append(pa.nulls(len(starts), field.type))
        fields.append(field)
    values: Any = rows.column("value").combine_chunks()
    timestamps: Any = rows.column("timestamp").combine_chunks()
    return Segments(
        pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields)),
        lengths,
        timestamps.cast(pa.int64()).to_numpy(),
        values.to_numpy(zero_copy_only=False),
        values.is_valid().to_numpy(zero_copy_only=False),
    )
