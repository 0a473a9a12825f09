"""What becomes public beside a release: catalog, front page, attestations, tombstones, and headers of all objects.

Fixed code writes all of it, after the audit of the release. So it is held against the same rules on its way out: a name
and fields that its format has, no shape of a secret or address, no token, nothing unseen, no word of the operator's.
"""

import html
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from pydantic import BaseModel

from anonymize.audit.findings import Finding
from anonymize.audit.grammar import TOKEN_IN_TEXT
from anonymize.audit.texts import check_content
from anonymize.audit.words import SHORTEST_VALUE, WordSearch, hide
from schemas.destruction import KeyAttestation
from schemas.manifest import Catalog, CatalogEntry, Retraction

_VERSION: Final = r"\d{4}\.\d{1,2}\.\d+"
_ATTESTED: Final = rf"attestations/{_VERSION}/"
_FORMAT: Final = frozenset({"format_version", "manifest_sha256"})


def _fields(*models: type[BaseModel]) -> frozenset[str]:
    return frozenset(name for model in models for name in model.model_fields)


@dataclass(frozen=True)
class _Kind:
    """A kind of object. ``place`` stands for its name, which may be what leaks; ``fields`` are those of its JSON."""

    place: str
    name: str
    fields: frozenset[str] | None = None


_KINDS: Final = (
    _Kind("catalog.json", r"catalog\.json", _fields(Catalog, CatalogEntry)),
    _Kind("index.html", r"index\.html"),
    _Kind("retraction", rf"retractions/{_VERSION}\.json", _fields(Retraction)),
    _Kind(
        "audit.json",
        rf"{_ATTESTED}audit\.json",
        _FORMAT
        | {"version", "audited", "files", "rows", "strings", "inputs", "input_tokens", "listed_words", "public_words"}
        | {"label_values", "findings", "place", "code", "count"},
    ),
    _Kind(
        "approvals.json",
        rf"{_ATTESTED}approvals\.json",
        _FORMAT | {"version", "approvals", "approver", "approved"},
    ),
    _Kind(
        "signature",
        rf"{_ATTESTED}signature-s_[0-9a-f]{{16}}\.json",
        _FORMAT | {"version", "algorithm", "key_id", "statement", "signature", "dataset"},
    ),
    _Kind("published.json", rf"{_ATTESTED}published\.json", frozenset({"published", "manifest_sha256"})),
    _Kind("SHA256SUMS of attestations", rf"{_ATTESTED}SHA256SUMS"),
    _Kind("key-destroyed.json", rf"{_ATTESTED}key-destroyed\.json", _fields(KeyAttestation)),
)
_HEADERS: Final = frozenset({"ContentType", "CacheControl"})
_KEY_ID: Final = re.compile(r"[ks]_[0-9a-f]{16}")
"""Ids of keys, of which some are spelt like a token."""
_CHOSEN: Final = re.compile(r'"approver": "[a-z0-9._-]{1,39}"|"signature": "[A-Za-z0-9+/]{86}=="')
"""What is public by its purpose, or as good as random: no word is looked for in it."""


@dataclass
class Outgoing:
    """The rules for what leaves. ``said`` is what the publisher says on purpose, ``hashes`` are of public bytes."""

    said: set[str]
    hashes: set[str] = field(default_factory=set)
    words: WordSearch | None = None

    def check(self, key: str, content: bytes) -> tuple[Finding, ...]:
        """Return what is wrong with an object that is no file of a release."""
        kind = next((each for each in _KINDS if re.fullmatch(each.name, key)), None)
        if kind is None:
            return (Finding("name of a public object", "not-in-grammar"),)
        return tuple(self._check(kind, key, content))

    def check_headers(self, headers: Mapping[str, object]) -> tuple[Finding, ...]:
        """Return what is wrong with what an object is served with."""
        strange = len(headers.keys() - _HEADERS)
        unknown = (Finding("headers of a public object", "unknown-header", strange),) if strange else ()
        text = "\n".join(f"{name}: {value}" for name, value in headers.items())
        return (*unknown, *self._check(_Kind("headers of a public object", ""), "", text.encode()))

    def _check(self, kind: _Kind, key: str, content: bytes) -> Iterator[Finding]:
        said = {phrase for phrase in self.said if len(phrase) >= SHORTEST_VALUE}  # a shorter one is a part of anything
        if key.endswith(".html"):
            page = content.decode("utf-8", "surrogateescape").replace("<wbr>", "")
            content = html.unescape(page).encode("utf-8", "surrogateescape")
        text = yield from check_content(kind.place, content, said=said, is_json=kind.fields is not None)
        if kind.fields is not None and (strange := len(_names(content) - kind.fields)):
            yield Finding(kind.place, "unknown-field", strange)
        tokens = [found[0] for found in TOKEN_IN_TEXT.finditer(f"{key}\n{text}")]
        if strange := sum(not _KEY_ID.fullmatch(token) for token in tokens):
            yield Finding(kind.place, "token-beside-a-release", strange)
        if self.words:
            loose = _CHOSEN.sub("\n", f"{key}\n{text}")
            yield from self.words.search({kind.place: hide(loose, said, self.hashes)})


def _names(content: bytes) -> set[str]:
    """Return the name of every field in a JSON document; of what is none, nothing: that is a finding by itself."""
    found: set[str] = set()
    with suppress(ValueError):
        json.loads(content, object_hook=found.update)
    return found
