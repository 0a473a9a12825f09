"""What becomes public is exactly what was audited and approved, in an order that shows readers all of it or nothing."""

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from jobs.config import Settings
from jobs.kept import record_destruction
from jobs.publish import run as publish_module
from jobs.publish.built import approve
from jobs.publish.catalog import CATALOG
from jobs.publish.run import run_publish
from jobs.publish.sign import make_signing_key
from jobs.publish.verify import run_verify
from jobs.release import audited
from jobs.release.audited import AuditFinding
from jobs.store import open_store
from jobs.store.folder import FolderStore
from schemas.destruction import KeyDestruction
from schemas.errors import PrivacyError, StoreError, UsageError
from tests.jobs.audited import CONTENTS, NOW, VERSION, a_clock, publisher_settings, write_audited

HOUR = timedelta(hours=1)
PREFIX = f"releases/{VERSION}/"


def public_keys(folder: Path) -> list[str]:
    return list(FolderStore(folder / "public").list(""))


def test_a_release_is_published_whole_with_what_speaks_for_it(tmp_path: Path) -> None:
    settings = publisher_settings(tmp_path)
    manifest = write_audited(settings)

    first = run_publish(settings, VERSION, clock=a_clock())
    second = run_publish(settings, VERSION, clock=a_clock(NOW + HOUR))

    assert public_keys(tmp_path) == sorted(
        [PREFIX + path for path in (*CONTENTS, "manifest.json", "SHA256SUMS")]
        + [
            f"attestations/{VERSION}/{name}"
            for name in ("audit.json", "approvals.json", "published.json", "SHA256SUMS")
        ]
        + ["catalog.json", "index.html"]
    )
    assert (first.written, second.written) == (len(CONTENTS) + 2, 0)
    assert first.latest == second.latest == VERSION
    published = json.loads((tmp_path / f"public/attestations/{VERSION}/published.json").read_text())
    content = (tmp_path / f"public/{PREFIX}manifest.json").read_bytes()
    assert published == {"published": NOW.isoformat(), "manifest_sha256": hashlib.sha256(content).hexdigest()}
    assert first.bytes == sum(file.bytes for file in manifest.files)


def change_a_file(folder: Path) -> None:
    path = folder / "data/node/metric=node_load1/date=2026-11-01/part-0.parquet"
    path.write_bytes(path.read_bytes()[::-1])


def remove_a_file(folder: Path) -> None:
    (folder / "README.md").unlink()


def link_a_file(folder: Path) -> None:
    (folder / "README.md").rename(folder.with_name("elsewhere"))
    (folder / "README.md").symlink_to(folder.with_name("elsewhere"))


def change_the_sums(folder: Path) -> None:
    (folder / "SHA256SUMS").write_text("0  README.md\n")


def change_the_manifest(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace("Made up", "Made by"))


def remove_the_report(folder: Path) -> None:
    folder.with_name(f"{VERSION}.audit.json").unlink()


def cut_the_report(folder: Path) -> None:
    path = folder.with_name(f"{VERSION}.audit.json")
    path.write_text(path.read_text()[:-20])


AFTER_THE_AUDIT: dict[str, Callable[[Path], None]] = {
    "part-0.parquet was changed after its audit": change_a_file,
    "README.md cannot be read any more": remove_a_file,
    "README.md was changed after its audit": link_a_file,
    "SHA256SUMS does not say what the manifest says": change_the_sums,
    "was changed after its audit; run 'opspub audit": change_the_manifest,
    "has no audit report": remove_the_report,
    "is not an audit report": cut_the_report,
}


@pytest.mark.parametrize("told", AFTER_THE_AUDIT)
def test_nothing_is_public_that_was_changed_after_its_audit(tmp_path: Path, told: str) -> None:
    """Not even the first file of it: an address that can be guessed is public."""
    settings = publisher_settings(tmp_path)
    write_audited(settings)
    AFTER_THE_AUDIT[told](settings.work_dir / "releases" / VERSION)

    with pytest.raises(PrivacyError, match=told) as caught:
        run_publish(settings, VERSION, clock=a_clock())

    assert caught.value.exit_code == 5
    assert not public_keys(tmp_path)


