"""Whoever changes, removes or adds a byte of a public release: verification finds it, and names the file."""

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from jobs.config import read_settings
from jobs.publish.sign import read_public_key
from jobs.publish.verify import run_verify
from schemas.errors import PublisherError
from tests.crash.conftest import NewLife
from tests.crash.life import COMMANDS, SIGNING_KEY, VERSION
from tests.store.places import FULL

SEED: Final = 20261128
FLIPS: Final = 40 if FULL else 2
"""Bytes that are changed in each file."""


@pytest.fixture
def public(new_folder_life: NewLife) -> tuple[Path, Path]:
    """A published release: its configuration, and the public folder."""
    life = new_folder_life()
    for command in COMMANDS[:3]:
        life.succeed(command)
    return life.folder / "opspub.yaml", life.folder / "public"


def speaking_files(public: Path) -> list[Path]:
    """Return every file that belongs to the release: its own, what speaks for it, and the catalog that names it."""
    folders = (public / "releases" / VERSION, public / "attestations" / VERSION)
    files = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    return [*files, public / "catalog.json"]


def variants(content: bytes, chance: random.Random) -> Iterator[bytes]:
    """Yield what may become of a file: changed bytes, a lost end, an added one, nothing at all."""
    for _ in range(FLIPS):
        at = chance.randrange(len(content))
        yield content[:at] + bytes([content[at] ^ (1 << chance.randrange(8))]) + content[at + 1 :]
    yield from (content[:-1], content + b"\n", b"")


def problems(config: Path) -> list[str]:
    """Return what a verification says against the release, also where it cannot even begin."""
    try:
        return list(run_verify(read_settings(config), VERSION).problems)
    except PublisherError as error:
        return [str(error)]


def test_every_changed_byte_is_found_with_the_name_of_its_file(public: tuple[Path, Path]) -> None:
    config, folder = public
    chance = random.Random(SEED)
    assert not problems(config)

    for path in speaking_files(folder):
        content = path.read_bytes()
        name = path.name if path.name in ("catalog.json", "manifest.json") else shown(path, folder)
        for changed in variants(content, chance):
            path.write_bytes(changed)
            found = problems(config)
            assert any(name in problem for problem in found), f"{name}: {found}"
        path.unlink()
        assert any(name in problem or "has no release" in problem for problem in problems(config)), f"{name} is missing"
        path.write_bytes(content)

    assert not problems(config)


def test_no_changed_signature_passes_for_one_though_all_that_is_not_signed_says_so(public: tuple[Path, Path]) -> None:
    """Whoever can write to the store can write sums and catalog anew; only the key's own word is out of their reach."""
    config, folder = public
    chance = random.Random(SEED)
    key = read_public_key(config.with_name(f"{SIGNING_KEY}.pub"))
    attested = folder / "attestations" / VERSION
    path = attested / f"signature-{key.key_id}.json"
    content, sums = path.read_bytes(), (attested / "SHA256SUMS").read_text()

    for changed in variants(content, chance):
        path.write_bytes(changed)
        before, after = (hashlib.sha256(each).hexdigest() for each in (content, changed))
        (attested / "SHA256SUMS").write_text(sums.replace(before, after))
        result = run_verify(read_settings(config), VERSION, keys=(key,))
        assert (result.problems, result.signed_by) == ((), ())
        assert path.name in result.unsigned[0]

    path.write_bytes(content)
    (attested / "SHA256SUMS").write_text(sums)
    assert run_verify(read_settings(config), VERSION, keys=(key,)).signed_by == (key.key_id,)


def test_every_added_file_is_found_with_its_name(public: tuple[Path, Path]) -> None:
    config, folder = public
    for name in ("data/x.parquet", "manifest.json.bak", ".hidden", "sample/a/b"):
        path = folder / "releases" / VERSION / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
        assert problems(config) == [f"{name}: is not in the manifest"]
        path.unlink()
    path = folder / "attestations" / VERSION / "approval-somebody.json"
    path.write_bytes(b"{}")
    assert problems(config) == [f"attestations/{VERSION}/{path.name}: is not in SHA256SUMS"]


def shown(path: Path, folder: Path) -> str:
    """Return how verification names a file."""
    release = folder / "releases" / VERSION
    return (path.relative_to(release) if release in path.parents else path.relative_to(folder)).as_posix()
