"""The publishing job: copy an audited release file by file, its manifest last, then rebuild the catalog."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

from jobs.config import Settings
from jobs.kept import keep_span
from jobs.layout import MANIFEST, SUMS, release_prefix
from jobs.publish.attest import add_signature, attest, attest_destroyed_key, attest_published
from jobs.publish.built import Approval, AuditedRelease, read_approvals, read_audited, read_sums
from jobs.publish.catalog import rebuild_catalog, write_catalog
from jobs.publish.erase import erase_release
from jobs.publish.outgoing import AuditedStore, guard_public
from jobs.publish.sign import Signature, read_signing_key, sign
from jobs.published import read_retraction
from jobs.release.build import Progress
from jobs.release.hidden import keep_hidden, read_hidden
from jobs.release.spans import read_span, read_spans, refuse_mixed_time, refuse_overlap, refuse_young
from jobs.store import ContentChanged, Store, WholeStore, has_digest, open_store
from schemas.errors import PrivacyError, StoreError, UsageError

_PASSES: Final = 3  # over the files, until none is missing: a clean-up may take old ones away meanwhile


@dataclass(frozen=True)
class PublishResult:
    """What is public now."""

    version: str
    files: int
    written: int
    bytes: int
    url: str
    latest: str | None
    signed_by: str | None
    """The id of the configured key, if there is one: the release bears its signature."""


def run_publish(
    settings: Settings,
    version: str,
    *,
    clock: Callable[[], datetime],
    progress: Progress = lambda done, total, what: None,
) -> PublishResult:
    """Publish ``version``; running it again after it died goes on where it stopped."""
    release = read_audited(settings, version, now=clock())
    manifest = release.manifest
    approvals = read_approvals(release, required=settings.publish.approvals)
    signature = _sign(settings, release)
    refuse_nested(settings.staging, settings.public)
    public = guard_public(open_store(settings.public, endpoint_url=settings.s3_endpoint_url), settings, manifest)
    refuse_retracted(public, version)
    staging = open_store(settings.staging, endpoint_url=settings.s3_endpoint_url)
    own, record = read_span(release.folder, manifest, manifest_sha256=release.manifest_sha256)
    others = [other for other in read_spans(public, staging).values() if other.version != version]
    refuse_overlap(own, others)
    refuse_mixed_time(own, others)
    refuse_young(own.window, hold_back=settings.release.hold_back, now=clock())
    prefix = release_prefix(version)
    existing = public.get(prefix + MANIFEST)
    if existing is not None and existing != release.content:
        raise UsageError(f"version {version} is published with other bytes; a release never changes: take the next")
    hashes = {file.path: file.sha256 for file in manifest.files} | {SUMS: read_sums(release)}
    _check_files(release.folder, hashes)
    required = 0 if existing else settings.publish.approvals
    attest_all = partial(_attest, staging, release, approvals, signature, required)
    _rehearse(public, release, attest_all, at=clock().isoformat())
    public.look_at_headers(prefix + path for path in hashes)
    keep_hidden(staging, read_hidden(release.folder, manifest_sha256=release.manifest_sha256))
    if record:
        keep_span(staging, record)
    still_wanted = partial(_end_if_retracted, public, version, clock, progress)
    written = _put_files(public, release, hashes, progress, still_wanted)
    attest_all(public)
    still_wanted()
    written += public.put_new(prefix + MANIFEST, release.content)
    attest_published(public, version, release.manifest_sha256, at=clock().isoformat())
    attest_destroyed_key(staging, public, version, manifest.key_id)
    catalog = rebuild_catalog(public)
    still_wanted()
    progress(len(hashes), len(hashes), "done")
    size = sum(file.bytes for file in manifest.files)
    return PublishResult(
        version=version,
        files=len(hashes) + 1,
        written=written,
        bytes=size,
        url=f"{public.url}/{prefix}",
        latest=catalog.latest,
        signed_by=signature.key_id if signature else None,
    )


def refuse_retracted(public: WholeStore, version: str) -> None:
    """Raise ``UsageError`` for a version that was withdrawn: copies of it are about, and it means only one thing."""
    if tombstone := read_retraction(public, version):
        raise UsageError(
            f"version {version} was retracted on {tombstone.retracted:%F} ({tombstone.reason}); "
            "a version is never used again: take the next"
        )


def refuse_nested(staging: str, public: str) -> None:
    """Raise ``UsageError`` when one store lies in the other: a policy that opens the one would open both.

    >>> refuse_nested("s3://lab/staging", "s3://lab/public")
    """
    private, open_ = (f"{url.rstrip('/')}/" for url in (staging, public))
    if private.startswith(open_) or open_.startswith(private):
        raise UsageError(
            f"the public store {public} and the private one {staging} lie in one another; wanted two places apart"
        )


def _sign(settings: Settings, release: AuditedRelease) -> Signature | None:
    path = settings.publish.signing_key_file
    return sign(read_signing_key(path), release.manifest, manifest_sha256=release.manifest_sha256) if path else None


def _rehearse(public: AuditedStore, release: AuditedRelease, attest_all: Callable[[Store], None], *, at: str) -> None:
    """Let all that is written beside the release pass its audit, before the first byte of either is public."""
    draft, version = public.draft(), release.manifest.release.version
    draft.put_new(release_prefix(version) + MANIFEST, release.content)  # first, so that its digest is known
    attest_all(draft)
    attest_published(draft, version, release.manifest_sha256, at=at)
    write_catalog(draft)


def _attest(
    staging: Store,
    release: AuditedRelease,
    approvals: tuple[Approval, ...],
    signature: Signature | None,
    required: int,
    public: Store,
) -> None:
    attest(public, release, approvals, required=required)
    if signature:
        add_signature(public, release.manifest.release.version, signature)
    attest_destroyed_key(staging, public, release.manifest.release.version, release.manifest.key_id)


def _check_files(folder: Path, hashes: dict[str, str]) -> None:
    """Raise ``PrivacyError`` unless every file has the audited bytes, before the first of them becomes public."""
    for path, sha256 in hashes.items():
        try:
            with (folder / path).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise PrivacyError(f"{folder / path} cannot be read any more ({error.strerror}); build it again") from None
        if found != sha256 or (folder / path).is_symlink():
            raise _changed(folder / path)


def _changed(path: Path) -> PrivacyError:
    return PrivacyError(f"{path} was changed after its audit; build the release again")


def _put_files(
    public: WholeStore,
    release: AuditedRelease,
    hashes: dict[str, str],
    progress: Progress,
    still_wanted: Callable[[], None],
) -> int:
    """Write what is missing until nothing is; return how many files that were. The data go first."""
    prefix = release_prefix(release.manifest.release.version)
    order = sorted(hashes, key=lambda path: (not path.startswith("data/"), path))
    compared: set[str] = set()
    written = 0
    for _ in range(_PASSES):
        present = set(public.list(prefix))
        missing = [path for path in order if path not in compared or prefix + path not in present]
        if not missing:
            return written
        still_wanted()
        for path in missing:
            progress(len(compared), len(order), path)
            made = _put_verified(public, prefix + path, release.folder / path, hashes[path], prefix + path in present)
            written += made
            compared.add(path)
    raise StoreError(f"files below {prefix} in {public.url} go away again; does somebody remove them?")


def _put_verified(store: WholeStore, key: str, path: Path, sha256: str, there: bool) -> bool:
    """Write one file that still has the audited bytes; an object that is there must have them too."""
    try:
        if not there and store.put_new(key, path, sha256=sha256):
            return True
    except ContentChanged:
        raise _changed(path) from None
    if not has_digest(store, key, sha256):
        raise StoreError(f"{key} is in {store.url} with other bytes; a release never changes: take the next version")
    return False


def _end_if_retracted(public: WholeStore, version: str, clock: Callable[[], datetime], progress: Progress) -> None:
    """Take back what was written when somebody withdrew the version meanwhile, and say so."""
    if read_retraction(public, version):
        erased = erase_release(public, version, now=clock(), progress=progress)
        hint = f"; 'opspub retract {version}' must end what is left" if erased.problems else ""
        raise UsageError(f"version {version} was retracted while it was published; it was removed again{hint}")
