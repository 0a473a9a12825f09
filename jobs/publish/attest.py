"""What speaks for a release beside it: who audited, approved and signed which bytes, and when they became public.

``SHA256SUMS`` beside these files names them and the manifest, so that a change in any of them shows. What comes later,
the destruction of the key, is not in there.
"""

import hashlib
from collections.abc import Iterator
from typing import Final

from pydantic import ValidationError

from jobs.publish.built import Approval, AuditedRelease
from jobs.publish.sign import PublicKey, Signature, check_signature, signature_name
from jobs.release.layout import MANIFEST, SUMS, release_prefix
from jobs.store import AccessRefused, Store, WholeStore, has_digest
from schemas.destruction import KeyAttestation
from schemas.digest import canonical_json, readable_json
from schemas.errors import StoreError
from schemas.manifest import Manifest

LATER: Final = "key-destroyed.json"


def attestations(version: str) -> str:
    """Return what the keys of all attestations of a release begin with.

    >>> attestations("2026.11.0")
    'attestations/2026.11.0/'
    """
    return f"attestations/{version}/"


def attest(
    public: Store, release: AuditedRelease, approvals: tuple[Approval, ...], signature: Signature | None
) -> tuple[str, ...]:
    """Publish, before there is a release, who looked at its bytes, when, and whose they are; return the keys.

    Does nothing once the sums are written: what comes after them would be named nowhere.
    """
    folder = attestations(release.manifest.release.version)
    if public.get(folder + SUMS) is not None:
        return ()
    report = release.report
    said = {f"{folder}audit-{report.audited:%Y%m%dT%H%M%SZ}.json": readable_json(report)}
    said |= {f"{folder}approval-{approval.approver}.json": readable_json(approval) for approval in approvals}
    said |= {folder + signature_name(signature.key_id): readable_json(signature)} if signature else {}
    for key, content in said.items():
        public.put_new(key, content)
    if signature and not is_attested(public, release.manifest.release.version, signature):
        raise StoreError(
            f"{folder}{signature_name(signature.key_id)} is in {public.url} with other bytes than this key signs; "
            "look who wrote it, and remove it"
        )
    return tuple(said)


def is_attested(public: Store, version: str, signature: Signature) -> bool:
    """Tell whether a release bears exactly this signature."""
    return public.get(attestations(version) + signature_name(signature.key_id)) == readable_json(signature)


def attest_published(public: WholeStore, version: str, manifest_sha256: str, *, ours: tuple[str, ...], at: str) -> None:
    """Say when a release became public, and name everything that speaks for it; once, whoever is first."""
    folder = attestations(version)
    if public.get(folder + SUMS) is not None:
        return
    stamp = {"published": at, "manifest_sha256": manifest_sha256}
    public.put_new(f"{folder}published.json", canonical_json(stamp) + b"\n")
    hashes = {}
    for key in public.list(folder):
        content = public.get(key)  # whole, so that its checksum is looked at: what is summed here stays for ever
        if key not in (folder + SUMS, folder + LATER) and content is not None:
            hashes[key.removeprefix(folder)] = hashlib.sha256(content).hexdigest()
    public.put_new(folder + SUMS, _render(version, manifest_sha256, hashes))
    named = _parse(version, public.get(folder + SUMS) or b"") or {}
    for key in ours:
        if key.removeprefix(folder) not in named:  # another publisher was first, with an audit of its own
            public.delete(key)


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
    for name in sorted((listed or set()) - {*named, SUMS, LATER}):
        yield f"{folder}{name}: is not in {SUMS}"
    later = _get(public, folder + LATER)
    if later is not None and not _is_destruction(later, version):
        yield f"{folder}{LATER}: is not what a publisher writes"


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