@pytest.mark.parametrize("age", [timedelta(hours=24, seconds=1), -timedelta(seconds=1)], ids=["old", "of the future"])
def test_an_audit_is_good_for_a_day(tmp_path: Path, age: timedelta) -> None:
    """Words to look for, and what is known to be a leak, change; a clock that jumped back makes no audit younger."""
    settings = publisher_settings(tmp_path)
    write_audited(settings, audited=NOW - age)

    with pytest.raises(PrivacyError, match="wanted one of the last day; run 'opspub audit"):
        run_publish(settings, VERSION, clock=a_clock())

    assert not public_keys(tmp_path)
    write_audited(settings, audited=NOW - 24 * HOUR)
    assert run_publish(settings, VERSION, clock=a_clock()).latest == VERSION


def test_an_audit_that_breaks_leaves_nothing_to_publish_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes are those of a clean audit of an hour ago; but who looked again could not say so."""
    settings = publisher_settings(tmp_path)
    write_audited(settings)

    def broken(*_: object, **__: object) -> None:
        raise KeyError("payroll-of-the-boss")

    monkeypatch.setattr(audited, "audit_release", broken)
    with pytest.raises(
        PrivacyError, match=r"^the audit of 2026\.11\.0 broke, .*: KeyError at .* < jobs/release/audited.py:"
    ) as caught:
        audited.audit_built(settings, settings.work_dir / "releases" / VERSION, now=NOW)
    with pytest.raises(PrivacyError, match="has no audit report"):
        run_publish(settings, VERSION, clock=a_clock())

    assert caught.value.exit_code == 5
    assert "payroll" not in str(caught.value)
    assert not public_keys(tmp_path)


def test_an_audit_with_findings_stops_it(tmp_path: Path) -> None:
    settings = publisher_settings(tmp_path)
    write_audited(settings, findings=(AuditFinding(place="README.md", code="ipv4-address", count=1),))

    with pytest.raises(PrivacyError, match=r"has 1 findings, the first: README.md: ipv4-address \(1\)"):
        run_publish(settings, VERSION, clock=a_clock())

    assert not public_keys(tmp_path)


def test_a_release_made_under_another_policy_is_not_published(tmp_path: Path) -> None:
    """Somebody narrowed the policy after it was built, and did so for a reason."""
    settings = publisher_settings(tmp_path)
    write_audited(settings, policy_digest="sha256:" + "0" * 64)

    with pytest.raises(PrivacyError, match="made under another policy than the configured one"):
        run_publish(settings, VERSION, clock=a_clock())

    assert not public_keys(tmp_path)


@pytest.mark.parametrize(
    ("staging", "public"), [("s3://lab/a", "s3://lab"), ("s3://lab", "s3://lab/a"), ("file:/x/y/", "file:/x/y")]
)
def test_the_public_store_and_the_private_one_are_apart(tmp_path: Path, staging: str, public: str) -> None:
    settings = publisher_settings(tmp_path, public, staging=staging)
    write_audited(settings)

    with pytest.raises(UsageError, match="lie in one another; wanted two places apart"):
        run_publish(settings, VERSION, clock=a_clock())


def test_two_different_people_must_have_approved_exactly_these_bytes(tmp_path: Path) -> None:
    """One person who is wrong, or hurried, or somebody else's, publishes nothing alone."""
    settings = publisher_settings(tmp_path, publish={"approvals": 2})
    write_audited(settings)

    def refusal() -> str:
        with pytest.raises(PrivacyError) as caught:
            run_publish(settings, VERSION, clock=a_clock())
        assert not public_keys(tmp_path)
        return str(caught.value)

    assert "has 0 approvals, publish.approvals wants 2" in refusal()
    approve(settings, VERSION, approver="alice", now=NOW)
    approve(settings, VERSION, approver="Alice", now=NOW + HOUR)
    assert "has 1 approvals, publish.approvals wants 2" in refusal()
    approve(settings, VERSION, approver="bob", now=NOW)
    change_the_manifest(settings.work_dir / "releases" / VERSION)
    assert "was changed after its audit" in refusal()
    write_audited(settings, created=NOW - 3 * HOUR)
    assert "has 0 approvals (2 of other bytes do not count), publish.approvals wants 2" in refusal()
    for name in ("alice", "carol"):
        approve(settings, VERSION, approver=name, now=NOW)

    run_publish(settings, VERSION, clock=a_clock())

    content = (tmp_path / f"public/{PREFIX}manifest.json").read_bytes()
    approvals = json.loads((tmp_path / f"public/attestations/{VERSION}/approvals.json").read_text())["approvals"]
    assert [approval["approver"] for approval in approvals] == ["alice", "carol"]
    assert {approval["manifest_sha256"] for approval in approvals} == {hashlib.sha256(content).hexdigest()}


