"""Signatures of releases: a key of the publisher's own says that a manifest is theirs. The door to ``cryptography``.

What is signed names the dataset, the version and the manifest's digest, behind words that no other document begins
with: a signature fits one release, and nothing else that this key may ever sign.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from pydantic import BaseModel, ConfigDict, ValidationError

from anonymize.key_file import SecretKind, create_private, read_private
from schemas.digest import canonical_json, readable_json
from schemas.errors import PrivacyError, UsageError
from schemas.manifest import Manifest

_DOMAIN: Final = b"opscommons release signature 1\n"
_KIND: Final = SecretKind("signing key", "opspub signing")


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Statement(_Strict):
    """What a signature says is the publisher's: these bytes, as this version of this dataset."""

    dataset: str
    """The release's title."""
    version: str
    manifest_sha256: str


class Signature(_Strict):
    """``attestations/<version>/signature-<key_id>.json``: a statement, and the key's word for it."""

    format_version: Literal["1.0"] = "1.0"
    algorithm: Literal["ed25519"] = "ed25519"
    key_id: str
    statement: Statement
    signature: str
    """Base64 of 64 bytes."""


@dataclass(frozen=True)
class PublicKey:
    """The half of a key that everybody may have."""

    key_id: str
    pem: str
    key: Ed25519PublicKey = field(repr=False, compare=False)


@dataclass(frozen=True)
class SigningKey:
    """A private key. Its secret is in no representation of it."""

    public: PublicKey
    key: Ed25519PrivateKey = field(repr=False, compare=False)


def make_signing_key(path: Path) -> SigningKey:
    """Write a random private key that only this user can read, and the public one beside it, as ``<name>.pub``.

    Raise ``PrivacyError`` where there is a key already: releases may bear its signature.
    """
    if path.exists():
        raise PrivacyError(f"there is a key file {path}; a key is never replaced: name another file for the next one")
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    create_private(path, pem, _KIND)
    made = SigningKey(_public(key.public_key()), key)
    beside = public_path(path)
    try:
        beside.write_text(made.public.pem)
    except OSError as error:
        raise UsageError(
            f"{path} is made, but {beside} cannot be written ({error.strerror}); 'opspub signing show' prints it"
        ) from None
    return made


def public_path(path: Path) -> Path:
    """Return where the public key of a private one is written.

    >>> public_path(Path("keys/release.pem"))
    PosixPath('keys/release.pem.pub')
    """
    return path.with_name(f"{path.name}.pub")


def read_signing_key(path: Path) -> SigningKey:
    """Return a private key; raise ``PrivacyError`` for a file that others can read, or that holds none."""
    text = read_private(path, _KIND)
    try:
        key = load_pem_private_key(text.encode(), password=None)
    except TypeError:
        raise PrivacyError(f"key file {path} is encrypted; wanted PKCS #8 without a password, mode 0600") from None
    except (ValueError, UnsupportedAlgorithm):  # its text may quote the file
        raise PrivacyError(f"key file {path} holds no private key in PEM; {_KIND.hint}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise PrivacyError(f"key file {path} holds a key of another kind; wanted Ed25519: {_KIND.hint}")
    return SigningKey(_public(key.public_key()), key)


def read_public_key(path: Path) -> PublicKey:
    """Return the public key that a reader got from the publisher; raise ``UsageError`` for anything else."""
    try:
        content = path.read_bytes()
        key = load_pem_public_key(content)
    except OSError as error:
        raise UsageError(f"the public key {path} cannot be read: {error.strerror}") from None
    except (ValueError, UnsupportedAlgorithm):
        raise UsageError(f"{path} holds no public key in PEM; wanted what 'opspub signing show' prints") from None
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(f"{path} holds a public key of another kind; wanted Ed25519")
    return _public(key)


def sign(key: SigningKey, manifest: Manifest, *, manifest_sha256: str) -> Signature:
    """Return a key's word for a release: of the same release always the same."""
    statement = _state(manifest, manifest_sha256)
    signature = base64.b64encode(key.key.sign(_signed_bytes(statement))).decode()
    return Signature(key_id=key.public.key_id, statement=statement, signature=signature)


def signature_name(key_id: str) -> str:
    """Return the name of a signature among the attestations of a release.

    >>> signature_name("s_0123456789abcdef")
    'signature-s_0123456789abcdef.json'
    """
    return f"signature-{key_id}.json"


def check_signature(content: bytes, key: PublicKey, manifest: Manifest, *, manifest_sha256: str) -> str | None:
    """Return why a file is not this key's signature of this release, or ``None`` for one that is. Pure."""
    parsed = _parse(content, key.key_id)
    if parsed is None:
        return "is not a signature as a publisher writes it"
    said, signature = parsed
    if said != (wanted := _state(manifest, manifest_sha256)):
        return (
            f"signs {said.version} of {said.dataset!r} with manifest {said.manifest_sha256}; "
            f"wanted {wanted.version} of {wanted.dataset!r} with manifest {wanted.manifest_sha256}"
        )
    try:
        key.key.verify(signature, _signed_bytes(wanted))
    except InvalidSignature:
        return f"was not made by the key {key.key_id}"
    return None


def is_signature_of(content: bytes, key_id: str, *, version: str, manifest_sha256: str) -> bool:
    """Tell whether a file says that it is this key's signature of these bytes. Only the key proves it. Pure."""
    parsed = _parse(content, key_id)
    return parsed is not None and (parsed[0].version, parsed[0].manifest_sha256) == (version, manifest_sha256)


def _parse(content: bytes, key_id: str) -> tuple[Statement, bytes] | None:
    """Return what a file states and the signature's bytes, if it is written as a publisher writes it."""
    try:
        found = Signature.model_validate_json(content)
        signature = base64.b64decode(found.signature, validate=True)
    except (ValidationError, binascii.Error):
        return None
    is_canonical = base64.b64encode(signature).decode() == found.signature  # its last character has bits to spare
    if readable_json(found) != content or found.key_id != key_id or not is_canonical:
        return None
    return found.statement, signature


def _state(manifest: Manifest, manifest_sha256: str) -> Statement:
    release = manifest.release
    return Statement(dataset=release.title, version=release.version, manifest_sha256=manifest_sha256)


def _signed_bytes(statement: Statement) -> bytes:
    return _DOMAIN + canonical_json(statement.model_dump(mode="json"))


def _public(key: Ed25519PublicKey) -> PublicKey:
    key_id = f"s_{hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]}"
    return PublicKey(key_id, key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(), key)
