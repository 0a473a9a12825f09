"""What attacks on a release gave: numbers alone, so that no name can enter a public file by this door.

Written by ``make attack``; a release that is configured with such a report prints it on its card and in privacy.json.
"""

from datetime import date
from typing import Annotated, Final, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from schemas.manifest import Provenance
from schemas.table import Name

ATTACKS_FORMAT: Final = "1.0"
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Figures(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Dictionary(_Figures):
    """Guessing names: every digest of every candidate, without a key and under keys that people think up."""

    candidates: Count
    """Candidate names, all true ones among them."""
    digests: Count
    """Digests that were computed and compared."""
    tokens: Count
    """Tokens of the release whose name is among the candidates."""
    hits: Count
    """Tokens that were guessed."""


class KnownPair(_Figures):
    """From one name and its token to others."""

    pairs: Count
    """Pairs that were tried, each by itself."""
    others: Count
    """Other tokens, summed over the pairs."""
    named: Count
    """Of these, those that the pair helped to name."""
    series: Share
    """Which share of the release's series carries the token of the pair, at the median."""


class ScrapePhase(_Figures):
    """Telling targets by when they are scraped."""

    targets: Count
    moments: Count
    """Different moments within the scrape interval, to the millisecond."""
    told: Count
    """Targets that were found again in the second half by their moment in the first."""


class RowOrder(_Figures):
    """The order of rows against the order of hidden names."""

    columns: Count
    values: Count
    """Tokens in the column that gives most away."""
    correlation: Share
    """Largest rank correlation, without its sign, of a token's first row and its hidden name."""
    chance: Share
    """What as many unrelated names hardly exceed: once in 16,000 times."""


class Sizes(_Figures):
    """Sizes of files and columns against the lengths of hidden names."""

    groups: Count
    """Column chunks that were weighed."""
    correlation: Share
    """Rank correlation, without its sign, of bytes for each token and the mean length of the names."""
    chance: Share
    """What as many unrelated pairs hardly exceed."""


class StartTimes(_Figures):
    """How many entities are alone with when they began."""

    entities: Count
    unique_by_second: Count
    """By age-like values; published ones know minutes only."""
    unique_by_minute: Count
    unique_by_hour: Count
    arrivals: Count
    """Entities that appear after the release begins."""
    unique_arrivals: Count
    """Of these, those that appear alone."""


class Differencing(_Figures):
    """Telling a word that is hidden as ``other`` from other values, tables and releases."""

    hidden: Count
    """Entities whose word is hidden somewhere."""
    told_by_values: Count
    """Of these, those that capacities or other values tell."""
    told_by_tables: Count
    """... that another table tells."""
    told_by_releases: Count
    """... that another release of the same key tells."""


class Relinked(_Figures):
    """How many entities were found again in a release under another key, by values alone."""

    by: Literal["shape", "continuing", "overlap"]
    """The shape of the curves; counters and ages that go on across the boundary; samples that both releases hold."""
    population: Annotated[int, Field(ge=1)]
    """Candidates in the other release."""
    further_clusters: bool
    """Whether further simulated clusters fill the population, with values as the simulation makes them."""
    top1: Share
    top10: Share


class Relinking(_Figures):
    """Finding entities again across keys."""

    overlap_minutes: Count
    results: tuple[Relinked, ...]


class Capacities(_Figures):
    """How many nodes are alone with their capacities."""

    nodes: Count
    kinds: Count
    """Different sets of capacities."""
    unique: Count


class Smallest(_Figures):
    """The smallest group of one quasi-identifier column."""

    table: Name
    column: Name
    words: Count
    entities: Count
    smallest: Count
    """Entities that share the rarest word, ``other`` not counted."""
    below_five: Count
    """Words that fewer than five share."""


class SmallestGroups(_Figures):
    """How few share a word."""

    columns: tuple[Smallest, ...]


Figures = TypeVar("Figures", bound=_Figures)


class Tried(BaseModel, Generic[Figures]):
    """One attack: what it gave on a release, and on a copy weakened so that it must succeed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    release: Figures
    control: Figures


class Machine(_Figures):
    """What it ran on."""

    cpus: Count | None
    architecture: Annotated[str, StringConstraints(pattern=r"^\w{1,16}$")]
    python: Annotated[str, StringConstraints(pattern=r"^[\w.+]{1,16}$")]


class MeasuredOn(_Figures):
    """Which releases were attacked."""

    provenance: Provenance
    policy: Name
    policy_version: Count
    policy_digest: Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
    releases: Count
    hours: Count
    """Of each release."""
    rows: Count
    series: Count
    nodes: Count
    namespaces: Count
    pods: Count


class AttackReport(_Figures):
    """All of it. ``control`` of an attack shows that it works where nothing defends."""

    format_version: Literal["1.0"] = ATTACKS_FORMAT
    commit: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{7,40}(-dirty)?|unknown)$")]
    measured: date
    seconds: Count
    machine: Machine | None
    """On what it was measured; null where it is published, since that is the publisher's own."""
    on: MeasuredOn
    dictionary: Tried[Dictionary]
    known_pair: Tried[KnownPair]
    scrape_phase: Tried[ScrapePhase]
    row_order: Tried[RowOrder]
    sizes: Tried[Sizes]
    start_times: Tried[StartTimes]
    differencing: Tried[Differencing]
    relinking: Tried[Relinking]
    capacities: Tried[Capacities]
    smallest_groups: Tried[SmallestGroups]
