"""Write the series index of one table of a release as its data files are made: a row for each series of each file."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from jobs.layout import series_path
from jobs.parquet import ROW_GROUP_ROWS, GatheredTable
from jobs.release.floats import WrittenPart
from jobs.release.merge import show_plain
from schemas.arrow import series_schema
from schemas.table import Metric, TableSchema


class SeriesIndex(GatheredTable):
    """Takes the rows of one file after another."""

    def __init__(self, schema: TableSchema, root: Path) -> None:
        self._schema = series_schema(schema)
        super().__init__(root / series_path(schema.table), self._schema)

    def add_part(self, part: WrittenPart, metric: Metric, interval_ms: int | None) -> None:
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
        self.add(pa.Table.from_arrays(arrays, schema=self._schema))
