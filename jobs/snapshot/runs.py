"""Write the staged files of one table and window: sorted runs of bounded size."""

from pathlib import Path
from typing import Any, Final, Self

import pyarrow.parquet as pq

from jobs.parquet import Segments, concat_segments, expand_row_groups, open_writer, sort_segments
from schemas.arrow import staged_schema
from schemas.errors import SourceError
from schemas.table import TableSchema

GROUP_ROWS: Final = 250_000
"""Nobody looks for one series in a staged file: large row groups are quicker to write and to search."""
RUN_ROWS: Final = 4_000_000
"""Rows that are gathered before they are sorted and written: about 100 MB in memory."""


class RunWriter:
    """Takes the segments of one metric after another; a file ends when the next sorted piece would not fit.

    Within a file rows are sorted by metric, the table's sort key, series_id and timestamp.
    """

    def __init__(self, folder: Path, table: TableSchema, *, run_rows: int = RUN_ROWS) -> None:
        self.files: dict[Path, int] = {}
        self._folder = folder
        self._table = table
        self._schema = staged_schema(table)
        self._run_rows = run_rows
        self._pending: list[Segments] = []
        self._pending_rows = 0
        self._metric = ""
        self._seen: set[str] = set()
        self._writer: pq.ParquetWriter | None = None
        self._file_rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._writer:
            self._writer.close()

    def begin_metric(self, metric: str) -> None:
        """Say which metric the next segments belong to; metrics come in the order of their names."""
        self._metric = metric
        self._seen = set()

    def add(self, segments: Segments) -> None:
        """Take some series of the metric; each series may come once."""
        names: list[Any] = segments.columns.column("series_id").to_pylist()
        before = len(self._seen)
        self._seen.update(names)
        if len(self._seen) != before + len(names):
            raise SourceError(
                f"{self._metric}: two series differ in nothing but external or replica labels; "
                "take a replica label out of the source with source.match"
            )
        self._pending.append(segments)
        self._pending_rows += segments.rows
        if self._pending_rows >= self._run_rows:
            self._write(more_of_metric=True)

    def end_metric(self) -> None:
        """Write what is left of the metric."""
        self._write(more_of_metric=False)

    def close(self) -> None:
        """Finish the last file."""
        if self._writer:
            self._writer.close()
            self._writer = None

    def _write(self, *, more_of_metric: bool) -> None:
        if not self._pending_rows:
            self._pending = []
            return
        ordered = sort_segments(concat_segments(self._pending), self._table)
        self._pending, self._pending_rows = [], 0
        if self._writer and self._file_rows + ordered.rows > self._run_rows:
            self.close()
        if self._writer is None:
            path = self._folder / f"run-{len(self.files)}.parquet"
            self._writer = open_writer(path, self._schema)
            self.files[path] = 0
            self._file_rows = 0
        for batch in expand_row_groups(ordered, self._schema, {"metric": self._metric}, group_rows=GROUP_ROWS):
            self._writer.write_batch(batch)
        self._file_rows += ordered.rows
        self.files[next(reversed(self.files))] = self._file_rows
        if more_of_metric:
            self.close()  # the rest of the metric is a sorted piece of its own, so a file of its own
