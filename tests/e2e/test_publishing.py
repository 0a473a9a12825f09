"""The demo's promises beside the data: it can run again, its audit is awake, its bytes are checked."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from demo.run import main
from tests.e2e.world import World
from tests.store.places import FULL


def leak_in_a_cell(_: Path, data: Path) -> None:
    rows = pq.read_table(data, partitioning=None)
    names = rows.column("pod").to_pylist()
    names[0] = "jupyter-made-up-name"
    changed = rows.set_column(rows.schema.get_field_index("pod"), "pod", pa.array(names, pa.string()))
    pq.write_table(changed, data, store_schema=False)


def leak_in_a_dictionary_page(_: Path, data: Path) -> None:
    """The trap of dictionary columns: no row shows the name, the file holds it."""
    rows = pq.read_table(data, partitioning=None)
    encoded: Any = rows.column("pod").combine_chunks().dictionary_encode()
    words = pa.concat_arrays([encoded.dictionary, pa.array(["made-up-tenant-name"])])
    wider = pa.DictionaryArray.from_arrays(encoded.indices, words)
    changed = rows.set_column(rows.schema.get_field_index("pod"), "pod", wider)
    pq.write_table(changed, data, store_schema=False)


def leak_in_the_footer(_: Path, data: Path) -> None:
    rows = pq.read_table(data, partitioning=None)
    pq.write_table(rows.replace_schema_metadata({"host": "gpu-07.made-up.example"}), data)


def leak_off_the_grid(_: Path, data: Path) -> None:
    rows = pq.read_table(data, partitioning=None)
    times: Any = rows.column("timestamp").cast(pa.int64()).to_pylist()
    moved = pa.array([at + 7 for at in times]).cast(rows.schema.field(0).type)
    pq.write_table(rows.set_column(0, rows.schema.field(0), moved), data, store_schema=False)


def leak_behind_a_link(folder: Path, data: Path) -> None:
    elsewhere = folder.with_name("elsewhere.parquet")
    data.rename(elsewhere)
    data.symlink_to(elsewhere)


def leak_in_the_card(folder: Path, _: Path) -> None:
    with (folder / "README.md").open("a") as card:
        card.write("\nseen on 10.11.12.13\n")


def leak_as_a_file_nobody_listed(folder: Path, _: Path) -> None:
    (folder / "notes.txt").write_text("jupyter-made-up-name")


def leak_in_a_copy_of_a_schema(folder: Path, _: Path) -> None:
    (folder / "schemas/gpu.json").write_text('{"note": "runs on a machine of team made-up"}')


def leak_in_the_manifest(folder: Path, _: Path) -> None:
    manifest = World.manifest(folder)
    manifest["sources"] = ["made-up-cluster-name"]
    (folder / "manifest.json").write_text(json.dumps(manifest))


LEAKS: dict[str, Callable[[Path, Path], None]] = {
    "DATA: statistics of pod: not-in-grammar (1)": leak_in_a_cell,
    "DATA: dictionary page of pod: not-in-grammar": leak_in_a_dictionary_page,
    "DATA: key-value metadata: metadata-in-footer": leak_in_the_footer,
    "DATA: timestamp-off-grid": leak_off_the_grid,
    "folder: not-a-plain-file": leak_behind_a_link,
    "README.md: ipv4-address": leak_in_the_card,
    "folder: unlisted-file": leak_as_a_file_nobody_listed,
    "schemas/gpu.json: differs-from-registry": leak_in_a_copy_of_a_schema,
    "manifest.json: sources: not-in-grammar": leak_in_the_manifest,
}
"""How the audit tells each, where ``DATA`` is a data file of its own; ``tests/audit`` plants a hundred more."""


def relist(folder: Path) -> None:
    """Make manifest and sums fit the leaking files: the audit must not depend on hashes to notice."""
    import hashlib

    manifest = World.manifest(folder)
    for file in manifest["files"]:
        content = (folder / file["path"]).read_bytes()
        file.update(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
    (folder / "manifest.json").write_text(json.dumps(manifest))
    lines = [f"{file['sha256']}  {file['path']}" for file in manifest["files"]]
    lines.append(f"{hashlib.sha256((folder / 'manifest.json').read_bytes()).hexdigest()}  manifest.json")
    (folder / "SHA256SUMS").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("told", [[*LEAKS], *([[each] for each in LEAKS] if FULL else [])])
def test_the_audit_goes_red_on_planted_leaks(world: World, tmp_path: Path, told: list[str]) -> None:
    """Each leak by hand is named by place and code, never by its value, and the exit code is 5."""
    folder = tmp_path / "release"
    shutil.copytree(world.releases["simulated"], folder)
    files = sorted((folder / "data/gpu").rglob("*.parquet"))
    for each, data in zip(told, files, strict=False):
        LEAKS[each](folder, data)
    relist(folder)

    done = world.opspub("sim", "audit", str(folder))

    assert done.returncode == 5
    for each, data in zip(told, files, strict=False):
        assert each.replace("DATA", data.relative_to(folder).as_posix()) in done.stdout
    assert "made-up" not in done.stdout + done.stderr
    assert "10.11.12.13" not in done.stdout + done.stderr


def test_an_untouched_release_is_clean(world: World) -> None:
    for folder in world.releases.values():
        done = world.opspub("sim", "audit", str(folder))
        assert done.returncode == 0, done.stdout


def test_publish_refuses_what_was_changed_after_its_audit(world: World, tmp_path: Path) -> None:
    """The report is bound to bytes, not to a name."""
    version = world.releases["simulated"].name
    work = tmp_path / "work/releases"
    work.mkdir(parents=True)
    shutil.copytree(world.root / ".opspub/releases" / version, work / version)
    shutil.copy(world.root / f".opspub/releases/{version}.audit.json", work)
    card = work / version / "README.md"
    card.write_text(card.read_text() + " ")
    overrides = {"OPSPUB_WORK_DIR": str(tmp_path / "work"), "OPSPUB_PUBLIC": f"file:{tmp_path}/public"}

    done = world.opspub("sim", "publish", version, **overrides)

    assert done.returncode == 5
    assert "changed after its audit" in done.stderr
    assert not (tmp_path / "public/catalog.json").exists()
    assert not (tmp_path / "public/releases" / version / "manifest.json").exists()


@pytest.mark.skipif(not FULL, reason="tests/jobs has it on a smaller release: make test-full")
def test_one_span_is_not_published_under_two_keys(world: World, tmp_path: Path) -> None:
    """The values of both would link every token; it is refused where data become public, too."""
    (tmp_path / "work").mkdir()
    real = world.manifest(world.releases["real"])
    overrides = {
        "OPSPUB_WORK_DIR": str(tmp_path / "work"),
        "OPSPUB_PUBLIC": f"file:{tmp_path}/public",
        "OPSPUB_STAGING": f"file:{tmp_path}/staging",
    }
    shutil.copytree(world.root / ".opspub/releases", tmp_path / "work/releases")
    assert world.opspub("real", "publish", real["release"]["version"], **overrides).returncode == 0
    overrides["OPSPUB_PRIVACY__KEY_FILE"] = str(tmp_path / "other.key")
    assert world.opspub("real", "key", "new", **overrides).returncode == 0
    span = ("--start", real["start"], "--end", real["end"])
    assert world.opspub("real", "snapshot", *span, **overrides).returncode == 0

    refused = world.opspub("real", "release", "2030.1.0", *span, **overrides)
    audited = world.opspub("real", "audit", str(tmp_path / "work/releases/2030.1.0"), **overrides)
    published = world.opspub("real", "publish", "2030.1.0", **overrides)

    assert (refused.returncode, audited.returncode, published.returncode) == (5, 0, 5)
    assert "under another key" in published.stderr
    assert not (tmp_path / "public/releases/2030.1.0").exists()


def test_verify_names_a_changed_file(world: World, tmp_path: Path) -> None:
    shutil.copytree(world.public, tmp_path / "public")
    version = world.releases["real"].name
    victim = tmp_path / "public/releases" / version / "coverage.parquet"
    victim.write_bytes(victim.read_bytes() + b"x")

    done = world.opspub("real", "verify", version, OPSPUB_PUBLIC=f"file:{tmp_path}/public")

    assert done.returncode == 6
    assert "coverage.parquet" in done.stdout


@pytest.mark.skipif(not FULL, reason="tests/crash has it on a smaller release: make test-full")
def test_the_same_snapshots_give_the_same_bytes(world: World, tmp_path: Path) -> None:
    """A release is a function of commits, configuration and version."""
    built = world.releases["simulated"]
    manifest = World.manifest(built)
    overrides = {"OPSPUB_WORK_DIR": str(tmp_path / "work"), "OPSPUB_PUBLIC": f"file:{tmp_path}/public"}

    done = world.opspub(
        "sim", "release", built.name, "--start", manifest["start"], "--end", manifest["end"], **overrides
    )

    assert done.returncode == 0, done.stderr
    again = tmp_path / "work/releases" / built.name
    assert (again / "SHA256SUMS").read_bytes() == (built / "SHA256SUMS").read_bytes()


@pytest.mark.skipif(not FULL, reason="builds everything once more: make test-full")
def test_the_demo_runs_again(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    """A second run reuses the server, collects only what is missing, and takes the next free versions."""
    before = {path.name for path in (world.public / "releases").iterdir()}

    code = main(world.environment, root=world.root, hours=1)

    printed = capfd.readouterr()
    assert code == 0, printed.err
    after = {path.name for path in (world.public / "releases").iterdir()}
    assert before < after
    assert len(after) == len(before) + 2
    assert "simulated" not in printed.out.splitlines()[1]  # nothing is backfilled twice
    assert "samples to Prometheus's blocks" not in printed.out


def test_the_service_collects_by_itself_and_stops_when_told(world: World, tmp_path: Path) -> None:
    """``serve`` runs at once, shows what it did, and ends within seconds of a SIGTERM with all commits kept."""
    opspub = Path(sys.executable).with_name("opspub")
    environment = {
        **world.environment,
        "OPSPUB_SOURCE__URL": world.state["url"],
        "OPSPUB_STAGING": f"file:{tmp_path}/staging",
        "OPSPUB_WORK_DIR": str(tmp_path / "work"),
    }
    command: list[str | Path] = [
        opspub,
        "--config",
        world.root / "demo/real.yaml",
        "--verbose",
        "serve",
        "--listen",
        "127.0.0.1:0",
    ]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as service:
        assert service.stderr
        seen = []
        for line in service.stderr:
            seen.append(line)
            if "snapshot done" in line:
                break
        service.terminate()

        assert service.wait(timeout=10) == 0, "".join(seen)

    assert len(list((tmp_path / "staging/commits").rglob("*.json"))) >= 2
