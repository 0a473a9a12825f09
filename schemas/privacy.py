"""``privacy.json``: what was done to a release's identifiers, what was measured, and what is not defended."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from schemas.aggregate import Tier
from schemas.attacks import AttackReport
from schemas.timeline import TimeMode

PRIVACY_FORMAT: Final = "1.0"
Count = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Tokens(_Part):
    """How names became tokens."""

    algorithm: Literal["HMAC-SHA256"] = "HMAC-SHA256"
    bits: Count
    key_id: str
    """The epoch: equal names have equal tokens in all releases of one source and key."""
    key_destroyed: bool
    """Whether the key was gone when the release was built; a later end is in attestations/<version>/."""


class GroupRule(_Part):
    """How those who share a word of a vocabulary are counted."""

    of: tuple[str, ...]
    contributor: str | None
    contributors: Count
    dominance: float


class SmallGroups(_Part):
    """Words that fewer than ``k`` entities share stand as ``other``."""

    k: Count
    rules: dict[str, GroupRule]
    suppressed: tuple[str, ...]
    """Columns, as table.column, in which words are hidden."""


class Dropped(_Part):
    """What came with the source and does not leave, counted and never named."""

    labels: Count
    """Distinct undeclared labels of declared metrics. Metrics that no table declares are never read, so not counted."""
    metrics_without_rows: Count
    """Declared metrics of these tables of which the release has nothing."""


class Search(_Part):
    """What was searched before anything could become public."""

    raw_values_searched: Count
    """Raw values searched for in every staged file of a table and window, read back from disk, summed over tables and
    windows; a hit stops the commit."""


class Linkable(_Part):
    """What can be linked on purpose."""

    within_release: Literal[True] = True
    across_releases_of_key: Literal[True] = True
    statement: str


class Treatments(_Part):
    """What became of each column and each metric's values of one table."""

    columns: dict[str, Annotated[str, StringConstraints(pattern=r"^(pseudonym|vocabulary|number):\w+$")]]
    values: dict[str, str]
    dropped_labels: Count


class Residual(_Part):
    """Something that is not defended."""

    code: Annotated[str, StringConstraints(pattern=r"^[a-z-]+$")]
    title: str
    text: str


class PrivacyStatement(_Part):
    """The whole file."""

    format_version: Literal["1.0"] = PRIVACY_FORMAT
    words: Literal["pseudonymised, not anonymous"] = "pseudonymised, not anonymous"
    policy: str
    policy_version: int
    policy_digest: str
    tokens: Tokens
    time: TimeMode
    tier: Tier = "series"
    """Whether the release holds series, or sums over groups of at least ``small_groups.k`` entities and no series."""
    step_ms: Count
    small_groups: SmallGroups
    dropped: Dropped
    search: Search
    linkable: Linkable
    attacks: AttackReport | None
    """What attacks gave, on the releases that it names; null if the publisher configured no report."""
    not_defended: tuple[Residual, ...]
    request: str
    """How the data are asked to be used."""
    removal: str
    """Where requests for removal go."""
    tables: dict[str, Treatments]
