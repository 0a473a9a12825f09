"""What is not the publisher's own signature of this release is found, and named."""

import base64
import json
import string
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.config import Settings
from jobs.publish.run import run_publish
from jobs.publish.sign import SigningKey, signature_name
from jobs.publish.verify import refuse_unproven, run_verify
from jobs.store.folder import FolderStore
from opscommons._cli import main as read_as_reader
from schemas.errors import StoreError
from tests.jobs.audited import CONTENTS, VERSION, a_clock, publisher_settings, write_audited
from tests.jobs.signed import ATTESTED, publish, signer
from tests.jobs.withdrawn import public_of


@pytest.fixture
def signed(tmp_path: Path) -> tuple[Settings, SigningKey]:
    """A published release in a folder, and the key that signed it."""
    settings, key = signer(tmp_path)
    publish(settings)
    return settings, key


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
