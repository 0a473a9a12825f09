"""Write the staged files of one table and window: sorted runs of bounded size, row group by row group."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.parquet import PLAIN, STAGED_LEVEL, choose_value_encoding, open_staged_writer
from jobs.snapshot.private import make_private
from schemas.arrow import staged_schema
from schemas.native import staged_native_schema
from schemas.table import TableSchema

GROUP_ROWS: Final = 250_000
"""Nobody looks for one series in a staged file: large row groups are quicker to write and to search."""
FILE_ROWS: Final = 4_000_000
"""A file ends when the next run may not fit: about 10 MB."""
NATIVE_FILE_ROWS: Final = 400_000
"""The same for native histograms."""
Form = Literal["float", "native"]
_FEW_ROWS: Final = 1_000
"""So few values are not worth a try of every encoding."""


@dataclass(frozen=True, slots=True)
class RunStart:
    """A sorted run of up to so many rows of one metric begins; ``encoding`` fits its values, if it has floats."""

    metric: str
    most_rows: int
    encoding: str | None

    @property
    def form(self) -> Form:
        """What the rows hold."""
        return "float" if self.encoding else "native"


def begin_run(metric: str, *, most_rows: int, values: npt.NDArray[np.float64]) -> RunStart:
    """Decide how a run is written, from its first values."""
    few = len(values) < _FEW_ROWS
    return RunStart(metric, most_rows, PLAIN if few else choose_value_encoding(values, level=STAGED_LEVEL))


class RunWriter:
    """Takes the sorted runs of one metric after another, each as a few row groups.

    A file has one encoding for all its values, so runs whose values want the same share one, up to ``file_rows``.
    Within a file rows are sorted by metric, the table's sort key, series_id and timestamp.
    """

    def __init__(self, folder: Path, table: TableSchema, *, file_rows: int = FILE_ROWS) -> None:
        self.files: dict[Path, int] = {}
        self.forms: dict[Path, Form] = {}
        self._folder = folder
        self._schemas: dict[Form, pa.Schema] = {"float": staged_schema(table), "native": staged_native_schema(table)}
        self._file_rows: dict[Form, int] = {"float": file_rows, "native": min(file_rows, NATIVE_FILE_ROWS)}
        self._open: dict[str | None, _OpenFile] = {}
        self._current: _OpenFile | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for file in self._open.values():
            file.writer.close()
        self._open = {}

    def begin(self, run: RunStart) -> None:
        """Begin a sorted run; metrics come in the order of their names."""
        file = self._open.get(run.encoding)
        # two runs of one metric are not one sorted run
        if file and (run.metric == file.metric or self.files[file.path] + run.most_rows > self._file_rows[run.form]):
            file.writer.close()
            file = None
        if file is None:
            path = self._folder / f"run-{len(self.files)}.parquet"
            self.files[path], self.forms[path] = 0, run.form
            make_private(path)
            writer = open_staged_writer(path, self._schemas[run.form], value_encoding=run.encoding)
            file = _OpenFile(path, writer)
            self._open[run.encoding] = file
        file.metric = run.metric
        self._current = file

    def add(self, group: pa.RecordBatch) -> None:
        """Write the next row group of the run."""
        assert self._current  # noqa: S101 - a run was begun
        self._current.writer.write_batch(group)
        self.files[self._current.path] += group.num_rows


@dataclass
class _OpenFile:
    path: Path
    writer: pq.ParquetWriter
    metric: str = ""
