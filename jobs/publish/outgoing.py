"""The public store behind an audit: what fixed code writes beside a release is looked at before it is written.

The files of a release have an audit of their own, bound to their bytes; of these only the headers are looked at here.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from anonymize.audit.beside import Outgoing
from anonymize.audit.findings import Finding
from anonymize.audit.words import WordSearch
from jobs.config import Settings
from jobs.guard import failing_closed
from jobs.registry import registry_of
from jobs.store import Remains, WholeStore
from jobs.store.headers import object_headers
from schemas.digest import canonical_json
from schemas.errors import PrivacyError
from schemas.manifest import Manifest, Retraction
from schemas.registry import read_policy

_RELEASES: Final = "releases/"


def guard_public(store: WholeStore, settings: Settings, manifest: Manifest | None = None) -> "AuditedStore":
    """Return the public store behind its audit; what the configuration and a release say of themselves may pass."""
    own, theirs = settings.release, manifest.release if manifest else settings.release
    said = {each for info in (own, theirs) for each in (info.title, info.maintainer, info.contact, info.license)}
    said |= {f'"dataset": {json.dumps(info.title, ensure_ascii=False)}' for info in (own, theirs)}
    return AuditedStore(store, Outgoing(said, words=read_words(settings)))


def read_words(settings: Settings) -> WordSearch | None:
    """Return the search for the operator's words. What the source calls things now is searched for in the release."""
    if settings.privacy.word_list is None:
        return None
    from jobs.release.words import public_text, read_shipped, read_word_list

    words = read_word_list(settings.privacy.word_list)
    tables = registry_of(settings).by_version.values()
    beside = read_shipped("jobs.publish", "jobs.publish.templates")
    return WordSearch(words, public_text=f"{public_text(read_policy(settings.privacy.policy), tables)}\n{beside}")


class AuditedStore:
    """A store that takes nothing with a finding; it raises ``PrivacyError`` instead, and nothing is written."""

    def __init__(self, store: WholeStore, rules: Outgoing) -> None:
        self.url = store.url
        self._store = store
        self._rules = rules
        self._served: set[bytes] = set()

    def draft(self) -> "Draft":
        """Return a copy in which everything may be tried, and is looked at, and nothing of it is written."""
        return Draft(self._store, self._rules)

    def put_new(self, key: str, content: bytes | Path, *, sha256: str | None = None) -> bool:
        """See ``WholeStore``."""
        self._look(key, content)
        return self._store.put_new(key, content, sha256=sha256)

    def put(self, key: str, content: bytes | Path) -> None:
        """See ``Store``."""
        self._look(key, content)
        self._store.put(key, content)

    def get(self, key: str) -> bytes | None:
        """See ``Store``. What is public already may be repeated: digests of it, and reasons that it gives."""
        content = self._store.get(key)
        if content is not None:
            self._rules.hashes.add(hashlib.sha256(content).hexdigest())
            if key.startswith("retractions/"):
                self._learn(content)
        return content

    def fetch(self, key: str, path: Path) -> None:
        """See ``Store``."""
        self._store.fetch(key, path)

    def list(self, prefix: str) -> Iterator[str]:
        """See ``Store``."""
        return self._store.list(prefix)

    def delete(self, key: str) -> None:
        """See ``Store``."""
        self._store.delete(key)

    def get_range(self, key: str, start: int, length: int) -> bytes | None:
        """See ``WholeStore``."""
        return self._store.get_range(key, start, length)

    def survey(self, prefix: str, *, now: datetime) -> Iterator[Remains]:
        """See ``WholeStore``."""
        return self._store.survey(prefix, now=now)

    def erase(self, remains: Remains) -> None:
        """See ``WholeStore``."""
        self._store.erase(remains)

    def address(self, key: str) -> str | None:
        """See ``WholeStore``."""
        return self._store.address(key)

    def look_at_headers(self, keys: Iterable[str]) -> None:
        """Raise ``PrivacyError`` if one of the objects would be served with anything that tells of its origin."""
        for key in keys:
            headers = object_headers(key)
            if (text := canonical_json(headers)) not in self._served:
                _refuse(self._rules.check_headers(headers))
                self._served.add(text)

    def _look(self, key: str, content: bytes | Path) -> None:
        with failing_closed("the audit of what stands beside the releases"):
            self.look_at_headers([key])
            if not key.startswith(_RELEASES):
                _refuse(self._rules.check(key, _read(content)))
            if isinstance(content, bytes):
                self._rules.hashes.add(hashlib.sha256(content).hexdigest())

    def _learn(self, content: bytes) -> None:
        with suppress(ValidationError):
            tombstone = Retraction.model_validate_json(content)
            self._rules.said |= {tombstone.reason, json.dumps(tombstone.reason, ensure_ascii=False)[1:-1]}
            self._rules.hashes.add(tombstone.manifest_sha256)


class Draft(AuditedStore):
    """The same store, but what is written stays in memory and is read from there."""

    def __init__(self, store: WholeStore, rules: Outgoing) -> None:
        super().__init__(store, rules)
        self._written: dict[str, bytes] = {}

    def put_new(self, key: str, content: bytes | Path, *, sha256: str | None = None) -> bool:
        """See ``WholeStore``."""
        self._look(key, content)
        if self.get(key) is not None:
            return False
        self._keep(key, content)
        return True

    def put(self, key: str, content: bytes | Path) -> None:
        """See ``Store``."""
        self._look(key, content)
        self._keep(key, content)

    def get(self, key: str) -> bytes | None:
        """See ``Store``."""
        return self._written[key] if key in self._written else super().get(key)

    def list(self, prefix: str) -> Iterator[str]:
        """See ``Store``."""
        own = {key for key in self._written if key.startswith(prefix)}
        yield from sorted(own.union(super().list(prefix)))

    def delete(self, key: str) -> None:
        """See ``Store``: of what lies in the store itself, nothing goes."""
        self._written.pop(key, None)

    def _keep(self, key: str, content: bytes | Path) -> None:
        self._written[key] = _read(content)


def _read(content: bytes | Path) -> bytes:
    return content if isinstance(content, bytes) else content.read_bytes()


def _refuse(findings: Sequence[Finding]) -> None:
    if findings:
        raise PrivacyError(
            f"the audit of what stands beside the releases has {len(findings)} findings, the first: {findings[0]}; "
            "nothing of it was written"
        )
