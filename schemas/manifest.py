"""What a public store holds beside the data: the manifest of each release, and the catalog of all."""

import datetime as dt
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from schemas.aggregate import Tier
from schemas.timeline import TimeMode

MANIFEST_FORMAT = "1.0"
CATALOG_FORMAT = "1.0"

Provenance = Literal["real", "simulated"]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ReleaseFile(_Strict):
    """One file of a release. ``path`` is relative to the release, as it stands in a URL before URL-encoding.

    Roles so far: data, native, aggregate, series, coverage, quality, privacy, schema, card, citation, license.
    Readers pass over roles that they don't know.
    """

    path: str
    role: str
    bytes: int
    sha256: str
    rows: int | None = None
    table: str | None = None
    metric: str | None = None
    date: dt.date | None = None
    min_timestamp: datetime | None = None
    max_timestamp: datetime | None = None


class ReleaseTable(_Strict):
    """One table of a release."""

    table: str
    schema_version: str
    schema_digest: str
    rows: int
    series: int
    metrics: tuple[str, ...]


class Totals(_Strict):
    """Sums over the release."""

    files: int
    bytes: int
    data_bytes: int
    rows: int
    series: int


class ReleaseInfo(_Strict):
    """What the operator says about the release."""

    version: str
    title: str
    license: str
    maintainer: str
    contact: str


class Manifest(_Strict):
    """``manifest.json``: every file of a release but itself and SHA256SUMS."""

    format_version: str = MANIFEST_FORMAT
    release: ReleaseInfo
    provenance: Provenance
    created: datetime
    """When the newest snapshot in it was committed: the same input gives the same bytes."""
    start: datetime
    end: datetime
    step_ms: int
    time: TimeMode = "calendar"
    """In which time every instant of the release is told, ``created`` among them."""
    tier: Tier = "series"
    """Whether it holds series, or sums over groups and no series."""
    sources: tuple[str, ...]
    key_id: str
    policy: str
    policy_digest: str
    tables: tuple[ReleaseTable, ...]
    totals: Totals
    files: tuple[ReleaseFile, ...]


class CatalogEntry(_Strict):
    """One release in the catalog."""

    version: str
    path: str
    created: datetime
    manifest_sha256: str
    bytes: int
    rows: int
    provenance: Provenance
    time: TimeMode = "calendar"
    """In which time ``created`` is told."""
    status: Literal["published", "retracted"] = "published"
    reason: str | None = None


class Catalog(_Strict):
    """``catalog.json``: a pure function of the manifests and retractions present, newest release last."""

    format_version: str = CATALOG_FORMAT
    latest: str | None
    releases: tuple[CatalogEntry, ...]


class Retraction(_Strict):
    """``retractions/<version>.json``: the tombstone of a withdrawn release."""

    version: str
    reason: str
    retracted: datetime
    created: datetime
    manifest_sha256: str
    provenance: Provenance
    time: TimeMode = "calendar"
    """In which time ``created`` is told; ``retracted`` is calendar time in any case."""
    bytes: int
    rows: int
