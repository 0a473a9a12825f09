"""Read committed snapshots back: verified files in, where the rows of a metric and its series lie in them out."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.release.heads import HeldFile
from jobs.store import Store, fetch_hashed
from schemas.commit import CommitFile
from schemas.errors import StoreError


def fetch_verified(store: Store, file: CommitFile | HeldFile, folder: Path) -> Path:
    """Copy a staged file to ``folder`` once; raise ``StoreError`` when it is not what its commit says."""
    path = folder / Path(file.path).name
    if not path.exists():
        found = fetch_hashed(store, file.path, path, file.sha256)
        if found != file.sha256:
            path.unlink()
            raise StoreError(
                f"{file.path} in {store.url} has SHA-256 {found[:16]}…, its commit says {file.sha256[:16]}…"
            )
    return path


def metrics_in(path: Path) -> frozenset[str]:
    """Return the metrics of which a staged file has rows."""
    metadata = pq.read_metadata(path)
    return frozenset(metric_of(metadata.row_group(number)) for number in range(metadata.num_row_groups))


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
