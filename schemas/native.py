"""The Arrow form of native histograms: the physical columns of ``<table>_nh``, staged and released.

A row is one series at one grid point. Bucket i of schema n (-4 to 8) holds what lies in
``(2 ** ((i - 1) / 2 ** n), 2 ** (i / 2 ** n)]`` on the positive side, and mirrored on the negative one; bucket i of
schema -53 lies between ``custom_bounds[i - 1]`` and ``custom_bounds[i]``, open where there is none. A span is a run of
buckets: its offset is how many are left out since the one before, or the index of the very first.
"""

from typing import TYPE_CHECKING, Final

import pyarrow as pa

from schemas.arrow import TIMESTAMP, label_field
from schemas.table import NATIVE_SUFFIX, TableSchema

if TYPE_CHECKING:
    from typing import Any

    Field = pa.Field[Any]  # the stubs know a parameter that the class itself does not take

CUSTOM_SCHEMA: Final = -53
"""The schema of buckets with bounds of their own."""

SPAN = pa.struct([pa.field("offset", pa.int32(), nullable=False), pa.field("length", pa.uint32(), nullable=False)])
SPANS = pa.list_(pa.field("element", SPAN, nullable=False))
COUNTS = pa.list_(pa.field("element", pa.float64(), nullable=False))

VALUE_FIELDS: "Final[list[Field]]" = [
    pa.field("schema", pa.int8(), nullable=False),
    pa.field("zero_threshold", pa.float64(), nullable=False),
    pa.field("zero_count", pa.float64(), nullable=False),
    pa.field("sum", pa.float64(), nullable=False),
    pa.field("count", pa.float64(), nullable=False),
    pa.field("positive_spans", SPANS, nullable=False),
    pa.field("positive_counts", COUNTS, nullable=False),
    pa.field("negative_spans", SPANS, nullable=False),
    pa.field("negative_counts", COUNTS, nullable=False),
    pa.field("custom_bounds", COUNTS, nullable=False),  # of schema -53, else empty
]
"""What stands in the place of ``value``. Counts are each bucket's own, absolute, and never zero."""
FLOAT_LEAVES: Final = ("sum", "count", *(f"{name}.list.element" for name in ("positive_counts", "negative_counts")))
"""The paths of the Parquet columns that hold most bytes."""
VALUE_COLUMNS: Final = frozenset(field.name for field in VALUE_FIELDS)


def native_name(table: str) -> str:
    """Return the name of the table that holds a table's native histograms."""
    return table + NATIVE_SUFFIX


def native_schema(table: TableSchema) -> pa.Schema:
    """Return the columns of a released data file of ``<table>_nh``: timestamp, series_id, labels, the histogram."""
    fields: list[Field] = [
        pa.field("timestamp", TIMESTAMP, nullable=False),
        pa.field("series_id", pa.string(), nullable=False),
        *(label_field(column) for column in table.labels),
        *VALUE_FIELDS,
    ]
    return pa.schema(fields)


def staged_native_schema(table: TableSchema) -> pa.Schema:
    """Return the columns of a staged file of ``<table>_nh``: those of its release form behind ``metric``."""
    return pa.schema([pa.field("metric", pa.string(), nullable=False), *native_schema(table)])
