"""A release of the demo is published to a real bucket, read by a stranger, withdrawn by one command, and gone."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import urlopen

import pytest

from tests.e2e.world import World
from tests.lab.fixtures import gateway
from tests.lab.rgw import Gateway
from tests.store.places import FULL, BucketPlace, use_credentials

__all__ = ["gateway"]

REASON = "A label held what the policy does not allow."


@pytest.fixture
def bucket(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> BucketPlace:
    """Return a bucket that everybody may read, and that keeps versions of what is deleted."""
    use_credentials(monkeypatch, gateway.access_key, gateway.secret_key)
    place = BucketPlace(gateway, prefix="")
    place.let_everybody_read()
    place.keep_versions()
    return place


@pytest.fixture
def publisher(world: World, bucket: BucketPlace, gateway: Gateway, tmp_path: Path) -> dict[str, str]:
    """Return the variables of a publisher that has the demo's built releases and publishes to the bucket."""
    shutil.copytree(world.root / ".opspub/releases", tmp_path / "work/releases")
    return {
        "OPSPUB_WORK_DIR": str(tmp_path / "work"),
        "OPSPUB_PUBLIC": bucket.url,
        "S3_ENDPOINT_URL": gateway.endpoint_url,
        "AWS_ACCESS_KEY_ID": gateway.access_key,
        "AWS_SECRET_ACCESS_KEY": gateway.secret_key,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def read_as_stranger(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run the readers' program, with no environment that could let it in."""
    return subprocess.run(
        [Path(sys.executable).with_name("opscommons"), *arguments],
        env={"PATH": os.defpath, "HOME": os.devnull},
        capture_output=True,
        text=True,
        check=False,
    )


def status_of(url: str) -> int:
    try:
        with urlopen(url) as answer:
            return int(answer.status)
    except HTTPError as error:
        error.close()
        return error.code


def test_one_command_withdraws_a_release_from_everybody(
    world: World, bucket: BucketPlace, publisher: dict[str, str], tmp_path: Path
) -> None:
    kept, gone = world.releases["real"].name, world.releases["simulated"].name
    manifest = world.manifest(world.releases["simulated"])
    address = f"{bucket.endpoint_url}/{bucket.bucket}"
    paths = [file["path"] for file in manifest["files"]] + ["manifest.json", "SHA256SUMS"]
    urls = [f"{address}/releases/{gone}/{quote(path)}" for path in paths]
    for config, version in (("real", kept), ("sim", gone)):
        done = world.opspub(config, "publish", version, **publisher)
        assert done.returncode == 0, done.stderr
    bucket.begin_upload(f"releases/{gone}/data/more.parquet")
    verified = world.opspub("sim", "verify", gone, "--json", **publisher)
    assert (verified.returncode, json.loads(verified.stdout)["access"]) == (0, "anybody")
    assert {status_of(url) for url in urls} == {200}
    downloaded = read_as_stranger("--url", address, "download", gone, "--to", tmp_path / "copy")
    assert downloaded.returncode == 0, downloaded.stderr

    done = world.opspub("sim", "retract", gone, "--reason", REASON, "--json", **publisher)

    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["problems"], result["unchecked"], result["asked"]) == ([], [], len(urls))
    assert {status_of(url) for url in urls} <= {403, 404}
    left = [name for name in bucket.hidden_names() if f"releases/{gone}/" in name]
    assert left == []
    told_to_readers(address, gone, kept, tmp_path)
    refused_from_now_on(world, gone, publisher)
    again = world.opspub("sim", "retract", gone, "--reason", "Another reason.", **publisher)
    assert again.returncode == 0
    assert f"{gone} is retracted since" in again.stdout
    assert REASON in again.stdout


def told_to_readers(address: str, gone: str, kept: str, folder: Path) -> None:
    """Whoever asks for the release is told that, and why, it is gone; the others go on."""
    listed = read_as_stranger("--url", address, "list")
    latest = read_as_stranger("--url", address, "info", "--json")
    assert f"retracted: {REASON}" in next(line for line in listed.stdout.splitlines() if line.startswith(gone))
    assert json.loads(latest.stdout)["version"] == kept
    for arguments in (("info", gone), ("download", gone, "--to", folder / "late"), ("verify", gone)):
        refused = read_as_stranger("--url", address, *arguments)
        assert (refused.returncode, refused.stdout) == (4, "")
        assert refused.stderr == f"opscommons: release {gone} was retracted: {REASON}\n"
    assert not (folder / "late").exists()


def refused_from_now_on(world: World, gone: str, publisher: dict[str, str]) -> None:
    """The number is used up, for building, publishing and verifying alike."""
    published = world.opspub("sim", "publish", gone, **publisher)
    built = world.opspub("sim", "release", gone, **publisher)
    verified = world.opspub("sim", "verify", gone, **publisher)
    assert (published.returncode, built.returncode, verified.returncode) == (2, 2, 6)
    assert f"version {gone} was retracted on" in published.stderr
    assert REASON in published.stderr
    assert "a version is never used twice" in built.stderr
    assert f"release {gone} was retracted on" in verified.stderr
    assert REASON in verified.stderr


def test_a_version_that_never_was_and_a_reason_that_leaks_are_refused(
    world: World, publisher: dict[str, str], bucket: BucketPlace
) -> None:
    unknown = world.opspub("sim", "retract", "2030.1.0", "--reason", REASON, **publisher)
    leaking = world.opspub("sim", "retract", "2030.1.0", "--reason", "host 10.11.12.13 was in it", **publisher)
    empty = world.opspub("sim", "retract", "2030.1.0", "--reason", " ", **publisher)

    assert (unknown.returncode, leaking.returncode, empty.returncode) == (2, 5, 2)
    assert "has no release 2030.1.0" in unknown.stderr
    assert "10.11" not in leaking.stderr
    assert not bucket.raw_names()


def test_readers_are_told_how_long_to_keep_what_they_get(
    world: World, bucket: BucketPlace, publisher: dict[str, str]
) -> None:
    """The catalog is asked for every time; a file of a release is trusted for minutes, so that withdrawing works."""
    version = world.releases["real"].name
    assert world.opspub("real", "publish", version, **publisher).returncode == 0
    address = f"{bucket.endpoint_url}/{bucket.bucket}"
    kept = {}
    for name in bucket.raw_names():
        with urlopen(f"{address}/{quote(name)}") as answer:
            kept[name] = answer.headers["Cache-Control"]

    assert {name for name, header in kept.items() if header == "no-cache"} == {"catalog.json", "index.html"}
    assert {header for header in kept.values() if header != "no-cache"} == {
        "public, max-age=300, must-revalidate, no-transform"
    }


@pytest.mark.skipif(not FULL, reason="tests/jobs has it on a smaller release: make test-full")
def test_a_second_person_must_look_where_the_configuration_says_so(world: World, tmp_path: Path) -> None:
    """Fail closed by the command line, too: exit 5 and nothing public, until two have approved these bytes."""
    version = world.releases["real"].name
    shutil.copytree(world.root / ".opspub/releases", tmp_path / "work/releases")
    overrides = {
        "OPSPUB_WORK_DIR": str(tmp_path / "work"),
        "OPSPUB_PUBLIC": f"file:{tmp_path}/public",
        "OPSPUB_PUBLISH__APPROVALS": "2",
    }
    codes = []
    for name in ("alice", "alice", "bob"):
        codes.append(world.opspub("real", "publish", version, **overrides).returncode)
        approved = world.opspub("real", "approve", version, "--as", name, **overrides)
        assert approved.returncode == 0, approved.stderr
        assert f"{name} approves {version}: " in approved.stdout
    assert not (tmp_path / "public").exists()

    done = world.opspub("real", "publish", version, **overrides)

    assert codes == [5, 5, 5]
    assert done.returncode == 0, done.stderr
    attested = json.loads((tmp_path / "public/attestations" / version / "approvals.json").read_text())
    assert [approval["approver"] for approval in attested["approvals"]] == ["alice", "bob"]


def test_clean_up_leaves_the_demo_as_it_is(world: World, tmp_path: Path) -> None:
    """Everything there is named by a commit or a manifest; one planted file is not."""
    shutil.copytree(world.root / "staging/sim", tmp_path / "staging")
    shutil.copytree(world.public, tmp_path / "public")
    overrides = {
        "OPSPUB_STAGING": f"file:{tmp_path}/staging",
        "OPSPUB_PUBLIC": f"file:{tmp_path}/public",
        "OPSPUB_WORK_DIR": str(tmp_path / "work"),
    }
    commit = next((tmp_path / "staging/commits").rglob("*.json"))
    place = commit.relative_to(tmp_path / "staging/commits").with_suffix("")
    planted = tmp_path / "staging/data" / place / "0123456789abcdef.parquet"
    planted.parent.mkdir(parents=True, exist_ok=True)
    planted.write_bytes(b"of a run that died")
    for path in tmp_path.rglob("*"):
        os.utime(path, (0, 0))
    before = {path for path in tmp_path.rglob("*") if path.is_file()}

    listed = world.opspub("sim", "gc", "--json", **overrides)
    unchanged = {path for path in tmp_path.rglob("*") if path.is_file()}
    applied = world.opspub("sim", "gc", "--grace", "24h", "--apply", **overrides)
    wrong = world.opspub("sim", "gc", "--grace", "a day", **overrides)

    assert listed.returncode == applied.returncode == 0, listed.stderr + applied.stderr
    keys = [orphan["key"] for orphan in json.loads(listed.stdout)["orphans"]]
    assert keys == [planted.relative_to(tmp_path / "staging").as_posix()]
    assert unchanged == before
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == before - {planted}
    assert "1 of 1 were removed" in applied.stdout
    assert (wrong.returncode, wrong.stdout) == (2, "")
