"""What tells that 32 bytes were made up, typed or derived instead of drawn at random. Pure.

A key that was drawn fails this with a chance below one in ten million; ``opspub key new`` then draws again.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import pairwise
from typing import Final

KEY_BYTES: Final = 32
_FEWEST_DISTINCT: Final = 21  # 32 random bytes have 30 different ones, and 20 or fewer once in 1e10
_MOST_PRINTABLE: Final = 27  # letters with accents leave some bytes of a text unprintable
_LONGEST_COUNT: Final = 16  # steps by which people count, up or down
_MOST_SHARED: Final = 7  # bytes that two independent keys have at the same places: 8 once in 1e12

_DIGESTS: Final[tuple[Callable[[bytes], bytes], ...]] = (
    lambda text: hashlib.sha256(text).digest(),
    lambda text: hashlib.sha512(text).digest()[:KEY_BYTES],
    lambda text: hashlib.sha3_256(text).digest(),
    lambda text: hashlib.blake2s(text).digest(),
    lambda text: hashlib.blake2b(text, digest_size=KEY_BYTES).digest(),
    lambda text: hashlib.sha256(hashlib.sha256(text).digest()).digest(),
)
_GUESSES: Final = (
    "", "0", "1", "12345", "123456", "12345678", "123456789", "1234567890", "abc123", "admin", "changeme", "default",
    "demo", "example", "foobar", "hello", "hunter2", "key", "letmein", "opscommons", "opspub", "passw0rd", "password",
    "Password", "prometheus", "pseudonym", "qwerty", "root", "salt", "secret", "seed", "test", "topsecret",
)  # fmt: skip


def find_weakness(secret: bytes, *, key_id: str, others: Sequence[bytes] = ()) -> str | None:
    """Return why ``secret`` is no random key; ``None`` when nothing speaks against it.

    ``others`` are the ring's other secrets: one that is made from another cannot be destroyed while that one lives.
    The reason never says what the bytes are.
    """
    if len(secret) != KEY_BYTES:
        return f"the secret has {len(secret)} bytes; wanted {KEY_BYTES}"
    if _has_pattern(secret):
        return "the secret is not random: it repeats, counts, or has a bit that never changes"
    if _is_text(secret):
        return "the secret is not random: it is text; wanted bytes that nobody can type"
    if secret in _known_digests() or secret in set(_digests_of(key_id.encode())):
        return "the secret is not random: it is a digest of something that can be guessed"
    if any(_is_related(secret, other) for other in others):
        return "the secret is not random: it is made from another key of the ring"
    return None


def _has_pattern(secret: bytes) -> bool:
    if len(set(secret)) < _FEWEST_DISTINCT:
        return True
    changing = 0
    for byte in secret:
        changing |= byte ^ secret[0]
    if changing != 0xFF:
        return True
    if any(secret[period:] == secret[:-period] for period in range(1, KEY_BYTES - 3)):
        return True
    steps = {(second - first) % 256 for first, second in pairwise(secret)}
    return len(steps) == 1 and min(*steps, *((-step) % 256 for step in steps)) <= _LONGEST_COUNT


def _is_text(secret: bytes) -> bool:
    if sum(0x20 <= byte < 0x7F or byte in b"\t\r\n" for byte in secret) > _MOST_PRINTABLE:
        return True
    try:
        secret.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _is_related(secret: bytes, other: bytes) -> bool:
    shared = sum(mine == theirs for mine, theirs in zip(secret, other, strict=False))
    reverse = secret == other[::-1]
    inverse = secret == bytes(byte ^ 0xFF for byte in other)
    return shared > _MOST_SHARED or reverse or inverse or secret in set(_digests_of(other))


def _digests_of(text: bytes) -> Iterator[bytes]:
    yield from (digest(text) for digest in _DIGESTS)


@cache
def _known_digests() -> frozenset[bytes]:
    texts = [guess.encode() + end for guess in _GUESSES for end in (b"", b"\n")]
    texts += [bytes(length) for length in range(1, KEY_BYTES + 1)]
    return frozenset(digest for text in texts for digest in _digests_of(text))
