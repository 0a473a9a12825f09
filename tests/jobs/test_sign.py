"""Who signed a release: a signature fits one release and one key, and anybody can check it without this program."""

import base64
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from jobs.config import Settings
from jobs.publish.run import run_publish
from jobs.publish.sign import SigningKey, make_signing_key, signature_name
from jobs.publish.verify import refuse_unproven, render_verification, run_verify
from opscommons._cli import main as read_as_reader
from schemas.errors import StoreError, UsageError
from tests.jobs.audited import VERSION, a_clock, publisher_settings, write_audited
from tests.jobs.signed import ATTESTED, publish, signer
from tests.jobs.withdrawn import public_of, withdraw


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


def test_signatures_stay_when_a_release_is_withdrawn(signed: tuple[Settings, SigningKey]) -> None:
    """Like all that speaks for a release: it says whose the digest in the tombstone was."""
    settings, key = signed

    withdraw(settings)

    assert public_of(settings).get(ATTESTED + signature_name(key.public.key_id))
