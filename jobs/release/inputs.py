"""Find the raw-scanned files that a release was made from, verify them, and gather their tokens for its audit."""

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from anonymize.audit.channels import read_channels
from anonymize.audit.tokens import TokenSet
from jobs.config import Settings
from jobs.release.heads import CommitHead, HeldFile, read_heads
from jobs.store import Store, fetch_hashed, open_store
from schemas.commit import CommitFile, CommitRecord
from schemas.errors import PrivacyError, PublisherError
from schemas.manifest import Manifest


def find_commits(settings: Settings, manifest: Manifest) -> tuple[CommitHead, ...]:
    """Return the commits that a release can have come from; none where the staging store does not have them.

    Its own key, source and tables, and in calendar time its span. A release in another time does not tell its span, so
    all windows of its key count: each of them was searched for raw values, too.
    """
    try:
        store = open_store(settings.staging, endpoint_url=settings.s3_endpoint_url)
        found = tuple(read_heads(store, settings.source.name))
    except PublisherError:
        return ()
    tables = {entry.table for entry in manifest.tables}
    in_calendar = str(manifest.time) == "calendar"
    return tuple(
        record
        for record in found
        if record.key_id == manifest.key_id
        and record.source_token in manifest.sources
        and record.table in tables
        and (not in_calendar or (manifest.start <= record.window.start and record.window.end <= manifest.end))
    )


def gather_tokens(settings: Settings, commits: Sequence[CommitHead | CommitRecord]) -> TokenSet:
    """Return every token of the staged files of some commits, each verified; ``PrivacyError`` for one that is not.

    One file at a time lies in the work folder.
    """
    store = open_store(settings.staging, endpoint_url=settings.s3_endpoint_url)
    tokens = TokenSet()
    settings.work_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.work_dir, prefix="inputs-") as folder:
        for record in commits:
            tokens.add([record.source_token])
            for file in record.files:
                tokens.add(_read_strings(store, file, Path(folder) / "staged.parquet"))
    return tokens


def _read_strings(store: Store, file: CommitFile | HeldFile, path: Path) -> Iterable[str]:
    if file.raw_scan.hits:
        raise PrivacyError(f"the commit of {file.path} records raw values in it; nothing may be released from it")
    try:
        if fetch_hashed(store, file.path, path, file.sha256) != file.sha256:
            raise PrivacyError(f"{file.path} in {store.url} is not what its commit names; it was changed")
        for channel in read_channels(path):
            if channel.column:
                yield from channel.strings
    finally:
        path.unlink(missing_ok=True)
