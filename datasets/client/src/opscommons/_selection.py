"""Samples that were asked for, and the forms in which they are given."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from opscommons._documents import ReleaseFile
from opscommons._errors import BadRequest, CorruptFile, UnknownColumn
from opscommons._fetch import is_intact
from opscommons._select import Span, table_of

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from opscommons._release import Release

Names = str | Iterable[str]
Columns = str | Iterable[str]
Scalar = str | int | float | bool | None
Where = Mapping[str, Scalar | Iterable[Scalar]]

RATED_TYPES = frozenset({"counter", "histogram"})


def as_names(names: Names) -> tuple[str, ...]:
    """Return the names as a tuple, each once, in order."""
    found = (names,) if isinstance(names, str) else tuple(dict.fromkeys(names))
    if not found or not all(isinstance(name, str) for name in found):
        raise BadRequest(f"found {names!r}, wanted a name or a list of names")
    return found


@dataclass(frozen=True, slots=True)
class Selection:
    """Samples of some metrics in a span. Nothing is read before one of its forms is asked for.

    Rows come metric by metric as asked for; within a metric by day, and within a day by series and time.
    """

    release: "Release" = field(repr=False)
    metrics: tuple[str, ...]
    has_metric_column: bool
    table: str | None
    span: Span
    where: Where
    columns: tuple[str, ...] | None
    rate: bool
    native: bool = False

    @property
    def files(self) -> tuple[ReleaseFile, ...]:
        """The data files that will be read."""
        tables = None if self.table is None else [self.table]
        return self.release.data_files(metrics=self.metrics, tables=tables, span=self.span, native=self.native)

    @property
    def bytes(self) -> int:
        """How much that is to fetch and read."""
        return sum(file.bytes for file in self.files)

    def arrow(self) -> "pa.Table":
        """Return a ``pyarrow.Table``; ``series_id``, ``metric`` and text labels are dictionary-encoded."""
        return self._read(self.columns)

    def pandas(self, *, layout: Literal["long", "wide"] = "long") -> "pd.DataFrame":
        """Return a pandas DataFrame; text columns are categoricals, timestamps ``datetime64[ms, UTC]``.

        ``wide`` has the timestamps as index and one column per series, headed by ``metric`` and ``series_id``
        and by whatever label columns ``columns`` names.
        """
        from opscommons._frames import long_frame, wide_frame

        if layout == "long":
            return long_frame(self.arrow())
        if layout != "wide":
            raise BadRequest(f"layout is {layout!r}, wanted 'long' or 'wide'")
        if self.release.tier == "aggregate":
            raise BadRequest(
                "sums over groups have no wide layout by series; pivot them by namespace and workload_kind"
            )
        if self.native:
            raise BadRequest("native histograms have no wide layout: a histogram is more than one number")
        heads = [name for name in self.columns or () if name not in ("timestamp", "value", "metric", "series_id")]
        return wide_frame(self._read(("metric", "timestamp", "series_id", *heads, "value")), heads=heads)

    def polars(self) -> "pl.DataFrame":
        """Return a Polars DataFrame; needs ``pip install 'opscommons[polars]'``."""
        import polars

        frame = polars.from_arrow(self.arrow())
        if not isinstance(frame, polars.DataFrame):
            raise TypeError(f"Polars made a {type(frame).__name__} of a table")
        return frame

    def duckdb(self, connection: "duckdb.DuckDBPyConnection | None" = None) -> "duckdb.DuckDBPyRelation":
        """Return a DuckDB relation on this connection, or on the default one; needs ``opscommons[duckdb]``."""
        import duckdb

        return duckdb.from_arrow(self.arrow()) if connection is None else connection.from_arrow(self.arrow())

    def _read(self, columns: Sequence[str] | None) -> "pa.Table":
        from opscommons import _read

        by_table = self._files_by_table()
        schemas = {table: _read.read_schema(self._path_for_schema(table, files)) for table, files in by_table.items()}
        known = ["metric", *dict.fromkeys(name for schema in schemas.values() for name in schema.names)]
        for name in (*self.where, *(columns or ())):
            if name not in known or (name == "metric" and name in self.where):
                raise UnknownColumn(
                    name, known=known, where=f"{'table' if len(by_table) == 1 else 'tables'} {', '.join(by_table)}"
                )
        if columns is None:
            columns = _read.all_columns(list(schemas.values()), metric=self.has_metric_column)
        paths = dict(zip(self.files, self.release.local_paths(self.files), strict=True))
        parts: list[pa.Table] = []
        for metric in self.metrics:
            for table, files in by_table.items():
                if metric not in self._metrics_of(table):
                    continue
                chosen = [file for file in files if file.metric == metric]
                try:
                    samples = _read.read_samples(
                        [paths[file] for file in chosen],
                        schema=schemas[table],
                        columns=columns,
                        span=self.span,
                        where=self.where,
                        rate=self.rate and self.release.metric_types(table).get(metric) in RATED_TYPES,
                    )
                except _read.READ_FAILURES as error:
                    damaged = [file.path for file in chosen if not is_intact(paths[file], file)]
                    if not damaged:
                        raise
                    raise CorruptFile(
                        f"{', '.join(damaged)} in {self.release.place.name} cannot be read and has other bytes"
                        " than its manifest says; opscommons verify tells more, opscommons download repairs",
                        paths=damaged,
                    ) from error
                parts.append(_read.with_metric(samples, metric) if "metric" in columns else samples)
        return _read.join(parts, columns=columns)

    def _files_by_table(self) -> dict[str, list[ReleaseFile]]:
        """Return the files to read by table; a table with a metric but without a file in the span has none."""
        tables = [self.table] if self.table else self.release.tables
        found: dict[str, list[ReleaseFile]] = {
            table: [] for table in tables if set(self.metrics) & set(self._metrics_of(table))
        }
        for file in self.files:
            found.setdefault(table_of(file), []).append(file)
        return found

    def _metrics_of(self, table: str) -> tuple[str, ...]:
        return self.release.native_metrics(table) if self.native else self.release.metrics(table)

    def _path_for_schema(self, table: str, files: Sequence[ReleaseFile]) -> Path:
        """Return the smallest file that shows the columns: a misspelt column should not cost a download."""
        candidates = files or self.release.data_files(metrics=None, tables=[table], native=self.native)
        smallest = min(candidates, key=lambda file: file.bytes, default=None)
        if smallest is None:
            raise BadRequest(f"table {table} of release {self.release.version} has no data files")
        return self.release.local_paths([smallest])[0]
