"""Audit a finished release: a list of checks over the folder, the manifest and every file. Needs no raw values."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
from pydantic import ValidationError

from anonymize.audit.aggregates import check_aggregates, check_tier
from anonymize.audit.columns import check_columns
from anonymize.audit.findings import Finding
from anonymize.audit.instants import check_instants
from anonymize.audit.listing import check_listing
from anonymize.audit.rows import check_groups, check_rows
from anonymize.audit.rules import check_rules
from anonymize.audit.subject import MANIFEST, Check, Subject
from anonymize.audit.texts import check_texts
from anonymize.audit.tokens import TokenSet
from anonymize.audit.words import WordSearch, check_words
from schemas.errors import UsageError
from schemas.manifest import Manifest
from schemas.policy import Policy
from schemas.table import TableSchema


def check_times(subject: Subject) -> Iterator[Finding]:
    """Yield instants that are not told in the release's own time."""
    tables = {name: schema for name, (schema, _) in subject.tables.items()}
    yield from check_instants(subject.folder, subject.manifest, tables)


CHECKS: Final[tuple[Check, ...]] = (
    check_rules,
    check_listing,
    check_columns,
    check_rows,
    check_groups,
    check_tier,
    check_aggregates,
    check_times,
    check_texts,
    check_words,  # the last: it searches what the others have put aside
)
"""Everything that is looked for. A check that meets a file that another has refused passes over it."""


@dataclass(frozen=True)
class AuditResult:
    """What an audit looked at and found. ``manifest_sha256`` names exactly the bytes that it speaks of."""

    version: str
    manifest_sha256: str
    files: int
    strings: int
    rows: int
    findings: tuple[Finding, ...]


def audit_release(
    folder: Path,
    *,
    policy: Policy,
    known_tables: dict[tuple[str, str], TableSchema],
    k: int,
    inputs: TokenSet | None = None,
    words: WordSearch | None = None,
) -> AuditResult:
    """Read every byte of the release in ``folder`` and return what speaks against publishing it.

    ``known_tables`` are the registry's schemas by (name, version): a release may not bring its own rules. ``k`` is how
    many entities must share a word of a quasi-identifier column. ``inputs`` holds the tokens of the raw-scanned files
    that it was made from, where they are at hand; ``words`` what must not occur.
    """
    manifest, manifest_sha256 = read_manifest(folder)
    subject = Subject(folder, manifest, manifest_sha256, policy, known_tables, k, inputs, words)
    findings = tuple(sorted(finding for check in CHECKS for finding in _run(check, subject)))
    return AuditResult(
        version=manifest.release.version,
        manifest_sha256=manifest_sha256,
        files=len(manifest.files) + 2,
        strings=subject.strings,
        rows=subject.rows,
        findings=findings,
    )


def read_manifest(folder: Path) -> tuple[Manifest, str]:
    """Return the manifest of a release and the SHA-256 of its bytes; raise ``UsageError`` where there is none."""
    try:
        content = (folder / MANIFEST).read_bytes()
        return Manifest.model_validate_json(content), hashlib.sha256(content).hexdigest()
    except OSError as error:
        raise UsageError(f"{folder} is not a release: {MANIFEST} cannot be read ({error.strerror})") from None
    except ValidationError as error:
        raise UsageError(f"{folder / MANIFEST} is not a manifest: {error.error_count()} problems") from None


def _run(check: Check, subject: Subject) -> Iterator[Finding]:
    try:
        yield from check(subject)
    except (pa.ArrowException, OSError, ValueError):  # what cannot be read may hold anything
        yield Finding("release", f"unreadable-for-{check.__name__.removeprefix('check_')}")
