"""The aggregate tier: sums over the entities of a group, in the place of series. Its columns, and what a value is."""

from typing import TYPE_CHECKING, Final, Literal

import pyarrow as pa

from schemas.arrow import TIMESTAMP, label_field
from schemas.table import LabelColumn, Metric, TableSchema

if TYPE_CHECKING:
    from typing import Any

    Field = pa.Field[Any]

Tier = Literal["series", "aggregate"]
"""``series``: a release holds series. ``aggregate``: it holds sums over at least k entities, and no series."""
AGGREGATE: Final = "aggregate"
"""The role of the files of an aggregate release, and its tier."""
NAMESPACE, KIND, ENTITIES = "namespace", "workload_kind", "entities"
KIND_VOCABULARIES: Final = ("workload_kinds", "owner_kinds")
"""What a kind may be a word of: what the workload is or, where that was not collected, what owns the pod."""
_OWN: Final = frozenset({"timestamp", NAMESPACE, KIND, ENTITIES, "value"})


def aggregate_labels(table: TableSchema) -> tuple[LabelColumn, ...]:
    """Return the label columns that groups keep: words and numbers that point at nobody."""
    return tuple(
        column
        for column in table.labels
        if not column.identity and not column.quasi_identifier and column.name not in _OWN
    )


def aggregate_schema(table: TableSchema) -> pa.Schema:
    """Return the columns of a file of sums: timestamp, namespace, workload_kind, labels, entities, value."""
    fields: list[Field] = [
        pa.field("timestamp", TIMESTAMP, nullable=False),
        pa.field(NAMESPACE, pa.string()),
        pa.field(KIND, pa.string()),
        *(label_field(column) for column in aggregate_labels(table)),
        pa.field(ENTITIES, pa.int64(), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
    ]
    return pa.schema(fields)


def sums_increases(metric: Metric) -> bool:
    """Return whether the increases of a metric's series are summed, and not what they say: those of counters."""
    return metric.type in ("counter", "histogram") or (
        metric.type == "summary" and metric.name.endswith(("_sum", "_count"))
    )
