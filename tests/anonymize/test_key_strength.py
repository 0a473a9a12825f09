"""A key that somebody made up, typed or derived is refused: with it, tokens are one dictionary away from names."""

import hashlib
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anonymize.key_strength import KEY_BYTES, find_weakness
from tests.anonymize.builders import OTHER_SECRET, SECRET

HALF = secrets.token_bytes(16)
DRAWN = bytes.fromhex("9d41f7082ce6b35ac81fe06d93742bd5fa166e8b30c95f07a2dd480be1763c94")

MADE_UP = {
    "zeros": bytes(32),
    "one byte": b"\xa5" * 32,
    "two bytes in turn": b"\xa5\x5a" * 16,
    "half a key twice": HALF * 2,
    "half a key and zeros": HALF + bytes(16),
    "a period of 20": (DRAWN[:20] * 2)[:32],
    "a period of 28": (DRAWN[:28] * 2)[:32],
    "counting": bytes(range(32)),
    "counting from the middle": bytes(range(120, 152)),
    "counting down by threes": bytes((200 - 3 * n) % 256 for n in range(32)),
    "only even": bytes(byte & 0xFE for byte in DRAWN),
    "the high bit set": bytes(byte | 0x80 for byte in DRAWN),
    "a passphrase": b"correct horse battery staple 123",
    "hex": secrets.token_hex(16).encode(),
    "base64": b"3q2+7wAAAAAAAAAAq83vEjRWeJq83vAB",
    "a German passphrase": "schöne Grüße aus Köln, Straße 1".encode()[:32].ljust(32, b"!"),
    "a passphrase in Latin-1": "schöne Grüße aus Köln, Straße 12".encode("latin-1"),
    "a passphrase in UTF-16": "correct horse ba".encode("utf-16-le"),
    "a longer passphrase in Latin-1": "Bäcker Öfen 1742: Zürich xQvwPjM".encode("latin-1"),
    "several scripts": "Ωμέγα k3y→Жук№7¿qД".encode(),
    "Cyrillic": "пароль пароль".encode().ljust(32, b"x")[:32],
    "SHA-256 of nothing": hashlib.sha256(b"").digest(),
    "SHA-256 of a word and a newline": hashlib.sha256(b"opspub\n").digest(),
    "BLAKE2 of a word": hashlib.blake2b(b"changeme", digest_size=32).digest(),
    "SHA-3 of a number": hashlib.sha3_256(b"123456").digest(),
    "the head of SHA-512 of a word": hashlib.sha512(b"secret").digest()[:32],
    "SHA-256 twice": hashlib.sha256(hashlib.sha256(b"password").digest()).digest(),
    "SHA-256 of zeros": hashlib.sha256(bytes(32)).digest(),
    "SHA-256 of its public id": hashlib.sha256(b"k_1").digest(),
}


@pytest.mark.parametrize("secret", MADE_UP.values(), ids=MADE_UP)
def test_a_key_that_was_not_drawn_is_refused(secret: bytes) -> None:
    assert len(secret) == KEY_BYTES

    weakness = find_weakness(secret, key_id="k_1")

    assert weakness
    assert weakness.startswith("the secret is not random: it ")
    assert repr(secret)[2:-1] not in weakness
    assert secret.hex() not in weakness


@pytest.mark.parametrize("length", [0, 1, 16, 31, 33, 64])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    assert find_weakness(secrets.token_bytes(length), key_id="k_1") == f"the secret has {length} bytes; wanted 32"


def test_drawn_keys_are_taken() -> None:
    """A refusal by chance would stop a working publisher; ten thousand draws must show none."""
    drawn = (secrets.token_bytes(KEY_BYTES) for _ in range(10_000))

    assert [found for secret in drawn if (found := find_weakness(secret, key_id="k_1", others=[SECRET]))] == []


@pytest.mark.parametrize(
    "related",
    [
        hashlib.sha256(DRAWN).digest(),
        hashlib.blake2s(DRAWN).digest(),
        DRAWN[::-1],
        bytes(byte ^ 0xFF for byte in DRAWN),
        bytes([DRAWN[0] ^ 1, *DRAWN[1:]]),
        DRAWN[:10] + OTHER_SECRET[10:],
    ],
)
def test_a_key_that_leads_to_another_is_refused(related: bytes) -> None:
    """A key that can be made again from one that lives is not destroyed by removing it."""
    weakness = find_weakness(related, key_id="k_1", others=[OTHER_SECRET[::-1], DRAWN])

    assert weakness == "the secret is not random: it is made from another key of the ring"


@given(secret=st.binary(min_size=0, max_size=40))
def test_nothing_that_is_no_key_breaks_the_check(secret: bytes) -> None:
    found = find_weakness(secret, key_id="k_1")

    assert found is None or "secret" in found
