"""Re-read a published release and say what was proven."""

import hashlib
from dataclasses import dataclass

from pydantic import ValidationError

from jobs.config import Settings
from jobs.publish.catalog import CATALOG
from jobs.release.build import Progress, check_version
from jobs.release.layout import MANIFEST, SUMS, release_prefix
from jobs.store import open_store
from schemas.errors import StoreError, UsageError
from schemas.manifest import Catalog, Manifest


@dataclass(frozen=True)
class VerifyResult:
    """What a verification proved, and what spoke against it."""

    version: str
    manifest_sha256: str
    files: int
    bytes: int
    proven: str
    problems: tuple[str, ...]


def run_verify(
    settings: Settings,
    version: str,
    *,
    manifest_sha256: str | None = None,
    progress: Progress = lambda done, total, what: None,
) -> VerifyResult:
    """Hash every object of a release against its manifest, and the manifest against the catalog or a citation."""
    check_version(version)
    public = open_store(settings.public, endpoint_url=settings.s3_endpoint_url)
    prefix = release_prefix(version)
    content = public.get(prefix + MANIFEST)
    if content is None:
        raise UsageError(f"{public.url} has no release {version}; 'opscommons list' shows what there is")
    try:
        manifest = Manifest.model_validate_json(content)
        catalog = Catalog.model_validate_json(public.get(CATALOG) or b"")
    except ValidationError as error:
        raise StoreError(f"manifest or catalog of {public.url}: {error.error_count()} problems") from None
    found = hashlib.sha256(content).hexdigest()
    problems = []
    entry = next((entry for entry in catalog.releases if entry.version == version), None)
    if entry is None or entry.manifest_sha256 != found:
        problems.append(f"{CATALOG}: does not name this manifest")
    if manifest_sha256 and manifest_sha256 != found:
        problems.append(f"{MANIFEST}: is not the cited one")
    for done, file in enumerate(manifest.files):
        progress(done, len(manifest.files), file.path)
        body = public.get(prefix + file.path)
        if body is None:
            problems.append(f"{file.path}: is missing")
        elif hashlib.sha256(body).hexdigest() != file.sha256:
            problems.append(f"{file.path}: has other bytes")
    listed = {prefix + file.path for file in manifest.files} | {prefix + MANIFEST, prefix + SUMS}
    problems += [
        f"{key.removeprefix(prefix)}: is not in the manifest" for key in public.list(prefix) if key not in listed
    ]
    sums = (public.get(prefix + SUMS) or b"").decode("utf-8", "replace").splitlines()
    wanted = sorted([f"{file.sha256}  {file.path}" for file in manifest.files] + [f"{found}  {MANIFEST}"])
    if sorted(sums) != wanted:
        problems.append(f"{SUMS}: does not say what the manifest says")
    progress(len(manifest.files), len(manifest.files), "done")
    proven = "matches the cited manifest" if manifest_sha256 else "consistent: every byte is what the manifest says"
    total = sum(file.bytes for file in manifest.files)
    return VerifyResult(
        version, found, len(manifest.files) + 2, total, proven if not problems else "nothing", tuple(problems)
    )
