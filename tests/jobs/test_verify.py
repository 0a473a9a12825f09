"""What verification proves, and what it says when it cannot: every changed byte has a name, every doubt a word."""

import hashlib
import json
from pathlib import Path

import pytest

from jobs.config import Settings
from jobs.publish.run import run_publish
from jobs.publish.verify import VerifyResult, refuse_unproven, render_verification, run_verify
from jobs.store.folder import FolderStore
from opscommons import open as open_release
from opscommons._verify import verify as verify_as_reader
from schemas.errors import StoreError, UsageError
from tests.jobs.audited import CONTENTS, VERSION, a_clock, publisher_settings, write_audited
from tests.jobs.withdrawn import PREFIX, a_public_bucket, in_bucket, public_of, publish_two, withdraw
from tests.lab.rgw import Gateway
from tests.store.conftest import bucket_place, gateway
from tests.store.places import BucketPlace

__all__ = ["bucket_place", "gateway"]

DATA = f"{PREFIX}data/node/metric=node_load1/date=2026-11-01/part-0.parquet"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A published release in a folder."""
    settings = publisher_settings(tmp_path)
    write_audited(settings)
    run_publish(settings, VERSION, clock=a_clock())
    return settings


def digest_of(settings: Settings) -> str:
    return hashlib.sha256(public_of(settings).get(f"{PREFIX}manifest.json") or b"").hexdigest()


def test_an_untouched_release_is_consistent(settings: Settings) -> None:
    result = run_verify(settings, VERSION)

    assert result == VerifyResult(
        version=VERSION,
        manifest_sha256=digest_of(settings),
        files=len(CONTENTS),
        bytes=sum(map(len, CONTENTS.values())),
        access="folder",
        listed=True,
        cited=None,
        problems=(),
    )
    assert result.proven == "consistent: every byte is what its manifest says"
    refuse_unproven(result, manifest_sha256=None)


def test_files_and_bytes_are_those_that_readers_count(settings: Settings, tmp_path: Path) -> None:
    """Two programs that count one release differently make people doubt both."""
    ours = run_verify(settings, VERSION)
    theirs = verify_as_reader(open_release(str(tmp_path / "public")))

    assert (ours.files, ours.bytes, ours.manifest_sha256) == (theirs.files, theirs.bytes, theirs.manifest_sha256)
    assert list(render_verification(ours)) == [
        f"{VERSION}: 4 files, 47 B, manifest {theirs.manifest_sha256}",
        "proven: consistent: every byte is what its manifest says",
    ]


TAMPERED = {
    "data/node/metric=node_load1/date=2026-11-01/part-0.parquet: has other bytes": (DATA, b"PAR1 nodez"),
    "README.md: has other bytes": (f"{PREFIX}README.md", b"# A card\n\n"),
    "LICENSE: is missing": (f"{PREFIX}LICENSE", None),
    "data/node/part-1.parquet: is not in the manifest": (f"{PREFIX}data/node/part-1.parquet", b"x"),
    "SHA256SUMS: does not say what the manifest says": (f"{PREFIX}SHA256SUMS", b"0  README.md\n"),
}


@pytest.mark.parametrize("told", TAMPERED)
def test_every_change_is_found_with_its_name(settings: Settings, told: str) -> None:
    key, content = TAMPERED[told]
    if content is None:
        public_of(settings).delete(key)
    else:
        public_of(settings).put(key, content)

    result = run_verify(settings, VERSION)

    assert result.problems == (told,)
    assert result.proven == "nothing: it is not consistent with its manifest"
    with pytest.raises(StoreError, match=rf"{VERSION} is not what its manifest says: .* \(1 in all\)"):
        refuse_unproven(result, manifest_sha256=None)


def test_a_citation_is_matched_or_is_said_to_differ(settings: Settings) -> None:
    """Who cites a digest asks one thing: is this the release I used? That its files fit together is another."""
    found = digest_of(settings)

    right = run_verify(settings, VERSION, manifest_sha256=found.upper())
    wrong = run_verify(settings, VERSION, manifest_sha256="ab" * 32)

    assert right.proven == "consistent: every byte is what its manifest says, and the manifest is the cited one"
    assert (wrong.cited, wrong.problems) == (False, ())
    assert wrong.proven.endswith("what its manifest says; but the manifest found differs from the cited digest")
    refuse_unproven(right, manifest_sha256=found)
    with pytest.raises(StoreError) as caught:
        refuse_unproven(wrong, manifest_sha256="ab" * 32)
    assert str(caught.value) == (
        f"the manifest found of {VERSION} has SHA-256 {found}, the cited digest is {'ab' * 32}: "
        "this is not the release that was cited"
    )


def test_a_whole_release_that_was_exchanged_is_found_by_its_citation(settings: Settings, tmp_path: Path) -> None:
    """Manifest, sums, files and catalog all fit together, and are all somebody else's."""
    cited = digest_of(settings)
    other = publisher_settings(tmp_path / "other")
    write_audited(other, contents={**CONTENTS, "README.md": b"# Another card\n"})
    run_publish(other, VERSION, clock=a_clock())
    store, forged = public_of(settings), public_of(other)
    for key in list(forged.list("")):
        store.put(key, forged.get(key) or b"")

    assert run_verify(settings, VERSION).problems == ()
    assert run_verify(settings, VERSION, manifest_sha256=cited).cited is False


