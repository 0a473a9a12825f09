"""Who signed a release: a signature fits one release and one key, and anybody can check it without this program."""

import base64
import json
import shutil
import string
import subprocess
from collections.abc import Callable
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

from jobs.config import Settings
from jobs.publish.run import run_publish
from jobs.publish.sign import (
    PublicKey,
    SigningKey,
    make_signing_key,
    read_public_key,
    read_signing_key,
    signature_name,
)
from jobs.publish.verify import refuse_unproven, render_verification, run_verify
from jobs.store.folder import FolderStore
from opscommons._cli import main as read_as_reader
from schemas.errors import PrivacyError, StoreError, UsageError
from tests.jobs.audited import CONTENTS, VERSION, a_clock, publisher_settings, write_audited
from tests.jobs.bench import Bench
from tests.jobs.withdrawn import public_of, withdraw

ATTESTED = f"attestations/{VERSION}/"


def signer(folder: Path, name: str = "sign.pem") -> tuple[Settings, SigningKey]:
    """Return settings that sign, and the key they sign with."""
    path = folder / name
    key = read_signing_key(path) if path.exists() else make_signing_key(path)
    return publisher_settings(folder, publish={"signing_key_file": path}), key


def publish(settings: Settings, version: str = VERSION) -> str:
    """Publish a small release; return where its signature lies."""
    write_audited(settings, version)
    path = settings.publish.signing_key_file
    assert path
    assert run_publish(settings, version, clock=a_clock()).signed_by == read_signing_key(path).public.key_id
    return f"attestations/{version}/{signature_name(read_signing_key(path).public.key_id)}"


@pytest.fixture
def signed(tmp_path: Path) -> tuple[Settings, SigningKey]:
    """A published release in a folder, and the key that signed it."""
    settings, key = signer(tmp_path)
    publish(settings)
    return settings, key


def test_a_verification_says_which_of_the_three_it_proved(signed: tuple[Settings, SigningKey]) -> None:
    """Consistent is what anybody can forge; cited and signed are not, and must not be mistaken for each other."""
    settings, key = signed

    consistent = run_verify(settings, VERSION)
    cited = run_verify(settings, VERSION, manifest_sha256=consistent.manifest_sha256)
    by_key = run_verify(settings, VERSION, keys=(key.public,))
    both = run_verify(settings, VERSION, manifest_sha256=consistent.manifest_sha256, keys=(key.public,))

    said = "consistent: every byte is what its manifest says"
    assert consistent.proven == said
    assert cited.proven == f"{said}, and the manifest is the cited one"
    assert by_key.proven == f"{said}, and it is signed by {key.public.key_id}"
    assert both.proven == f"{said}, and the manifest is the cited one, and it is signed by {key.public.key_id}"
    assert list(render_verification(by_key))[-1] == f"proven: {by_key.proven}"
    assert (consistent.signed_by, by_key.signed_by) == (None, (key.public.key_id,))
    refuse_unproven(by_key, manifest_sha256=None)


def test_a_signature_is_checked_by_openssl_as_the_page_for_readers_says(
    signed: tuple[Settings, SigningKey], tmp_path: Path
) -> None:
    """Readers trust their own tools, and no program of ours decides what a good signature is."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    settings, key = signed
    found = json.loads(public_of(settings).get(ATTESTED + signature_name(key.public.key_id)) or b"")
    said = json.dumps(found["statement"], sort_keys=True, separators=(",", ":"))

    def check(statement: str) -> int:
        (tmp_path / "statement").write_text(f"opscommons release signature 1\n{statement}")
        (tmp_path / "signature").write_bytes(base64.b64decode(found["signature"]))
        files = ("-inkey", "sign.pem.pub", "-in", "statement", "-sigfile", "signature")
        command = [openssl, "pkeyutl", "-verify", "-pubin", "-rawin", *files]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode

    assert check(said) == 0
    assert check(said.replace(VERSION, "2026.11.1")) == 1


def test_the_commands_on_the_page_for_readers_check_a_signature(
    signed: tuple[Settings, SigningKey], tmp_path: Path
) -> None:
    """They are typed once, by somebody who cannot know what they should have said."""
    if not (shutil.which("openssl") and shutil.which("jq")):
        pytest.skip("openssl or jq is not installed")
    _, key = signed
    page = (Path(__file__).parents[2] / "datasets/README.md").read_text("utf-8")
    block = page.partition("The same without the client:")[2].partition("```bash\n")[2].partition("```")[0]
    lines = [line for line in block.splitlines() if not line.startswith(("curl", "opscommons"))]
    (tmp_path / "opscommons.pub").write_text(key.public.pem)
    name = signature_name(key.public.key_id)
    shutil.copy(tmp_path / "public" / ATTESTED / name, tmp_path / name)

    ran = subprocess.run(["bash", "-euc", "\n".join(lines)], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert (ran.returncode, ran.stdout.strip()) == (0, "Signature Verified Successfully"), ran.stderr


def test_readers_own_program_says_the_same(
    signed: tuple[Settings, SigningKey], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Readers have neither this program nor its configuration, and perhaps a copy of the files on their disk."""
    _, key = signed
    store, copy, pem = str(tmp_path / "public"), str(tmp_path / "copy"), str(tmp_path / "sign.pem.pub")
    other = make_signing_key(tmp_path / "other.pem")
    asked = ["--url", store, "verify", copy, "--public-key"]
    assert read_as_reader(["--url", store, "download", "--to", copy]) == 0

    assert read_as_reader([*asked, pem]) == 0
    assert f"consistent with its manifest, and is signed by {key.public.key_id}" in capsys.readouterr().out
    assert read_as_reader([*asked, str(tmp_path / "other.pem.pub")]) == 5
    said = capsys.readouterr().out
    assert f"unsigned {ATTESTED}{signature_name(other.public.key_id)} is not there" in said
    assert "consistent with its manifest; but the given key did not sign it" in said
    assert read_as_reader([*asked, str(tmp_path / "sign.pem")]) == 2


