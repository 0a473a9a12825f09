"""What every record of one release begins with."""

from pydantic import BaseModel, ConfigDict


class OfRelease(BaseModel):
    """A record that speaks of exactly the bytes of one release, which the hash of its manifest names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    manifest_sha256: str