def test_a_key_that_is_gone_already_is_attested_beside_the_release(tmp_path: Path) -> None:
    """Readers may know that nobody can test guesses any more, whenever it was published."""
    settings = publisher_settings(tmp_path)
    write_audited(settings, key_id="k_gone")
    record = KeyDestruction(key_id="k_gone", valid_from=None, valid_to=NOW, destroyed=NOW, snapshots=1, gaps=())
    record_destruction(FolderStore(tmp_path / "staging"), record)

    run_publish(settings, VERSION, clock=a_clock())

    assert f"attestations/{VERSION}/key-destroyed.json" in public_keys(tmp_path)


def test_one_approval_under_two_names_of_a_file_is_refused(tmp_path: Path) -> None:
    settings = publisher_settings(tmp_path, publish={"approvals": 2})
    write_audited(settings)
    approve(settings, VERSION, approver="alice", now=NOW)
    folder = settings.work_dir / "releases"
    copied = (folder / f"{VERSION}.approval-alice.json").read_bytes()
    (folder / f"{VERSION}.approval-bob.json").write_bytes(copied)

    with pytest.raises(PrivacyError, match="holds the approval of somebody else"):
        run_publish(settings, VERSION, clock=a_clock())


@pytest.mark.parametrize("name", ["", "a person", "person@example.org", "../x", "a" * 40, "-x"])
def test_an_approver_has_a_short_public_handle(tmp_path: Path, name: str) -> None:
    settings = publisher_settings(tmp_path)
    write_audited(settings)

    with pytest.raises(UsageError, match="wanted one, since it becomes public"):
        approve(settings, VERSION, approver=name, now=NOW)


def test_only_audited_bytes_can_be_approved(tmp_path: Path) -> None:
    settings = publisher_settings(tmp_path)
    write_audited(settings, audited=NOW - 25 * HOUR)

    with pytest.raises(PrivacyError, match="wanted one of the last day"):
        approve(settings, VERSION, approver="alice", now=NOW)

    assert not list((settings.work_dir / "releases").glob("*.approval-*"))


class Died(BaseException):
    """As a process that is killed: nothing more of it happens."""


