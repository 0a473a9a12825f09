"""Keyed pseudonyms: HMAC-SHA256, one subkey per identity domain, an injective encoding, 80 bits of token."""

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from anonymize.keys import PseudonymKey
from schemas.errors import PrivacyError

TOKEN_CHARACTERS: Final = 16  # 80 bits: a collision among 1e6 values has a chance of 4e-13
_TOKEN_BYTES: Final = 10
_PROOF_BYTES: Final = 18
"""The token's bytes and eight more of the same MAC: they differ where two values collide in the token."""
_ALPHABET: Final = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz234567", dtype=np.uint8)
_ABSENT: Final = b"\xff\xff\xff\xff"


def encode_parts(parts: Iterable[str | None]) -> bytes:
    """Return an encoding that no other sequence of parts has: each is length and bytes, absence is its own mark.

    >>> encode_parts(["a", "bc"]) == encode_parts(["ab", "c"])
    False
    >>> encode_parts([""]) == encode_parts([None])
    False
    """
    encoded = []
    for part in parts:
        if part is None:
            encoded.append(_ABSENT)
        else:
            raw = part.encode("utf-8", "surrogatepass")
            encoded += [len(raw).to_bytes(4, "big"), raw]
    return b"".join(encoded)


class Pseudonymizer:
    """Tokens under one key. Keeps in memory what tells a collision, and nothing raw."""

    def __init__(self, key: PseudonymKey) -> None:
        self.key_id = key.key_id
        self._secret = key.secret
        self._subkeys: dict[str, hmac.HMAC] = {}
        self._made: dict[str, bytes] = {}

    def __reduce__(self) -> str:
        raise TypeError("a key stays in the process that read it")

    def token(self, prefix: str, domain: str, parts: Iterable[str | None]) -> str:
        """Return ``<prefix>_`` and 16 base32 characters for a value behind the scopes that tell it apart."""
        mac = self._subkey(domain).copy()
        mac.update(encode_parts(parts))
        proof = mac.digest()[:_PROOF_BYTES]
        token = f"{prefix}_{_base32(proof).tobytes().decode()}"
        if self._made.setdefault(token, proof) != proof:
            raise _collision(domain)
        return token

    def tokens(self, prefix: str, domain: str, scope: Iterable[str | None], encoded: Iterable[bytes]) -> Any:  # noqa: ANN401
        """Return the tokens of many values behind one scope, as Arrow's array of strings.

        ``encoded`` are what ``encode_parts`` makes of the rest of each value's parts. The same as ``token`` of each,
        without a Python object for every token; collisions are looked for among these values only.
        """
        begun = self._subkey(domain).copy()
        begun.update(encode_parts(scope))
        proofs = []
        for each in encoded:
            mac = begun.copy()
            mac.update(each)
            proofs.append(mac.digest()[:_PROOF_BYTES])
        if _shared_tokens(proofs):
            raise _collision(domain)
        return _render(prefix, proofs)

    def _subkey(self, domain: str) -> hmac.HMAC:
        subkey = self._subkeys.get(domain)
        if subkey is None:
            derived = hmac.digest(self._secret, f"opscommons/v1/domain/{domain}".encode(), "sha256")
            subkey = self._subkeys[domain] = hmac.new(derived, digestmod=hashlib.sha256)
        return subkey


def _collision(domain: str) -> PrivacyError:
    return PrivacyError(f"two values of domain {domain} have the same token; make a new key")


def _shared_tokens(proofs: Sequence[bytes]) -> bool:
    """Return whether two values that differ have one token. Equal values are no collision."""
    distinct = set(proofs)
    return len({proof[:_TOKEN_BYTES] for proof in distinct}) != len(distinct)


def _base32(proofs: bytes) -> npt.NDArray[np.uint8]:
    """Return the tokens' characters, uint8 [values, 16], of MACs behind one another."""
    macs = np.frombuffer(proofs, dtype=np.uint8).reshape(-1, _PROOF_BYTES)[:, :_TOKEN_BYTES]
    bits = np.unpackbits(macs, axis=1).reshape(-1, 5)
    codes = bits @ np.array([16, 8, 4, 2, 1], dtype=np.uint8)
    return _ALPHABET[codes].reshape(-1, TOKEN_CHARACTERS)


def _render(prefix: str, proofs: Sequence[bytes]) -> Any:  # noqa: ANN401 - Arrow's own type
    head = np.frombuffer(f"{prefix}_".encode(), dtype=np.uint8)
    text = np.empty((len(proofs), len(head) + TOKEN_CHARACTERS), dtype=np.uint8)
    text[:, : len(head)] = head
    text[:, len(head) :] = _base32(b"".join(proofs))
    offsets = np.arange(len(proofs) + 1, dtype=np.int32) * text.shape[1]
    return pa.StringArray.from_buffers(len(proofs), pa.py_buffer(offsets.tobytes()), pa.py_buffer(text.tobytes()))
