"""Re-read a published release, where it can be as anybody would, and say what was proven."""

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, TypeVar

from pydantic import ValidationError

from jobs.config import Settings
from jobs.layout import MANIFEST, SUMS, release_prefix
from jobs.publish.attest import attestations, check_attestations, find_signatures, find_signers
from jobs.publish.catalog import CATALOG, check_catalog
from jobs.publish.sign import PublicKey
from jobs.published import read_retraction
from jobs.release.build import Progress, check_version
from jobs.store import AccessRefused, WholeStore, has_digest, open_store
from schemas.errors import StoreError, UsageError
from schemas.manifest import Catalog, CatalogEntry, Manifest, ReleaseFile, Retraction

_Model = TypeVar("_Model", Catalog, Manifest)
Access = Literal["folder", "anybody", "credentials"]


@dataclass(frozen=True)
class VerifyResult:
    """What a verification proved, and what spoke against it."""

    version: str
    manifest_sha256: str
    files: int
    """Of the manifest, which every reader counts alike; the manifest and SHA256SUMS come on top."""
    bytes: int
    """Of those files."""
    access: Access
    """How it was read: as anybody would, with our credentials, or in a folder."""
    listed: bool
    """Whether the store could be listed, which alone shows what is there and in no manifest."""
    cited: bool | None
    """Whether the manifest is the cited one; ``None`` when none was cited."""
    problems: tuple[str, ...]
    """What is not as the manifest says."""
    signed_by: tuple[str, ...] | None = None
    """Which of the given keys signed this manifest; ``None`` when none was given."""
    unsigned: tuple[str, ...] = ()
    """What speaks against the signatures that were asked for."""
    signatures: tuple[str, ...] = ()
    """Ids of the keys whose signature lies beside the release. That it is theirs is proved only by ``signed_by``."""

    @property
    def proven(self) -> str:
        """What may be said of the release now."""
        if self.problems:
            return "nothing: it is not consistent with its manifest"
        said = "consistent: every byte is what its manifest says"
        if self.cited:
            said += ", and the manifest is the cited one"
        if self.signed_by and not self.unsigned:
            said += f", and it is signed by {' and '.join(self.signed_by)}"
        if self.cited is False:
            said += "; but the manifest found differs from the cited digest"
        if self.unsigned:
            said += f"; but it is not signed by a given key: {self.unsigned[0]}"
        return said


def run_verify(
    settings: Settings,
    version: str,
    *,
    manifest_sha256: str | None = None,
    keys: tuple[PublicKey, ...] = (),
    progress: Progress = lambda done, total, what: None,
) -> VerifyResult:
    """Hash every object of a release against its manifest, and the manifest against catalog, citation and signature.

    Raise ``StoreError`` for a release that was retracted, with the reason that its publisher gave.
    """
    check_version(version)
    public, access = _open_as_reader(settings)
    prefix = release_prefix(version)
    present = _list(settings, prefix)
    listed, content = _get(public, CATALOG), _get(public, prefix + MANIFEST)
    catalog = _parse(Catalog, CATALOG, listed or b"") if listed or content else None
    entry = next((entry for entry in catalog.releases if entry.version == version), None) if catalog else None
    _refuse_retracted(public, version, entry, present)
    if content is None:
        raise UsageError(f"{public.url} has no release {version}; 'opscommons list' shows what there is")
    manifest = _parse(Manifest, prefix + MANIFEST, content)
    found = hashlib.sha256(content).hexdigest()
    problems = []
    if entry is None or entry.manifest_sha256 != found:
        problems.append(f"{CATALOG}: does not name this manifest")
    elif catalog and (problem := check_catalog(public, catalog, listed or b"")):
        problems.append(f"{CATALOG}: {problem}")
    for done, file in enumerate(manifest.files):
        progress(done, len(manifest.files), file.path)
        if problem := _check(public, prefix, file, present):
            problems.append(f"{file.path}: {problem}")
    known = {file.path for file in manifest.files} | {MANIFEST, SUMS}
    problems += [f"{path}: is not in the manifest" for path in sorted((present or set()) - known)]
    sums = _get(public, prefix + SUMS) or b""
    hashes = {file.path: file.sha256 for file in manifest.files} | {MANIFEST: found}
    if (entry is None or entry.manifest_sha256 != found) and f"{found}  {MANIFEST}\n".encode() not in sums:
        problems.append(f"{MANIFEST}: is not the one that {CATALOG} and {SUMS} name")
    if sums != "".join(f"{hashes[path]}  {path}\n" for path in sorted(hashes)).encode():
        problems.append(f"{SUMS}: does not say what the manifest says")
    attested = _list(settings, attestations(version))
    problems += check_attestations(public, version, found, attested)
    signers, unsigned = find_signers(public, manifest, found, keys)
    progress(len(manifest.files), len(manifest.files), "done")
    return VerifyResult(
        version=version,
        manifest_sha256=found,
        files=len(manifest.files),
        bytes=sum(file.bytes for file in manifest.files),
        access=access,
        listed=present is not None,
        cited=None if manifest_sha256 is None else manifest_sha256.strip().lower() == found,
        problems=tuple(problems),
        signed_by=signers if keys else None,
        unsigned=unsigned,
        signatures=find_signatures(public, version, found, attested),
    )


