"""What a table schema may say. One YAML file holds one version of one table."""

import re
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
LabelName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]
MetricName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$")]
Sentence = Annotated[str, StringConstraints(min_length=10, pattern=r"\.$")]

Treatment = Literal["exact", "blank_to_null", "bucket", "age"]
"""What is done to a value before it is published.

exact           the source's bits; every NaN becomes the one canonical NaN
blank_to_null   DCGM's placeholders for "not supported" become null
bucket          a capacity: rounded up to the next 2**n or 3 * 2**(n-1)
age             a start time: whole minutes between it and the row's timestamp, in seconds
"""

RESERVED_COLUMNS = frozenset(
    {"source", "table", "metric", "date", "timestamp", "series_id", "value"}  # data files and their paths
    | {"type", "unit", "first_timestamp", "last_timestamp", "rows", "interval_ms", "path", "row_group"}  # series files
    | {"schema", "zero_threshold", "zero_count", "sum", "count", "custom_bounds"}  # native histograms
    | {"positive_spans", "positive_counts", "negative_spans", "negative_counts"}
)
NATIVE_SUFFIX = "_nh"
"""What the name of a table's native histograms ends with."""
MATCHER = re.compile(r'^(?P<name>[a-zA-Z_][a-zA-Z0-9_]*)(?P<op>=~|!~|!=|=)"(?P<value>[^"\\]*)"$')


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LabelColumn(_Strict):
    """One published label column. Exactly one of identity, vocabulary and number says how it is made safe."""

    name: Name
    label: LabelName | None = None
    also: tuple[LabelName, ...] = ()
    """Labels that stand in where a series lacks the first, in order: exporters rename, and scrapes prefix."""
    identity: Name | None = None
    vocabulary: Name | None = None
    number: Literal["int32", "text"] | None = None
    quasi_identifier: bool = False
    meaning: Sentence

    @property
    def source_label(self) -> str:
        """The label in Prometheus that the column is made from."""
        return self.label or self.name

    @property
    def source_labels(self) -> tuple[str, ...]:
        """Every label that the column may be made from; the first of them that a series has counts."""
        return (self.source_label, *self.also)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        kinds = [kind for kind in (self.identity, self.vocabulary, self.number) if kind]
        if len(kinds) != 1:
            raise ValueError(
                f"column {self.name}: found {len(kinds)} of identity, vocabulary, number; wanted exactly one"
                " (a label that is none of them is not published: leave it out)"
            )
        if self.name in RESERVED_COLUMNS:
            raise ValueError(f"column {self.name}: the format itself takes that name; choose another, and set label")
        if len(set(self.source_labels)) != len(self.source_labels):
            raise ValueError(f"column {self.name}: also names a label twice, or the one that comes first anyway")
        return self


class Metric(_Strict):
    """One published metric: an exact name, never a pattern."""

    name: MetricName
    type: Literal["counter", "gauge", "histogram", "summary", "info", "untyped"]
    unit: str
    value: Treatment = "exact"
    exporter: str
    meaning: Sentence
    labels: tuple[Name, ...] = ()
    match: tuple[Annotated[str, StringConstraints(pattern=MATCHER.pattern)], ...] = ()


class TableSchema(_Strict):
    """One version of one published table."""

    table: Name
    version: Annotated[str, StringConstraints(pattern=r"^[1-9]\d*\.\d+$")]
    family: Literal["ops", "ml"]
    description: Sentence
    labels: tuple[LabelColumn, ...] = Field(min_length=1)
    sort_key: tuple[Name, ...]
    metrics: tuple[Metric, ...] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unreviewed(cls, given: object) -> object:
        if isinstance(given, dict) and "unreviewed" in given:
            raise ValueError(
                "is marked unreviewed, so nothing of it may be published; say of each label whether it is an identity, "
                "a vocabulary or a number, or take it out, then remove the line"
            )
        return given

    @property
    def major(self) -> int:
        """The part of the version that readers must know."""
        return int(self.version.split(".")[0])

    @property
    def minor(self) -> int:
        """The part of the version that only adds."""
        return int(self.version.split(".")[1])

    @property
    def label_names(self) -> tuple[str, ...]:
        """The label columns' names, in order."""
        return tuple(column.name for column in self.labels)

    def metric(self, name: str) -> Metric:
        """Return the declared metric of that name; raise ``KeyError`` if there is none."""
        for metric in self.metrics:
            if metric.name == name:
                return metric
        raise KeyError(name)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.table.endswith(NATIVE_SUFFIX):
            raise ValueError(f"table {self.table}: names that end in {NATIVE_SUFFIX} are those of native histograms")
        columns = self.label_names
        if len(set(columns)) != len(columns):
            raise ValueError("a label column is declared twice")
        names = [metric.name for metric in self.metrics]
        if len(set(names)) != len(names):
            raise ValueError("a metric is declared twice")
        if unknown := sorted(set(self.sort_key) - set(columns)):
            raise ValueError(f"sort_key names {unknown}, which are not label columns")
        used = {name for metric in self.metrics for name in metric.labels}
        if unknown := sorted(used - set(columns)):
            raise ValueError(f"metrics name the labels {unknown}, which are not label columns")
        if unused := sorted(set(columns) - used):
            raise ValueError(f"no metric carries the label columns {unused}")
        return self
