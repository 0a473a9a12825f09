"""What the staging store keeps beside snapshots: policies, what releases hide and when they really are, dead keys."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from pydantic import ValidationError

from jobs.store import Store
from schemas.destruction import KeyDestruction
from schemas.digest import digest, readable_json
from schemas.errors import StoreError
from schemas.policy import Policy
from schemas.suppression import SuppressionRecord
from schemas.timeline import EpochShift, ReleaseSpan
from schemas.windows import Window, windows_between

EXPIRED: Final = "expired/"
"""Where the staging store records which snapshots have lost their files to retention."""


def keep_policy(store: Store, policy: Policy) -> None:
    """Keep a policy under its digest, so that a later one can be compared with it."""
    store.put_new(_policy_key(digest(policy)), readable_json(policy))


def find_policy(store: Store, policy_digest: str) -> Policy | None:
    """Return the policy of a digest; ``None`` when nobody kept it."""
    content = store.get(_policy_key(policy_digest))
    if content is None:
        return None
    try:
        return Policy.model_validate_json(content)
    except ValidationError:
        raise StoreError(f"{_policy_key(policy_digest)} in {store.url} is not a policy") from None


def keep_suppression(store: Store, record: SuppressionRecord) -> None:
    """Keep what a release hides, before it is public; one that was built again replaces what it was."""
    store.put(f"{_suppressed(record.source, record.key_id)}{record.version}.json", readable_json(record))


def read_suppressions(store: Store, source: str, key_id: str, *, but: str) -> Iterator[SuppressionRecord]:
    """Yield what the releases of a source under a key hid, all ``but`` one version."""
    for key in store.list(_suppressed(source, key_id)):
        try:
            record = SuppressionRecord.model_validate_json(store.get(key) or b"")
        except ValidationError:
            raise StoreError(f"{key} in {store.url} is not the record of what a release hid") from None
        if record.version != but:
            yield record


def keep_shift(store: Store, shift: EpochShift) -> EpochShift:
    """Keep the shift of an epoch and return the one that stands: whoever came first has drawn it."""
    key = f"time/{shift.key_id}.json"
    store.put_new(key, readable_json(shift))
    found = find_shift(store, shift.key_id)
    if found is None:
        raise StoreError(f"{key} was just written to {store.url} and is gone")
    return found


def find_shift(store: Store, key_id: str) -> EpochShift | None:
    """Return the shift of an epoch; ``None`` while no shifted release was built of it."""
    key = f"time/{key_id}.json"
    content = store.get(key)
    if content is None:
        return None
    try:
        found = EpochShift.model_validate_json(content)
    except ValidationError:
        found = None
    if found is None or found.key_id != key_id:
        raise StoreError(f"{key} in {store.url} is not the shift of that epoch")
    return found


def keep_span(store: Store, span: ReleaseSpan) -> None:
    """Keep the real span of a release, before it is public."""
    store.put_new(_span_key(span.version, span.manifest_sha256), readable_json(span))


def find_span(store: Store, version: str, manifest_sha256: str) -> ReleaseSpan | None:
    """Return the real span of a release with exactly that manifest; ``None`` when this store does not know it."""
    key = _span_key(version, manifest_sha256)
    content = store.get(key)
    if content is None:
        return None
    try:
        found = ReleaseSpan.model_validate_json(content)
    except ValidationError:
        found = None
    if found is None or (found.version, found.manifest_sha256) != (version, manifest_sha256):
        raise StoreError(f"{key} in {store.url} is not the span of that release")
    return found


def record_destruction(store: Store, record: KeyDestruction) -> None:
    """Record that a key is gone, once: the first record stays."""
    store.put_new(f"keys/{record.key_id}.json", readable_json(record))


def read_destructions(store: Store) -> Iterator[KeyDestruction]:
    """Yield what a staging store says of destroyed keys."""
    for key in store.list("keys/"):
        try:
            yield KeyDestruction.model_validate_json(store.get(key) or b"")
        except ValidationError:
            raise StoreError(f"{key} in {store.url} is not the record of a destroyed key") from None


def windows_given_up(store: Store, source: str, width: timedelta) -> dict[str, frozenset[Window]]:
    """Return for each table the windows of a source that were given up with their key: they are due no more."""
    found: dict[str, frozenset[Window]] = {}
    for record in read_destructions(store):
        for gap in record.gaps:
            if gap.source == source:
                windows = frozenset(windows_between(gap.start, gap.end, width))
                found[gap.table] = found.get(gap.table, frozenset()) | windows
    return found


def _span_key(version: str, manifest_sha256: str) -> str:
    return f"releases/{version}/{manifest_sha256}.json"


def _suppressed(source: str, key_id: str) -> str:
    return f"suppressed/{source}/{key_id}/"


def _policy_key(policy_digest: str) -> str:
    return f"policies/{policy_digest.removeprefix('sha256:')}.json"


def keep_expiry(store: Store, commit_key: str, *, now: datetime) -> None:
    """Record, once, that the files of a snapshot go: no release can be made from it any more."""
    content = json.dumps({"format_version": "1.0", "commit": commit_key, "expired": now.isoformat()}) + "\n"
    store.put_new(f"{EXPIRED}{commit_key.removeprefix('commits/')}", content.encode())


def read_expired(store: Store, source: str) -> frozenset[str]:
    """Return the keys of the commits of a source whose files have gone, from the names of the records alone."""
    return frozenset(f"commits/{key.removeprefix(EXPIRED)}" for key in store.list(f"{EXPIRED}{source}/"))
