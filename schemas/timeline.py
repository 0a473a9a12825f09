"""What the private staging store keeps of the time that releases tell: shifts of epochs, and real spans of releases."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from schemas.of_release import OfRelease

TIMELINE_FORMAT = "1.0"

TimeMode = Literal["calendar", "shifted", "relative"]
"""``calendar``: as it was. ``shifted``: moved by random whole weeks, equal for all releases of a key; weekday and hour
of day stay. ``relative``: moved by whole days, so that the first day of the release is 1970-01-01; the hour stays.
"""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EpochShift(_Strict):
    """``time/<key_id>.json``: by how many weeks all shifted releases of a key are moved. Drawn once."""

    format_version: str = TIMELINE_FORMAT
    key_id: str
    weeks: int


class ReleaseSpan(OfRelease):
    """``releases/<version>/<manifest_sha256>.json``: the real span of a release whose manifest does not tell it."""

    format_version: str = TIMELINE_FORMAT
    key_id: str
    time: TimeMode
    start: datetime
    end: datetime