def test_a_catalog_that_names_another_manifest_is_a_problem(settings: Settings) -> None:
    store = public_of(settings)
    catalog = json.loads(store.get("catalog.json") or b"")
    catalog["releases"][0]["manifest_sha256"] = "0" * 64
    store.put("catalog.json", json.dumps(catalog).encode())

    assert run_verify(settings, VERSION).problems == ("catalog.json: does not name this manifest",)


def test_what_is_not_there_is_told_apart_from_what_was_withdrawn(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no release 2026\.12\.0; 'opscommons list' shows what there is"):
        run_verify(settings, "2026.12.0")
    with pytest.raises(UsageError, match=f"has no release {VERSION}"):
        run_verify(publisher_settings(tmp_path / "empty"), VERSION)


def test_a_withdrawn_release_is_told_with_its_reason_and_what_is_left(tmp_path: Path) -> None:
    settings = publish_two(publisher_settings(tmp_path))
    withdraw(settings, reason="It named a person.")

    with pytest.raises(StoreError, match=rf"release {VERSION} was retracted on 2026-11-02: It named a person.$"):
        run_verify(settings, VERSION)
    FolderStore(tmp_path / "public").put(f"{PREFIX}data/x", b"1")
    with pytest.raises(StoreError, match=f"1 of its objects are still there: run 'opspub retract {VERSION}' again$"):
        run_verify(settings, VERSION)
    (tmp_path / f"public/retractions/{VERSION}.json").unlink()
    with pytest.raises(StoreError, match=f"release {VERSION} was retracted: It named a person"):
        run_verify(settings, VERSION)


def test_a_bucket_is_verified_as_anybody_sees_it(
    gateway: Gateway, bucket_place: BucketPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proof with the publisher's own credentials would not show that readers get the same."""
    settings = publish_two(in_bucket(tmp_path, a_public_bucket(gateway)))
    public_of(settings).put(f"{PREFIX}stranger", b"1")

    as_publisher = run_verify(settings, VERSION)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    as_reader = run_verify(settings, VERSION)

    assert (as_publisher.access, as_publisher.listed) == ("anybody", True)
    assert as_publisher.problems == ("stranger: is not in the manifest",)
    assert (as_reader.access, as_reader.listed, as_reader.problems) == ("anybody", False, ())
    assert next(iter(render_verification(as_reader))).startswith("not checked: files that are in no manifest")


def test_missing_files_and_withdrawn_releases_are_told_without_credentials_too(
    gateway: Gateway, bucket_place: BucketPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what is not there a bucket says to strangers that they may not read it."""
    settings = publish_two(in_bucket(tmp_path, a_public_bucket(gateway)))
    public_of(settings).delete(DATA)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    assert run_verify(settings, VERSION).problems == (f"{DATA.removeprefix(PREFIX)}: is missing",)
    with pytest.raises(UsageError, match=r"has no release 2026\.12\.0"):
        run_verify(settings, "2026.12.0")


def test_a_bucket_that_nobody_may_read_is_verified_with_credentials_and_says_so(
    bucket_place: BucketPlace, tmp_path: Path
) -> None:
    settings = publish_two(in_bucket(tmp_path, bucket_place))

    result = run_verify(settings, VERSION)

    assert (result.access, result.problems) == ("credentials", ())
    assert "read with credentials, since nobody can read it without" in list(render_verification(result))
