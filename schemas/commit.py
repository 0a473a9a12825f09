"""What the private staging store holds beside the data: its write-once description and the commit records."""

from dataclasses import field
from datetime import datetime
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict
from pydantic.dataclasses import dataclass

from schemas.coverage import HourReason
from schemas.windows import Window

STORE_FORMAT = "1.0"
COMMIT_FORMAT = "1.4"
"""1.1 added the estimate, reason and scrapes of an hour; 1.2 native histograms, 1.3 what changed at the source, 1.4 the
comparison with the order of raw names. Older records are read as well."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


_STRICT: Final = ConfigDict(extra="forbid")


class StoreDescription(_Strict):
    """``store.json``: what every window in a store has in common. Written once, never changed."""

    format_version: str = STORE_FORMAT
    window_ms: int
    step_ms: int
    lookback_ms: int
    timestamps: Literal["grid", "raw"] = "grid"


class Span(_Strict):
    """A half-open window as it stands in JSON."""

    start: datetime
    end: datetime

    @property
    def window(self) -> Window:
        """The same as a value that plans are made of."""
        return Window(self.start, self.end)


class RawScan(_Strict):
    """The search of one finished file, read back from disk, for every raw value that the run had seen."""

    searched: int
    """Distinct raw values that the run had seen. The short ones, for which the grammar speaks, are among them: to leave
    them out would tell how many names are short."""
    hits: int


class RawOrder(_Strict):
    """The comparison of the order of one finished file's rows, read back from disk, with that of raw names.

    How near they came to each other is not kept: it would tell of the names.
    """

    compared: int
    """Names that were compared with others of their scope."""
    follows: int
    """Columns of which the order is that of the raw names, or its reverse."""


class CommitFile(_Strict):
    """One staged file. ``path`` is relative to the store."""

    path: str
    sha256: str
    bytes: int
    rows: int
    raw_scan: RawScan
    raw_order: RawOrder | None = None
    """Null in records of a format before 1.4."""
    form: Literal["float", "native"] = "float"
    """What its rows hold: a value, or a native histogram."""


MetricStatus = Literal["complete", "empty", "partial", "failed"]


@dataclass(frozen=True, slots=True, config=_STRICT)  # a release holds a year of them; models take four times as much
class HourCoverage:
    """What one metric had in one hour of UTC, or in the part of it that is in the window.

    Counts of samples are sums over series. More may be received than expected: a target may send several samples of
    one series in one scrape.
    """

    start: datetime
    expected: int
    """Raw samples that the scrapes of the series' targets should have given while the series lived.

    Scrapes that failed are expected of nobody, those that the source itself missed are.
    """
    received: int
    """Raw samples that the source gave."""
    held: int | None
    """Grid points whose sample was older than 1.5 scrape intervals; null where raw samples could not be seen."""
    points: int
    """Grid points that have a value."""
    estimated: bool = False
    """Whether ``expected`` was told from grid points, since raw samples could not be seen."""
    reason: HourReason | None = None
    """What cost most of the samples that are missing, or why there is no series."""
    scrapes: int | None = None
    """Scrapes of the targets that gave the metric, the next two among them; null where no target is known."""
    scrapes_failed: int | None = None
    """Those that the target did not answer."""
    scrapes_unseen: int | None = None
    """Those that the source itself missed."""


@dataclass(frozen=True, slots=True, config=_STRICT)
class MetricCoverage:
    """How one metric of one window ended."""

    metric: str
    status: MetricStatus
    reason: str | None = None
    series: int = 0
    rows: int = 0
    """Grid points of all series that have something there."""
    native_rows: int = 0
    """Those of them that have a native histogram."""
    skipped: dict[str, int] = field(default_factory=dict)
    """Why to how many: series of which nothing is there, since they cannot be read or published."""
    interval_ms: int | None = None
    """The scrape interval most series had; null when no series had two samples."""
    hours: tuple[HourCoverage, ...] = ()
    dropped_labels: tuple[str, ...] = ()
    """Names of labels that came with the series and that nobody declared."""
    replica: int | None = None
    """Which of the replicas gave it: 0 is ``source.url``, the others as listed; or its place by the sorted values of
    the replica label. Null where there is but one."""
    types: tuple[str, ...] = ()
    """The types that the server's metadata gave it when it was collected; none: it had no entry, or nobody asked."""
    vanished: bool = False
    """Whether it had series in the window before and has none in this one."""
    new_labels: tuple[str, ...] = ()
    """Those of ``dropped_labels`` that nobody has given a class."""
    outside_vocabulary: dict[str, int] = field(default_factory=dict)
    """Column name to the number of series whose value became ``other`` or null."""


class ReadInfo(_Strict):
    """Which path of which server gave the samples."""

    path: Literal["remote-read", "http"]
    server_version: str | None
    """Major and minor: a patch level would tell an attacker more than a reader."""
    lookback_ms: int
    lookback_includes_edge: bool


class CommitOutline(BaseModel):
    """What a commit record says but for its coverage, which is most of it and is passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    source_token: str
    provenance: Literal["real", "simulated"]
    table: str
    schema_version: str
    schema_digest: str
    window: Span
    files: tuple[CommitFile, ...]
    key_id: str
    policy: str
    policy_digest: str
    read: ReadInfo
    created: datetime


class CommitRecord(_Strict):
    """``commits/<source>/<table>/v<major>/<window>.json``: the one thing that makes staged files exist."""

    format_version: str = COMMIT_FORMAT
    run: str
    source: str
    source_token: str
    provenance: Literal["real", "simulated"]
    table: str
    schema_version: str
    schema_digest: str
    window: Span
    files: tuple[CommitFile, ...]
    key_id: str
    policy: str
    policy_digest: str
    read: ReadInfo
    coverage: tuple[MetricCoverage, ...]
    created: datetime
