"""Write the staged files of one table and window: sorted runs of bounded size, row group by row group."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.parquet import STAGED_LEVEL, choose_value_encoding, open_staged_writer
from schemas.arrow import staged_schema
from schemas.table import TableSchema

GROUP_ROWS: Final = 250_000
"""Nobody looks for one series in a staged file: large row groups are quicker to write and to search."""
SHARED_ROWS: Final = 1_000_000
"""Runs smaller than this share a file; a larger one has its own, in the encoding that fits its values."""


@dataclass(frozen=True, slots=True)
class RunStart:
    """A sorted run of up to so many rows begins; ``encoding`` fits its values, if it has a file of its own."""

    metric: str
    most_rows: int
    encoding: str | None


def begin_run(
    metric: str, *, most_rows: int, values: npt.NDArray[np.float64], shared_rows: int = SHARED_ROWS
) -> RunStart:
    """Decide how a run is written, from its size and its first values."""
    own = most_rows > shared_rows
    return RunStart(metric, most_rows, choose_value_encoding(values, level=STAGED_LEVEL) if own else None)


class RunWriter:
    """Takes the sorted runs of one metric after another, each as a few row groups.

    Within a file rows are sorted by metric, the table's sort key, series_id and timestamp. A run that may be large has
    a file of its own; the others follow one another in files that end at ``shared_rows``.
    """

    def __init__(self, folder: Path, table: TableSchema, *, shared_rows: int = SHARED_ROWS) -> None:
        self.files: dict[Path, int] = {}
        self._folder = folder
        self._schema = staged_schema(table)
        self._shared_rows = shared_rows
        self._path: Path | None = None
        self._writer: pq.ParquetWriter | None = None
        self._run: RunStart | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def begin(self, run: RunStart) -> None:
        """Begin a sorted run; metrics come in the order of their names."""
        full = self._path is not None and self.files[self._path] + run.most_rows > self._shared_rows
        again = run.metric == self._run.metric if self._run else False  # two runs of one metric are not one sorted run
        if full or again or run.encoding or (self._run and self._run.encoding):
            self.close()
        if self._writer is None:
            self._path = self._folder / f"run-{len(self.files)}.parquet"
            self.files[self._path] = 0
            self._writer = open_staged_writer(
                self._path, self._schema, value_encoding=run.encoding or "BYTE_STREAM_SPLIT"
            )
        self._run = run

    def add(self, group: pa.RecordBatch) -> None:
        """Write the next row group of the run."""
        assert self._path  # noqa: S101 - a run was begun
        assert self._writer  # noqa: S101
        self._writer.write_batch(group)
        self.files[self._path] += group.num_rows

    def close(self) -> None:
        """Finish the file in work."""
        if self._writer:
            self._writer.close()
        self._writer = self._path = self._run = None