def test_readers_own_program_tells_of_a_signature_and_that_it_is_unchecked(
    signed: tuple[Settings, SigningKey], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Most readers do not know that there may be one."""
    _, key = signed
    asked = ["--url", str(tmp_path / "public"), "verify"]
    hint = f"not checked: a signature of {key.public.key_id}; ask the publisher, not the store, for its --public-key"

    assert read_as_reader(asked) == 0
    said = capsys.readouterr()
    assert hint in said.err.splitlines()[0]
    assert "signed" not in said.out
    assert read_as_reader([*asked, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["signatures"], found["signed_by"]) == ([key.public.key_id], None)
    assert read_as_reader([*asked, "--public-key", str(tmp_path / "sign.pem.pub")]) == 0
    assert "not checked" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("change_the_signature", "was not made by this key"),
        ("change_the_statement", "speaks of another dataset, version or manifest"),
        ("cut_it", "is no signature of a release"),
    ],
)
def test_readers_own_program_finds_a_forged_signature(
    signed: tuple[Settings, SigningKey], tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str, told: str
) -> None:
    settings, key = signed
    path, store = ATTESTED + signature_name(key.public.key_id), public_of(settings)
    assert isinstance(store, FolderStore)
    globals()[change](store, path)

    code = read_as_reader(["--url", str(tmp_path / "public"), "verify", "--public-key", str(tmp_path / "sign.pem.pub")])

    assert code == 5
    assert f"{path} {told}" in capsys.readouterr().out


def remove(store: FolderStore, path: str) -> None:
    store.delete(path)


def change_the_signature(store: FolderStore, path: str) -> None:
    found = json.loads(store.get(path) or b"")
    raw = bytearray(base64.b64decode(found["signature"]))
    raw[7] ^= 1
    store.put(path, _render(found | {"signature": base64.b64encode(raw).decode()}))


def change_the_statement(store: FolderStore, path: str) -> None:
    found = json.loads(store.get(path) or b"")
    store.put(path, _render(found | {"statement": found["statement"] | {"dataset": "Somebody else's"}}))


def change_the_manifest(store: FolderStore, path: str) -> None:
    found = json.loads(store.get(path) or b"")
    store.put(path, _render(found | {"statement": found["statement"] | {"manifest_sha256": "0" * 64}}))


def respell_the_signature(store: FolderStore, path: str) -> None:
    """Change bits of its last character that stand for nothing."""
    found = json.loads(store.get(path) or b"")
    start, last = found["signature"][:-3], found["signature"][-3]
    alike = (each for each in string.ascii_letters + string.digits if _bytes(start, each) == _bytes(start, last))
    other = next(each for each in alike if each != last)
    store.put(path, _render(found | {"signature": f"{start}{other}=="}))


def _bytes(start: str, last: str) -> bytes:
    return base64.b64decode(f"{start}{last}==")


def say_another_format(store: FolderStore, path: str) -> None:
    store.put(path, _render(json.loads(store.get(path) or b"") | {"format_version": "1.1"}))


def cut_it(store: FolderStore, path: str) -> None:
    store.put(path, (store.get(path) or b"")[:-3])


def write_it_otherwise(store: FolderStore, path: str) -> None:
    """Keep what it says, and sign nothing new: two spellings of one signature are one too many."""
    store.put(path, json.dumps(json.loads(store.get(path) or b"")).encode())


def name_another_key(store: FolderStore, path: str) -> None:
    store.put(path, _render(json.loads(store.get(path) or b"") | {"key_id": "s_0000000000000000"}))


def _render(found: object) -> bytes:
    return (json.dumps(found, indent=1, ensure_ascii=False) + "\n").encode()


TAMPERED: dict[str, Callable[[FolderStore, str], None]] = {
    "is missing": remove,
    "was not made by the key s_": change_the_signature,
    'signs 2026.11.0 of "Somebody else\'s" with manifest ': change_the_statement,
    "is not a signature as a publisher writes it": cut_it,
    "is not a signature as a publisher writes": write_it_otherwise,
    "is not a signature as a publisher": name_another_key,
    "is not a signature as a": respell_the_signature,
    "is not a signature as": say_another_format,
}


@pytest.mark.parametrize("told", TAMPERED)
def test_a_signature_that_is_not_the_key_s_of_this_release_is_named(
    signed: tuple[Settings, SigningKey], told: str
) -> None:
    settings, key = signed
    path = ATTESTED + signature_name(key.public.key_id)
    store = public_of(settings)
    assert isinstance(store, FolderStore)
    TAMPERED[told](store, path)

    result = run_verify(settings, VERSION, keys=(key.public,))

    assert result.signed_by == ()
    assert result.unsigned[0].startswith(f"{path}: {told}")
    assert [problem for problem in result.problems if problem.startswith(f"{path}: ")]  # its sums say so without a key
    with pytest.raises(StoreError) as caught:
        refuse_unproven(result, manifest_sha256=None)
    assert caught.value.exit_code == 6
    assert path in str(caught.value)


def test_a_whole_release_that_was_exchanged_is_found_by_the_key(
    signed: tuple[Settings, SigningKey], tmp_path: Path
) -> None:
    """Manifest, sums, files, attestations and catalog all fit together; a signature that was kept, too, by its name."""
    settings, key = signed
    path = ATTESTED + signature_name(key.public.key_id)
    store = public_of(settings)
    kept = store.get(path) or b""
    other, stranger = signer(tmp_path / "other")
    write_audited(other, contents={**CONTENTS, "README.md": b"# Another card\n"})
    run_publish(other, VERSION, clock=a_clock())
    for name in list(store.list("")):
        store.delete(name)
    forged = public_of(other)
    for name in list(forged.list("")):
        store.put(name, forged.get(name) or b"")

    without = run_verify(settings, VERSION, keys=(key.public,))

    assert run_verify(settings, VERSION, keys=(stranger.public,)).problems == without.problems == ()
    assert without.unsigned == (f"{path}: is missing",)
    assert without.proven == (
        "consistent: every byte is what its manifest says; but it is not signed by a given key: "
        f"{ATTESTED}{signature_name(key.public.key_id)}: is missing"
    )
    with pytest.raises(StoreError, match=rf"^{VERSION} is not signed by a given key: .*: is missing; is it the key of"):
        refuse_unproven(without, manifest_sha256=None)
    store.put(path, kept)
    moved = run_verify(settings, VERSION, keys=(key.public,))
    assert moved.unsigned[0].startswith(f"{path}: signs {VERSION} of 'Made up' with manifest ")


def test_a_signature_does_not_fit_another_release_of_the_same_key(tmp_path: Path) -> None:
    settings, key = signer(tmp_path)
    first, second = publish(settings), publish(settings, "2026.11.1")
    store = public_of(settings)
    store.put(second, store.get(first) or b"")

    result = run_verify(settings, "2026.11.1", keys=(key.public,))

    assert result.unsigned[0].startswith(f"{second}: signs {VERSION} of 'Made up' with manifest ")


def test_one_of_several_keys_is_enough_since_keys_follow_one_another(tmp_path: Path) -> None:
    settings, old = signer(tmp_path)
    publish(settings)
    later, new = signer(tmp_path, "next.pem")
    publish(later, "2026.11.1")
    keys = (new.public, old.public, old.public)

    assert run_verify(settings, VERSION, keys=keys).signed_by == (old.public.key_id,)
    assert run_verify(settings, "2026.11.1", keys=keys).signed_by == (new.public.key_id,)
    assert run_verify(settings, "2026.11.1", keys=(old.public,)).signed_by == ()


def test_publishing_again_writes_the_same_signature_and_never_another(signed: tuple[Settings, SigningKey]) -> None:
    """A run that died goes on where it stopped; what somebody planted in its place is not taken for its own."""
    settings, key = signed
    path = ATTESTED + signature_name(key.public.key_id)
    store = public_of(settings)
    written = store.get(path)

    assert run_publish(settings, VERSION, clock=a_clock()).signed_by == key.public.key_id
    assert store.get(path) == written

    for name in (f"{ATTESTED}SHA256SUMS", f"releases/{VERSION}/manifest.json"):  # as if it had died before these
        store.delete(name)
    assert run_publish(settings, VERSION, clock=a_clock()).signed_by == key.public.key_id
    assert store.get(path) == written
    store.delete(f"{ATTESTED}SHA256SUMS")
    store.delete(f"releases/{VERSION}/manifest.json")
    store.put(path, b"{}")
    with pytest.raises(StoreError, match=rf"^{path} is in .* with other bytes than this key signs"):
        run_publish(settings, VERSION, clock=a_clock())
    assert store.get(f"releases/{VERSION}/manifest.json") is None


def test_a_release_that_was_public_before_the_key_is_signed_when_it_is_published_again(tmp_path: Path) -> None:
    """Releases of years would stay without, since a key came late; nothing that was written before changes."""
    write_audited(publisher_settings(tmp_path))
    run_publish(publisher_settings(tmp_path), VERSION, clock=a_clock())
    settings, key = signer(tmp_path)
    store = public_of(settings)
    before = {name: store.get(name) for name in store.list("")}
    assert run_verify(settings, VERSION, keys=(key.public,)).unsigned
    assert run_verify(settings, VERSION).signatures == ()

    result = run_publish(settings, VERSION, clock=a_clock())

    path = ATTESTED + signature_name(key.public.key_id)
    assert result.signed_by == key.public.key_id
    assert {name: store.get(name) for name in store.list("") if name != path} == before
    verified = run_verify(settings, VERSION, keys=(key.public,))
    assert (verified.problems, verified.signed_by) == ((), (key.public.key_id,))


def test_nobody_signs_other_bytes_than_were_audited_here(tmp_path: Path) -> None:
    """The public manifest may be somebody else's by now; a key that came late must not vouch for it."""
    write_audited(publisher_settings(tmp_path))
    run_publish(publisher_settings(tmp_path), VERSION, clock=a_clock())
    settings, _ = signer(tmp_path)
    manifest = f"releases/{VERSION}/manifest.json"
    public_of(settings).put(manifest, (public_of(settings).get(manifest) or b"").replace(b"Made up", b"Made by"))

    with pytest.raises(UsageError, match="is published with other bytes"):
        run_publish(settings, VERSION, clock=a_clock())

    assert not [name for name in public_of(settings).list(ATTESTED) if "signature" in name]


@pytest.mark.parametrize("late", [False, True])
def test_without_a_key_a_signature_is_told_and_said_to_be_unchecked(tmp_path: Path, late: bool) -> None:
    """Who does not know that there is one does not ask for the key; who reads that there is one must not trust it."""
    settings, key = signer(tmp_path)
    if late:
        write_audited(publisher_settings(tmp_path))
        run_publish(publisher_settings(tmp_path), VERSION, clock=a_clock())
    publish(settings)
    key_id = key.public.key_id

    result = run_verify(settings, VERSION)

    assert (result.problems, result.signatures, result.signed_by) == ((), (key_id,), None)
    assert result.proven == "consistent: every byte is what its manifest says"
    said = f"not checked: a signature of {key_id} lies beside it; --public-key FILE does, with what"
    assert next(iter(render_verification(result))).startswith(said)
    assert not [
        line for line in render_verification(run_verify(settings, VERSION, keys=(key.public,))) if "not c" in line
    ]


@pytest.mark.parametrize("change", ["change_the_manifest", "cut_it", "name_another_key"])
def test_a_signature_that_came_later_and_is_of_nothing_here_is_a_stranger_s(tmp_path: Path, change: str) -> None:
    """What no sums name must speak for itself."""
    write_audited(publisher_settings(tmp_path))
    run_publish(publisher_settings(tmp_path), VERSION, clock=a_clock())
    settings, _ = signer(tmp_path)
    path, store = publish(settings), public_of(settings)
    assert isinstance(store, FolderStore)
    globals()[change](store, path)

    result = run_verify(settings, VERSION)

    assert (result.problems, result.signatures) == ((f"{path}: is not in SHA256SUMS",), ())


def test_signatures_stay_when_a_release_is_withdrawn(signed: tuple[Settings, SigningKey]) -> None:
    """Like all that speaks for a release: it says whose the digest in the tombstone was."""
    settings, key = signed

    withdraw(settings)

    assert public_of(settings).get(ATTESTED + signature_name(key.public.key_id))


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
