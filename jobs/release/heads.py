"""What a release holds of each commit while it is built: all but its coverage, which is read again table by table.

A year of hourly windows is some 200,000 commits. Whole records of them would take ten gigabytes; these take less than
one kilobyte each, since most of what they say is the same.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from jobs.snapshot import commits
from jobs.store import Store
from schemas.commit import CommitOutline, CommitRecord, RawScan, ReadInfo
from schemas.manifest import Provenance
from schemas.windows import Window

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class HeldFile:
    """One staged file of a commit."""

    path: str
    sha256: str
    form: str
    raw_scan: RawScan


@dataclass(frozen=True, slots=True)
class CommitHead:
    """A commit without its coverage."""

    key: str
    """Of its record in the staging store."""
    source_token: str
    provenance: Provenance
    table: str
    schema_version: str
    schema_digest: str
    window: Window
    files: tuple[HeldFile, ...]
    key_id: str
    policy: str
    policy_digest: str
    read: ReadInfo
    created: datetime


class HeadMaker:
    """Makes heads that share what is the same in them."""

    def __init__(self) -> None:
        self._known: dict[Any, Any] = {}

    def make(self, key: str, record: CommitRecord | CommitOutline) -> CommitHead:
        """Return the head of a record with this key."""
        return CommitHead(
            key=key,
            source_token=self._one(record.source_token),
            provenance=record.provenance,
            table=self._one(record.table),
            schema_version=self._one(record.schema_version),
            schema_digest=self._one(record.schema_digest),
            window=self._one(record.window.window),
            files=tuple(HeldFile(file.path, file.sha256, file.form, self._one(file.raw_scan)) for file in record.files),
            key_id=self._one(record.key_id),
            policy=self._one(record.policy),
            policy_digest=self._one(record.policy_digest),
            read=self._one(record.read),
            created=record.created,
        )

    def _one(self, value: _T) -> _T:
        found: _T = self._known.setdefault(value, value)
        return found


def read_heads(store: Store, source: str) -> Iterator[CommitHead]:
    """Yield the heads of all commits of a source, by table and time."""
    maker = HeadMaker()
    for key, outline in commits.read_outlines(store, store.list(f"commits/{source}/")):
        yield maker.make(key, outline)


def read_records(store: Store, heads: Sequence[CommitHead]) -> Iterator[CommitRecord]:
    """Yield the whole records of some heads, in their order."""
    return commits.read_records(store, (head.key for head in heads))
