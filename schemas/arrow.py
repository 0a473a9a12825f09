"""The Arrow form of a table schema: the physical columns of staged and of released files."""

from typing import TYPE_CHECKING

import pyarrow as pa

from schemas.table import LabelColumn, TableSchema

if TYPE_CHECKING:
    from typing import Any

    Field = pa.Field[Any]  # the stubs know a parameter that the class itself does not take

TIMESTAMP = pa.timestamp("ms", tz="UTC")


def label_field(column: LabelColumn) -> "Field":
    """Return the nullable field of one label column."""
    return pa.field(column.name, pa.int32() if column.number == "int32" else pa.string())


def data_schema(table: TableSchema) -> pa.Schema:
    """Return the columns of a released data file: timestamp, series_id, labels, value."""
    fields: list[Field] = [
        pa.field("timestamp", TIMESTAMP, nullable=False),
        pa.field("series_id", pa.string(), nullable=False),
        *(label_field(column) for column in table.labels),
        pa.field("value", pa.float64()),
    ]
    return pa.schema(fields)


def staged_schema(table: TableSchema) -> pa.Schema:
    """Return the columns of a staged file: those of its release form behind ``metric``."""
    return pa.schema([pa.field("metric", pa.string(), nullable=False), *data_schema(table)])


def series_schema(table: TableSchema) -> pa.Schema:
    """Return the columns of ``series/<table>.parquet``: one row per series, with where to find it."""
    fields: list[Field] = [
        pa.field("series_id", pa.string(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        *(label_field(column) for column in table.labels),
        pa.field("type", pa.string(), nullable=False),
        pa.field("unit", pa.string(), nullable=False),
        pa.field("first_timestamp", TIMESTAMP, nullable=False),
        pa.field("last_timestamp", TIMESTAMP, nullable=False),
        pa.field("rows", pa.int64(), nullable=False),
        pa.field("interval_ms", pa.int32()),
        pa.field("path", pa.string(), nullable=False),
        pa.field("row_group", pa.int32(), nullable=False),
    ]
    return pa.schema(fields)


_COVERAGE_FIELDS: "list[Field]" = [
    pa.field("source", pa.string(), nullable=False),
    pa.field("table", pa.string(), nullable=False),
    pa.field("metric", pa.string(), nullable=False),
    pa.field("hour", TIMESTAMP, nullable=False),
    pa.field("expected", pa.int64(), nullable=False),
    pa.field("received", pa.int64(), nullable=False),
    pa.field("points", pa.int64(), nullable=False),
    pa.field("held", pa.int64()),
    pa.field("status", pa.string(), nullable=False),
    pa.field("reason", pa.string()),
    pa.field("estimated", pa.bool_(), nullable=False),
    pa.field("scrapes", pa.int64()),
    pa.field("scrapes_failed", pa.int64()),
    pa.field("scrapes_unseen", pa.int64()),
]
COVERAGE_SCHEMA = pa.schema(_COVERAGE_FIELDS)