def test_who_loses_a_race_and_dies_leaves_nothing_that_speaks_against_the_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before each write of one publisher another has published all of it; the one writes, and dies.

    What it looked at before, that nobody had spoken for the release yet, is no longer so by then.
    """
    for at in range(1, 50):
        folder = tmp_path / f"{at}"
        stores = {"staging": f"file:{folder}/staging", "public": f"file:{folder}/public"}
        winner = publisher_settings(folder / "winner", **stores)
        make_signing_key(folder / "sign.pem")
        loser = publisher_settings(
            folder / "loser", publish={"approvals": 1, "signing_key_file": folder / "sign.pem"}, **stores
        )
        write_audited(winner, contents={"README.md": b"# A card\n"})
        write_audited(loser, contents={"README.md": b"# A card\n"}, audited=NOW - 2 * HOUR)
        approve(loser, VERSION, approver="alice", now=NOW)
        written: list[str] = []

        class Losing(FolderStore):
            def put_new(
                self,
                key: str,
                content: bytes | Path,
                *,
                sha256: str | None = None,
                at: int = at,
                winner: Settings = winner,
                written: list[str] = written,
            ) -> bool:
                written.append(key)
                if len(written) != at:
                    return super().put_new(key, content, sha256=sha256)
                with monkeypatch.context() as patch:
                    patch.setattr(publish_module, "open_store", open_store)
                    run_publish(winner, VERSION, clock=a_clock())
                super().put_new(key, content, sha256=sha256)
                raise Died

        with monkeypatch.context() as patch:
            patch.setattr(publish_module, "open_store", lambda url, **_: Losing(Path(url.removeprefix("file:"))))
            try:
                run_publish(loser, VERSION, clock=a_clock())
            except Died:
                pass
            else:
                break
        result = run_verify(winner, VERSION)
        assert result.problems == (), written[-1]

    assert f"attestations/{VERSION}/SHA256SUMS" in written
    assert len(written) == at - 1


def test_what_speaks_for_other_bytes_or_for_too_few_stops_it(tmp_path: Path) -> None:
    """A publishing died before the manifest, and clean-up took the files of the release but not yet these."""
    settings = publisher_settings(tmp_path, publish={"approvals": 1})
    write_audited(settings)
    approve(settings, VERSION, approver="alice", now=NOW)
    run_publish(settings, VERSION, clock=a_clock())
    public = FolderStore(tmp_path / "public")
    for key in (*public.list(PREFIX), f"attestations/{VERSION}/SHA256SUMS"):
        public.delete(key)

    other = publisher_settings(tmp_path / "other", settings.public, publish={"approvals": 2}, staging=settings.staging)
    write_audited(other)
    for name in ("bob", "carol"):
        approve(other, VERSION, approver=name, now=NOW)
    with pytest.raises(PrivacyError, match=r"approvals.json is in .* with 1 approvals, publish.approvals wants 2"):
        run_publish(other, VERSION, clock=a_clock())
    public.delete(f"{PREFIX}SHA256SUMS")
    write_audited(settings, created=NOW - 3 * HOUR)
    approve(settings, VERSION, approver="alice", now=NOW)
    with pytest.raises(StoreError, match=r"audit.json is in .* and speaks of other bytes"):
        run_publish(settings, VERSION, clock=a_clock())

    assert f"{PREFIX}manifest.json" not in public_keys(tmp_path)


def test_what_died_half_way_is_finished_and_compared(tmp_path: Path) -> None:
    settings = publisher_settings(tmp_path)
    write_audited(settings)
    store = FolderStore(tmp_path / "public")
    store.put(PREFIX + "README.md", CONTENTS["README.md"])

    assert run_publish(settings, VERSION, clock=a_clock()).written == len(CONTENTS) + 1


def test_an_object_with_other_bytes_stops_it_before_the_manifest(tmp_path: Path) -> None:
    """Somebody else wrote there: a manifest over it would be a lie."""
    settings = publisher_settings(tmp_path)
    write_audited(settings)
    FolderStore(tmp_path / "public").put(PREFIX + "README.md", b"# Another card\n")

    with pytest.raises(StoreError, match=r"README.md is in .* with other bytes"):
        run_publish(settings, VERSION, clock=a_clock())

    assert PREFIX + "manifest.json" not in public_keys(tmp_path)
    assert CATALOG not in public_keys(tmp_path)


def test_a_file_that_is_cleaned_away_meanwhile_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old half of a release is what clean-up looks for, and this run had just counted on it."""
    settings = publisher_settings(tmp_path)
    write_audited(settings)
    store = FolderStore(tmp_path / "public")
    store.put(PREFIX + "README.md", CONTENTS["README.md"])
    put_new = FolderStore.put_new

    def put_new_and_lose(self: FolderStore, key: str, content: bytes | Path, *, sha256: str | None = None) -> bool:
        if key == PREFIX + "SHA256SUMS":
            self.delete(PREFIX + "README.md")
        return put_new(self, key, content, sha256=sha256)

    monkeypatch.setattr(FolderStore, "put_new", put_new_and_lose)
    run_publish(settings, VERSION, clock=a_clock())

    assert store.get(PREFIX + "README.md") == CONTENTS["README.md"]