def render_verification(result: VerifyResult) -> Iterator[str]:
    """Yield a result for people."""
    yield from result.problems
    if not result.listed:
        yield "not checked: files that are in no manifest, since the store cannot be listed"
    if result.access == "credentials":
        yield "read with credentials, since nobody can read it without"
    if result.signed_by is None and result.signatures:
        keys = " and ".join(result.signatures)
        said = f"signatures of the keys {keys} lie" if len(result.signatures) > 1 else f"a signature of {keys} lies"
        yield f"not checked: {said} beside it; --public-key FILE does, with what the publisher gives elsewhere"
    yield f"{result.version}: {result.files} files, {_in_words(result.bytes)}, manifest {result.manifest_sha256}"
    yield f"proven: {result.proven}"


def _in_words(count: float) -> str:
    """Return a number of bytes as readers' own program writes it.

    >>> _in_words(512), _in_words(12_345_678)
    ('512 B', '12.3 MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def refuse_unproven(result: VerifyResult, *, manifest_sha256: str | None) -> None:
    """Raise ``StoreError`` when something speaks against a release: its bytes first, then citation and signature."""
    if result.problems:
        raise StoreError(
            f"{result.version} is not what its manifest says: {result.problems[0]} ({len(result.problems)} in all)"
        )
    if result.cited is False:
        raise StoreError(
            f"the manifest found of {result.version} has SHA-256 {result.manifest_sha256}, the cited digest is "
            f"{manifest_sha256}: this is not the release that was cited"
        )
    if result.unsigned:
        raise StoreError(
            f"{result.version} is not signed by a given key: {result.unsigned[0]}; "
            "is it the key of the release's time, and this publisher's?"
        )


def _open_as_reader(settings: Settings) -> tuple[WholeStore, Access]:
    """Return the public store as somebody without credentials has it, or, where nobody may read it, as we do."""
    if settings.public.startswith("file:"):
        return open_store(settings.public), "folder"
    anybody = open_store(settings.public, endpoint_url=settings.s3_endpoint_url, anonymous=True)
    try:
        anybody.get(CATALOG)
    except AccessRefused:
        return open_store(settings.public, endpoint_url=settings.s3_endpoint_url), "credentials"
    return anybody, "anybody"


def _refuse_retracted(public: WholeStore, version: str, entry: CatalogEntry | None, present: set[str] | None) -> None:
    tombstone: Retraction | None = None
    with suppress(AccessRefused):  # there is none, then, or nobody may know
        tombstone = read_retraction(public, version)
    if tombstone is None and (entry is None or entry.status != "retracted"):
        return
    reason = tombstone.reason if tombstone else entry.reason if entry else None
    when = f" on {tombstone.retracted:%F}" if tombstone else ""
    left = f"; {len(present)} of its objects are still there: run 'opspub retract {version}' again" if present else ""
    raise StoreError(f"release {version} was retracted{when}: {reason or 'no reason given'}{left}")


def _parse(model: type[_Model], key: str, content: bytes) -> _Model:
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        raise StoreError(f"{key} cannot be read, or is not there: {error.error_count()} problems") from None


def _check(public: WholeStore, prefix: str, file: ReleaseFile, present: set[str] | None) -> str | None:
    """Return what is wrong with a file, or ``None``."""
    try:
        same = has_digest(public, prefix + file.path, file.sha256)
    except AccessRefused:
        return "is not for everybody to read" if present and file.path in present else "is missing"
    if same is None:
        return "is missing"
    return None if same else "has other bytes"


def _get(public: WholeStore, key: str) -> bytes | None:
    """Return an object, or ``None`` where a bucket that may not be listed says the like."""
    try:
        return public.get(key)
    except AccessRefused:
        return None


def _list(settings: Settings, prefix: str) -> set[str] | None:
    """Return the paths that are there; ``None`` for who may not list, as readers may not."""
    try:
        keys = open_store(settings.public, endpoint_url=settings.s3_endpoint_url).list(prefix)
        return {key.removeprefix(prefix) for key in keys}
    except StoreError:
        return None
