"""What a release says about itself, computed from its data: the one input of card, quality and privacy files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from schemas.aggregate import Tier
from schemas.attacks import AttackReport
from schemas.drift import TypeCheck
from schemas.manifest import Provenance, ReleaseInfo
from schemas.policy import Policy
from schemas.table import TableSchema
from schemas.timeline import TimeMode


@dataclass(frozen=True, slots=True)
class MetricFacts:
    """One metric of a release."""

    metric: str
    rows: int
    series: int
    minimum: float | None
    """Of the finite values; ``None`` when there is none."""
    maximum: float | None
    nulls: int
    nans: int
    interval_ms: int | None
    expected: int
    """Raw samples that the scrapes of the series' targets should have given; 0 when unknown."""
    received: int
    """Raw samples; a target may send more than expected."""
    missing: int
    """Raw samples that were expected and not received, summed over hours."""
    reasons: tuple[str, ...]
    """Why hours of this metric are empty or lack data, each once."""
    native_rows: int = 0
    """Rows of native histograms among all rows."""
    skipped: Mapping[str, int] = field(default_factory=dict)
    """Why to how many: series of which nothing is there, once for each window."""
    type_check: TypeCheck = "unknown"
    """Whether the source's metadata gave it the declared type whenever it was collected."""
    vanished: int = 0
    """Windows without series whose predecessor had some."""


@dataclass(frozen=True, slots=True)
class TableFacts:
    """One table of a release. ``data_bytes`` counts its Parquet files."""

    schema: TableSchema
    schema_digest: str
    rows: int
    series: int
    data_bytes: int
    metrics: tuple[MetricFacts, ...]
    entities: Mapping[str, int]
    """Identity column name to the number of distinct tokens in it."""
    dropped_labels: tuple[str, ...]
    outside_vocabulary: Mapping[str, int]
    new_labels: tuple[str, ...] = ()
    """Those of the dropped labels that nobody has given a class."""

    @property
    def native_rows(self) -> int:
        """Rows of native histograms among all rows."""
        return sum(metric.native_rows for metric in self.metrics)


ALL_METRICS: Final = "all metrics"


@dataclass(frozen=True, slots=True)
class Gap:
    """A span in which a table's metric, or ``ALL_METRICS`` of it, has no data, with the reason."""

    table: str
    metric: str
    start: datetime
    end: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class HourFacts:
    """What all metrics together had in one hour, in raw samples."""

    start: datetime
    expected: int
    missing: int


@dataclass(frozen=True, slots=True)
class ReleaseFacts:
    """One release."""

    info: ReleaseInfo
    provenance: Provenance
    created: datetime
    start: datetime
    end: datetime
    time: TimeMode
    tier: Tier
    step_ms: int
    lookback_ms: int
    window_ms: int
    read_paths: tuple[str, ...]
    server_versions: tuple[str, ...]
    key_id: str
    policy: Policy
    policy_digest: str
    tables: tuple[TableFacts, ...]
    gaps: tuple[Gap, ...]
    hours: tuple[HourFacts, ...]
    """Every hour of the span, in order."""
    estimated: float
    """Which share of the rows of ``coverage.parquet`` is estimated."""
    k: int
    """How many entities must share a word of a quasi-identifier column."""
    suppressed: tuple[tuple[str, str], ...]
    """Pairs of table and column in which words that fewer share are hidden."""
    raw_values_searched: int
    """Raw values searched for in every staged file of a commit, summed over commits."""
    key_destroyed: bool = False
    """Whether the key was gone when the release was built."""
    attacks: AttackReport | None = None
    """What attacks gave, if the publisher configured a report of them."""

    @property
    def rows(self) -> int:
        """All rows."""
        return sum(table.rows for table in self.tables)

    @property
    def native_rows(self) -> int:
        """Those of them that have a native histogram."""
        return sum(table.native_rows for table in self.tables)

    @property
    def series(self) -> int:
        """All series."""
        return sum(table.series for table in self.tables)

    @property
    def data_bytes(self) -> int:
        """Bytes of all data files."""
        return sum(table.data_bytes for table in self.tables)

    @property
    def expected(self) -> int:
        """All raw samples that were expected."""
        return sum(metric.expected for table in self.tables for metric in table.metrics)

    @property
    def missing(self) -> int:
        """All raw samples that were expected and not received."""
        return sum(metric.missing for table in self.tables for metric in table.metrics)

    @property
    def coverage(self) -> float | None:
        """Which share of the expected raw samples is there; ``None`` when nothing was expected or known."""
        return (self.expected - self.missing) / self.expected if self.expected else None
