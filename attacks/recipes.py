"""Every way from a name to a token that somebody might have taken: digests without a key, and keys that can be guessed.

The source code is public, so the attacker also tries the project's own encoding and its own derivation of keys.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from anonymize.pseudonyms import encode_parts
from attacks.knowledge import Name
from attacks.weakened import GUESSABLE

ALGORITHMS: Final = ("md5", "sha1", "sha256", "blake2b")
_ENCODED_BYTES: Final = 10

Message = Callable[[Name], bytes | None]
MESSAGES: Final[dict[str, Message]] = {
    "name": lambda name: name.own.encode(),
    "name and newline": lambda name: f"{name.own}\n".encode(),
    "lower case": lambda name: _other(name, name.own.lower()),
    "upper case": lambda name: _other(name, name.own.upper()),
    "prefix_name": lambda name: f"{name.prefix}_{name.own}".encode(),
    "prefix:name": lambda name: f"{name.prefix}:{name.own}".encode(),
    "domain:name": lambda name: f"{name.domain}:{name.own}".encode(),
    "domain/name": lambda name: f"{name.domain}/{name.own}".encode(),
    "scope/name": lambda name: "/".join(name.parts[1:]).encode(),
    "source/scope/name": lambda name: "/".join(name.parts).encode(),
    "joined": lambda name: "".join(name.parts).encode(),
    "encoded": lambda name: encode_parts(name.parts),
    "encoded without source": lambda name: encode_parts(name.parts[1:]),
    "encoded behind the domain": lambda name: f"{name.domain}:".encode() + encode_parts(name.parts),
}
KEYS: Final = (
    b"", bytes(32), b"\xff" * 32, bytes(range(32)), b"secret", b"changeme", b"password", b"salt", b"opscommons",
    b"opscommons/v1", b"demo", b"demo-cluster", b"prod-ml-east-1", b"x-default-anonymized", b"1", b"42",
)  # fmt: skip
"""What people take for keys; their digests are tried as well, since a digest looks random."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way from a name to the bytes of a digest; none for a name that it adds nothing new for."""

    says: str
    digest: Callable[[Name], bytes | None]


def list_recipes(public: Sequence[bytes] = ()) -> list[Recipe]:
    """Return all recipes; ``public`` are texts of the release that a careless publisher may have taken for the key."""
    found = [
        Recipe(f"{algorithm} of {says}", _plain(algorithm, message))
        for algorithm in ALGORITHMS
        for says, message in MESSAGES.items()
    ]
    keys = [*KEYS, *public]
    keys += [hashlib.sha256(key).digest() for key in keys]
    assert GUESSABLE in keys, "the control's key must be among the guesses"  # noqa: S101
    for number, key in enumerate(keys):
        found.append(Recipe(f"guessed key {number} as the code takes it", _own(key)))
        found.append(Recipe(f"guessed key {number}, HMAC of the name", _keyed(key)))
    return found


def spell(digest: bytes) -> Iterator[str]:
    """Yield the ways in which a digest may be shortened to a token's body."""
    yield base64.b32encode(digest[:_ENCODED_BYTES]).decode().lower()
    yield digest[:8].hex()
    yield digest[:12].hex()
    yield digest.hex()
    yield base64.urlsafe_b64encode(digest[:9]).decode()
    yield base64.urlsafe_b64encode(digest[:12]).decode()


def _plain(algorithm: str, message: Message) -> Callable[[Name], bytes | None]:
    def digest(name: Name) -> bytes | None:
        text = message(name)
        return None if text is None else hashlib.new(algorithm, text, usedforsecurity=False).digest()

    return digest


def _own(key: bytes) -> Callable[[Name], bytes | None]:
    subkeys: dict[str, Any] = {}

    def digest(name: Name) -> bytes | None:
        if name.domain not in subkeys:
            derived = hmac.digest(key, f"opscommons/v1/domain/{name.domain}".encode(), "sha256")
            subkeys[name.domain] = hmac.new(derived, digestmod="sha256")
        mac = subkeys[name.domain].copy()
        mac.update(encode_parts(name.parts))
        return bytes(mac.digest())

    return digest


def _keyed(key: bytes) -> Callable[[Name], bytes | None]:
    return lambda name: hmac.digest(key, name.own.encode(), "sha256")


def _other(name: Name, text: str) -> bytes | None:
    return None if text == name.own else text.encode()
