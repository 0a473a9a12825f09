"""Write the series index of one table of a release as its data files are made: a row for each series of each file."""

from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.parquet import ROW_GROUP_ROWS, open_table_writer
from jobs.release.floats import WrittenPart
from jobs.release.layout import series_path
from jobs.release.merge import show_plain
from schemas.arrow import series_schema
from schemas.table import Metric, TableSchema


class SeriesIndex:
    """Takes the rows of one file after another; less than a row group of them is held beside those of a file.

    There is no file when there are no rows.
    """

    def __init__(self, schema: TableSchema, root: Path) -> None:
        self.rows = 0
        self._schema = series_schema(schema)
        self._path = root / series_path(schema.table)
        self._writer: pq.ParquetWriter | None = None
        self._rest = self._schema.empty_table()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._rest.num_rows and not exception[0]:
            self._write(self._rest)
        if self._writer:
            self._writer.close()

    def add(self, part: WrittenPart, metric: Metric, interval_ms: int | None) -> None:
        """Add the series of a file: what each is, and which row group to fetch for it."""
        columns, count = show_plain(part.columns), part.columns.num_rows
        given: dict[str, Any] = {
            "metric": pa.array([metric.name] * count),
            "type": pa.array([metric.type] * count),
            "unit": pa.array([metric.unit] * count),
            "first_timestamp": pa.array(part.first_ms),
            "last_timestamp": pa.array(part.last_ms),
            "rows": pa.array(part.lengths),
            "interval_ms": pa.array([interval_ms] * count, pa.int32()),
            "path": pa.array([part.path] * count),
            "row_group": pa.array(part.starts // ROW_GROUP_ROWS, pa.int32()),
        }
        arrays = [
            given[each.name].cast(each.type) if each.name in given else columns.column(each.name)
            for each in self._schema
        ]
        self.rows += count
        rest = pa.concat_tables([self._rest, pa.Table.from_arrays(arrays, schema=self._schema)])
        whole = rest.num_rows // ROW_GROUP_ROWS * ROW_GROUP_ROWS
        for begin in range(0, whole, ROW_GROUP_ROWS):
            self._write(rest.slice(begin, ROW_GROUP_ROWS))
        self._rest = rest.slice(whole)

    def _write(self, rows: pa.Table) -> None:
        if self._writer is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = open_table_writer(self._path, self._schema)
        self._writer.write_table(rows, row_group_size=ROW_GROUP_ROWS)
