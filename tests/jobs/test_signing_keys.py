"""Keys that sign: made once, private, of one kind, and known to be so before anything is public."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from jobs.publish.run import run_publish
from jobs.publish.sign import PublicKey, make_signing_key, read_public_key, read_signing_key
from schemas.errors import PrivacyError, UsageError
from tests.jobs.audited import VERSION, a_clock, publisher_settings, write_audited
from tests.jobs.bench import Bench
from tests.jobs.signed import signer
from tests.jobs.withdrawn import public_of


def pem_of(key: object, encryption: object) -> str:
    """Return a private key as OpenSSL would write it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()  # type: ignore[attr-defined, no-any-return] # of any kind


STRANGE = {
    "is encrypted; wanted PKCS #8 without a password": pem_of(
        Ed25519PrivateKey.generate(), BestAvailableEncryption(b"x")
    ),
    "holds a key of another kind; wanted Ed25519": pem_of(generate_private_key(SECP256R1()), NoEncryption()),
    "holds no private key in PEM; make one with 'opspub signing new'": "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n",
}


@pytest.mark.parametrize("told", STRANGE)
def test_nothing_is_public_before_the_key_is_known_to_be_one(tmp_path: Path, told: str) -> None:
    path = tmp_path / "sign.pem"
    path.touch(mode=0o600)
    path.write_text(STRANGE[told])
    settings = publisher_settings(tmp_path, publish={"signing_key_file": path})
    write_audited(settings)

    with pytest.raises(PrivacyError, match=f"^key file {path} {told}") as caught:
        run_publish(settings, VERSION, clock=a_clock())

    assert "c2VjcmV0" not in str(caught.value)
    assert not list(public_of(settings).list(""))


def test_a_key_that_others_can_read_or_that_is_not_there_is_refused(tmp_path: Path) -> None:
    settings, _ = signer(tmp_path)
    write_audited(settings)
    (tmp_path / "sign.pem").chmod(0o644)

    with pytest.raises(PrivacyError, match=r"sign\.pem has mode 0644; wanted 0600"):
        run_publish(settings, VERSION, clock=a_clock())
    (tmp_path / "sign.pem").unlink()
    with pytest.raises(PrivacyError, match=r"^found no key file .*; make one with 'opspub signing new'$"):
        run_publish(settings, VERSION, clock=a_clock())
    assert not list(public_of(settings).list(""))


def test_only_a_public_key_is_taken_for_one(tmp_path: Path) -> None:
    """Whoever is told to give their private key to a reader's program has been told something wrong."""
    made = make_signing_key(tmp_path / "sign.pem")
    elliptic = generate_private_key(SECP256R1()).public_key()
    (tmp_path / "elliptic.pub").write_bytes(elliptic.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))

    assert read_public_key(tmp_path / "sign.pem.pub") == made.public
    assert isinstance(made.public, PublicKey)
    assert (tmp_path / "sign.pem").stat().st_mode & 0o777 == 0o600
    for name, told in (
        ("sign.pem", "holds no public key in PEM; wanted what 'opspub signing show' prints"),
        ("elliptic.pub", "holds a public key of another kind; wanted Ed25519"),
        ("nothing", "cannot be read: No such file or directory"),
    ):
        with pytest.raises(UsageError, match=told):
            read_public_key(tmp_path / name)


def test_the_command_line_makes_a_key_once_and_shows_its_public_half(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    assert bench.run("signing", "new").line == (
        "publish.signing_key_file is not set; wanted the name of a file for the key that signs"
    )
    bench.set("publish", signing_key_file="sign.pem")

    made = bench.run("signing", "new", "--json")
    shown = bench.run("signing", "show")
    again = bench.run("signing", "new")

    facts = json.loads(made.out)
    assert facts["key_id"] == read_signing_key(tmp_path / "sign.pem").public.key_id
    assert shown.out == (tmp_path / "sign.pem.pub").read_text()
    assert "PRIVATE" not in made.out + shown.out + made.err + shown.err
    assert (again.code, again.line) == (
        5,
        f"there is a key file {tmp_path}/sign.pem; a key is never replaced: name another file for the next one",
    )
