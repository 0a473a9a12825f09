"""What stays of a key that was destroyed: a private record in the staging store, and one beside each release."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

DESTRUCTION_FORMAT = "1.0"


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LostSpan(_Strict):
    """Windows behind one another that a table will never have, since their key is gone."""

    source: str
    table: str
    start: datetime
    end: datetime


class KeyDestruction(_Strict):
    """``keys/<key_id>.json`` of the staging store: when a key was destroyed, and what was given up with it."""

    format_version: str = DESTRUCTION_FORMAT
    key_id: str
    valid_from: datetime | None
    valid_to: datetime
    destroyed: datetime
    snapshots: int
    """Snapshots of the key's time that were committed before; releases can still be made from them."""
    gaps: tuple[LostSpan, ...]


class KeyAttestation(_Strict):
    """``attestations/<version>/key-destroyed.json`` of the public store: nobody can test guesses any more."""

    format_version: str = DESTRUCTION_FORMAT
    version: str
    key_id: str
    destroyed: datetime
