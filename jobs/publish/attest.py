"""What speaks for a release beside it: who audited, approved and signed which bytes, and when they became public.

Each of these objects has one name for all publishers and is written once, so of two that race one writes it and the
other leaves nothing behind, wherever it dies. ``SHA256SUMS`` beside them names them and the manifest: a change in any
of them shows. What may come later, signatures and the destruction of the key, says itself which release it is of.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from jobs.kept import read_destructions
from jobs.layout import MANIFEST, SUMS, release_prefix
from jobs.publish.built import Approval, AuditedRelease
from jobs.publish.sign import PublicKey, Signature, check_signature, is_signature_of, signature_name
from jobs.store import AccessRefused, Store, WholeStore, has_digest
from schemas.destruction import KeyAttestation, KeyDestruction
from schemas.digest import canonical_json, readable_json
from schemas.errors import PrivacyError, StoreError
from schemas.manifest import Manifest

AUDIT: Final = "audit.json"
APPROVALS: Final = "approvals.json"
PUBLISHED: Final = "published.json"
DESTROYED: Final = "key-destroyed.json"
_SIGNATURE: Final = re.compile(r"signature-(?P<key_id>s_[0-9a-f]{16})\.json")


class Approvals(BaseModel):
    """``attestations/<version>/approvals.json``: everybody's word for a release; of none where none was wanted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: str = "1.0"
    manifest_sha256: str
    approvals: tuple[Approval, ...]


def attestations(version: str) -> str:
    """Return what the keys of all attestations of a release begin with.

    >>> attestations("2026.11.0")
    'attestations/2026.11.0/'
    """
    return f"attestations/{version}/"


def attest(public: Store, release: AuditedRelease, approvals: tuple[Approval, ...], *, required: int) -> None:
    """Publish, before there is a release, who looked at its bytes, and when.

    What another publisher of the same bytes wrote first stands, if at least ``required`` people approve in it. Does
    nothing once the sums are written.
    """
    folder = attestations(release.manifest.release.version)
    if public.get(folder + SUMS) is not None:
        return
    said = Approvals(manifest_sha256=release.manifest_sha256, approvals=approvals)
    for name, model in ((AUDIT, release.report), (APPROVALS, said)):
        if public.put_new(folder + name, readable_json(model)):
            continue
        try:
            found = type(model).model_validate_json(public.get(folder + name) or b"")
        except ValidationError:
            found = None
        if found is None or found.manifest_sha256 != release.manifest_sha256:
            raise StoreError(
                f"{folder}{name} is in {public.url} and speaks of other bytes: of a publishing that died; take the "
                "next version, or remove what that left with 'opspub gc --apply'"
            )
        if isinstance(found, Approvals) and len(found.approvals) < required:
            raise PrivacyError(
                f"{folder}{name} is in {public.url} with {len(found.approvals)} approvals, publish.approvals wants "
                f"{required}: another run wrote it first; remove what that left with 'opspub gc --apply'"
            )


def add_signature(public: Store, version: str, signature: Signature) -> None:
    """Publish a signature, of a release or of what will be one; the same key signs the same each time."""
    key = attestations(version) + signature_name(signature.key_id)
    content = readable_json(signature)
    if not public.put_new(key, content) and public.get(key) != content:
        raise StoreError(
            f"{key} is in {public.url} with other bytes than this key signs; look who wrote it, and remove it"
        )


def attest_published(public: WholeStore, version: str, manifest_sha256: str, *, at: str) -> None:
    """Say when a release became public, and name everything that speaks for it; once, whoever is first."""
    folder = attestations(version)
    if public.get(folder + SUMS) is not None:
        return
    stamp = {"published": at, "manifest_sha256": manifest_sha256}
    public.put_new(folder + PUBLISHED, canonical_json(stamp) + b"\n")
    hashes = {}
    for name in (AUDIT, APPROVALS, PUBLISHED):
        content = public.get(folder + name)  # whole, so that its checksum is looked at: what is summed stays for ever
        if content is None:
            raise StoreError(f"{folder}{name} was just in {public.url} and is gone; publish again")
        hashes[name] = hashlib.sha256(content).hexdigest()
    for name in (key.removeprefix(folder) for key in public.list(folder)):
        content = public.get(folder + name) if _SIGNATURE.fullmatch(name) else None
        if content is not None and _is_signature(content, name, version, manifest_sha256):
            hashes[name] = hashlib.sha256(content).hexdigest()
    public.put_new(folder + SUMS, _render(version, manifest_sha256, hashes))


def attest_destruction(public: Store, record: KeyDestruction, releases: Iterable[str]) -> None:
    """Say beside published releases that nobody can test guesses against their tokens any more."""
    for version in releases:
        said = KeyAttestation(version=version, key_id=record.key_id, destroyed=record.destroyed)
        public.put_new(attestations(version) + DESTROYED, readable_json(said))


