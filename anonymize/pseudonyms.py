"""Keyed pseudonyms: HMAC-SHA256, one subkey per identity domain, an injective encoding, 80 bits of token."""

import base64
import hashlib
import hmac
from collections.abc import Iterable
from typing import Final

from anonymize.keys import PseudonymKey
from schemas.errors import PrivacyError

TOKEN_CHARACTERS: Final = 16  # 80 bits: a collision among 1e6 values has a chance of 4e-13


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
            encoded.append(b"\xff\xff\xff\xff")
        else:
            raw = part.encode("utf-8", "surrogatepass")
            encoded += [len(raw).to_bytes(4, "big"), raw]
    return b"".join(encoded)


class Pseudonymizer:
    """Tokens under one key. Keeps what it made in memory, to be fast and to notice a collision."""

    def __init__(self, key: PseudonymKey) -> None:
        self.key_id = key.key_id
        self._secret = key.secret
        self._subkeys: dict[str, hmac.HMAC] = {}
        self._made: dict[str, bytes] = {}

    def __reduce__(self) -> str:
        raise TypeError("a key stays in the process that read it")

    def token(self, prefix: str, domain: str, parts: Iterable[str | None]) -> str:
        """Return ``<prefix>_`` and 16 base32 characters for a value behind the scopes that tell it apart."""
        subkey = self._subkeys.get(domain)
        if subkey is None:
            derived = hmac.digest(self._secret, f"opscommons/v1/domain/{domain}".encode(), "sha256")
            subkey = self._subkeys[domain] = hmac.new(derived, digestmod=hashlib.sha256)
        encoded = encode_parts(parts)
        mac = subkey.copy()
        mac.update(encoded)
        body = base64.b32encode(mac.digest()[:10])[:TOKEN_CHARACTERS].decode().lower()
        token = f"{prefix}_{body}"
        if self._made.setdefault(token, encoded) != encoded:
            raise PrivacyError(f"two values of domain {domain} have the same token; make a new key")
        return token
