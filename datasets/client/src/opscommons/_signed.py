"""Check that a publisher's key signed a release. That needs ``cryptography``, which nothing else here does.

The statement that is signed names dataset, version and manifest; all three are compared with what was opened.
"""

import base64
import binascii
import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opscommons._errors import BadRequest
from opscommons._places import NotThere, Place, read_document

if TYPE_CHECKING:
    from opscommons._release import Release

DOMAIN = b"opscommons release signature 1\n"
NAMED = re.compile(r"^[0-9a-f]{64}  signature-(s_[0-9a-f]{16})\.json$", re.MULTILINE)


def find_signatures(store: Place, version: str) -> tuple[str, ...]:
    """Return the ids of the keys whose signatures are named beside a release. Proves nothing, and needs no package.

    One that was added after the release became public is named nowhere: only who has its key can ask for it.
    """
    try:
        sums = read_document(store, f"attestations/{version}/SHA256SUMS", limit=1 << 20)
    except NotThere:
        return ()
    return tuple(NAMED.findall(sums.decode("utf-8", "replace")))


def check_signature(store: Place, release: "Release", public_key: Path) -> tuple[str, str, str | None]:
    """Return the key's id, where its signature lies in the store, and what is wrong with that, if anything is."""
    key = _read_public_key(public_key)
    key_id = f"s_{hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]}"
    path = f"attestations/{release.version}/signature-{key_id}.json"
    try:
        content = read_document(store, path, limit=1 << 16)
    except NotThere:
        return key_id, path, "is not there"
    return key_id, path, _find_problem(content, key, release)


def _find_problem(content: bytes, key: Any, release: "Release") -> str | None:  # noqa: ANN401 - of an optional package
    from cryptography.exceptions import InvalidSignature

    wanted = {
        "dataset": release.manifest.title,
        "version": release.version,
        "manifest_sha256": release.manifest_sha256,
    }
    try:
        found = json.loads(content)
        statement, signature = found["statement"], base64.b64decode(found["signature"], validate=True)
    except (ValueError, LookupError, TypeError, binascii.Error):
        return "is no signature of a release"
    if statement != wanted:
        return "speaks of another dataset, version or manifest"
    said = json.dumps(wanted, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    try:
        key.verify(signature, DOMAIN + said.encode())
    except InvalidSignature:
        return "was not made by this key"
    return None


def _read_public_key(path: Path) -> Any:  # noqa: ANN401 - of an optional package
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ImportError:
        raise BadRequest("signatures need the package cryptography; pip install 'opscommons[signatures]'") from None
    try:
        key = load_pem_public_key(path.read_bytes())
    except (ValueError, UnsupportedAlgorithm):
        raise BadRequest(f"{path} holds no public key in PEM; wanted the one that the publisher gives") from None
    if not isinstance(key, Ed25519PublicKey):
        raise BadRequest(f"{path} holds a public key of another kind; wanted Ed25519")
    return key