def attest_destroyed_key(staging: Store, public: Store, version: str, key_id: str) -> None:
    """Say beside a release that is published only now that its key was destroyed before; nothing if it lives."""
    for record in read_destructions(staging):
        if record.key_id == key_id:
            attest_destruction(public, record, [version])


def check_attestations(
    public: WholeStore, version: str, manifest_sha256: str, listed: set[str] | None
) -> Iterator[str]:
    """Yield what is wrong with what speaks for a release; ``listed`` are the names there, where they can be listed."""
    folder = attestations(version)
    content = _get(public, folder + SUMS)
    if content is None:
        yield f"{folder}{SUMS}: is missing"
        return
    named = _parse(version, content)
    if named is None or named.pop(_path_of_manifest(version), None) != manifest_sha256:
        yield f"{folder}{SUMS}: does not name this manifest as it should"
        return
    for name, sha256 in named.items():
        try:
            same = has_digest(public, folder + name, sha256)
        except AccessRefused:
            same = None
        if not same:
            sums = f"{folder}{SUMS}"
            what = f"is missing, though {sums} names it" if same is None else f"has other bytes than {sums} says"
            yield f"{folder}{name}: {what}"
    for name in sorted((listed or set()) - {*named, SUMS, DESTROYED}):
        if not _is_signature(_get(public, folder + name), name, version, manifest_sha256):
            yield f"{folder}{name}: is not in {SUMS}"
    later = _get(public, folder + DESTROYED)
    if later is not None and not _is_destruction(later, version):
        yield f"{folder}{DESTROYED}: is not what a publisher writes"


def find_signatures(public: WholeStore, version: str, manifest_sha256: str, listed: set[str] | None) -> tuple[str, ...]:
    """Return the ids of the keys whose signature a release is said to bear; nothing of it is proved.

    Where the store cannot be listed, only those are known that were there when the sums were written.
    """
    folder = attestations(version)
    names = (listed or set()) | set(_parse(version, _get(public, folder + SUMS) or b"") or ())
    return tuple(
        match["key_id"]
        for match in map(_SIGNATURE.fullmatch, sorted(names))
        if match and _is_signature(_get(public, folder + match[0]), match[0], version, manifest_sha256)
    )


def find_signers(
    public: WholeStore, manifest: Manifest, manifest_sha256: str, keys: tuple[PublicKey, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return which of the keys signed this release, and what speaks against that.

    One good signature is enough, since keys follow one another; a bad one is never passed over.
    """
    signers, bad, absent = [], [], []
    for key in dict.fromkeys(keys):
        path = attestations(manifest.release.version) + signature_name(key.key_id)
        content = _get(public, path)
        if content is None:
            absent.append(f"{path}: is missing")
        elif problem := check_signature(content, key, manifest, manifest_sha256=manifest_sha256):
            bad.append(f"{path}: {problem}")
        else:
            signers.append(key.key_id)
    return tuple(signers), tuple(bad if bad or signers else absent)


def _render(version: str, manifest_sha256: str, hashes: dict[str, str]) -> bytes:
    listed = hashes | {_path_of_manifest(version): manifest_sha256}
    return "".join(f"{listed[path]}  {path}\n" for path in sorted(listed)).encode()


def _parse(version: str, content: bytes) -> dict[str, str] | None:
    """Return the hashes that sums of this form hold, the manifest's included; ``None`` for any other bytes."""
    lines = [line.partition("  ") for line in content.decode("utf-8", "replace").splitlines()]
    named = {path: sha256 for sha256, _, path in lines}
    others = {path: sha256 for path, sha256 in named.items() if path != _path_of_manifest(version)}
    if any("/" in name for name in others):
        return None
    again = _render(version, named.get(_path_of_manifest(version), ""), others)
    return named if again == content else None


def _is_signature(content: bytes | None, name: str, version: str, manifest_sha256: str) -> bool:
    match = _SIGNATURE.fullmatch(name)
    if content is None or match is None:
        return False
    return is_signature_of(content, match["key_id"], version=version, manifest_sha256=manifest_sha256)


def _path_of_manifest(version: str) -> str:
    return f"../../{release_prefix(version)}{MANIFEST}"


def _is_destruction(content: bytes, version: str) -> bool:
    try:
        said = KeyAttestation.model_validate_json(content)
    except ValidationError:
        return False
    return said.version == version and readable_json(said) == content


def _get(public: WholeStore, key: str) -> bytes | None:
    try:
        return public.get(key)
    except AccessRefused:  # a bucket that may not be listed says so of what is not there
        return None
