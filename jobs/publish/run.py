"""The publishing job: copy an audited release file by file, its manifest last, then rebuild the catalog."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from jobs.config import Settings
from jobs.publish.catalog import read_manifests, rebuild_catalog
from jobs.release.audited import read_fresh_report
from jobs.release.build import Progress, check_version, release_folder
from jobs.release.layout import MANIFEST, SUMS, release_prefix
from jobs.release.run import refuse_overlap
from jobs.store import Store, open_store
from schemas.digest import canonical_json, readable_json
from schemas.errors import PrivacyError, StoreError, UsageError
from schemas.manifest import Manifest


@dataclass(frozen=True)
class PublishResult:
    """What is public now."""

    version: str
    files: int
    written: int
    bytes: int
    url: str
    latest: str | None


def run_publish(
    settings: Settings,
    version: str,
    *,
    clock: Callable[[], datetime],
    progress: Progress = lambda done, total, what: None,
) -> PublishResult:
    """Publish ``version``; running it again after it died goes on where it stopped."""
    check_version(version)
    folder = release_folder(settings, version)
    try:
        content = (folder / MANIFEST).read_bytes()
    except OSError:
        raise UsageError(f"release {version} is not built here; run 'opspub release {version}' first") from None
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError:
        raise PrivacyError(f"{folder / MANIFEST} is not a manifest any more; build the release again") from None
    if manifest.release.version != version:
        raise PrivacyError(f"{folder} holds release {manifest.release.version}; build {version} again")
    report = read_fresh_report(folder, manifest_sha256=hashlib.sha256(content).hexdigest(), now=clock())
    public = open_store(settings.public, endpoint_url=settings.s3_endpoint_url)
    if public.get(f"retractions/{version}.json") is not None:
        raise UsageError(f"version {version} was withdrawn; a version is never used twice: take the next")
    refuse_overlap(manifest, [other for name, other in read_manifests(public).items() if name != version])
    prefix = release_prefix(version)
    existing = public.get(prefix + MANIFEST)
    if existing is not None and existing != content:
        raise UsageError(f"version {version} is published with other bytes; a release never changes: take the next")
    hashes = {file.path: file.sha256 for file in manifest.files}
    hashes[SUMS] = _sums_hash(folder, hashes, content)
    written = 0
    order = [*sorted(hashes, key=lambda path: (not path.startswith("data/"), path))]
    for done, path in enumerate(order):
        progress(done, len(order), path)
        written += _put_verified(public, prefix + path, folder / path, hashes[path])
    written += public.put_new(prefix + MANIFEST, content)
    attestation = f"attestations/{version}/"
    public.put_new(f"{attestation}audit-{report.audited:%Y%m%dT%H%M%SZ}.json", readable_json(report))
    public.put_new(f"{attestation}published.json", canonical_json({"published": clock().isoformat()}) + b"\n")
    catalog = rebuild_catalog(public)
    progress(len(order), len(order), "done")
    size = sum(file.bytes for file in manifest.files)
    return PublishResult(version, len(order) + 1, written, size, f"{public.url}/{prefix}", catalog.latest)


def _put_verified(store: Store, key: str, path: Path, sha256: str) -> bool:
    """Write one file that still has the audited bytes; an object that is there must have them too."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise PrivacyError(f"{path} cannot be read any more ({error.strerror}); build the release again") from None
    if found != sha256 or path.is_symlink():
        raise PrivacyError(f"{path} was changed after its audit; build the release again")
    if store.put_new(key, path):
        return True
    if hashlib.sha256(store.get(key) or b"").hexdigest() != sha256:
        raise StoreError(f"{key} is in {store.url} with other bytes; a release never changes: take the next version")
    return False


def _sums_hash(folder: Path, hashes: dict[str, str], manifest: bytes) -> str:
    """Return the hash of SHA256SUMS once it is known to say what the manifest says."""
    listed = {**hashes, MANIFEST: hashlib.sha256(manifest).hexdigest()}
    wanted = "".join(f"{listed[path]}  {path}\n" for path in sorted(listed)).encode()
    try:
        found = (folder / SUMS).read_bytes()
    except OSError:
        found = b""
    if found != wanted:
        raise PrivacyError(f"{folder / SUMS} does not say what the manifest says; build the release again")
    return hashlib.sha256(found).hexdigest()
