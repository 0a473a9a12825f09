"""Downloads continue, repair only what is bad, and never leave a half file under its own name."""

import json
from pathlib import Path

import pytest

import opscommons as oc
from opscommons._download import NOTE
from tests.client.builders import Planted, flip_byte, write_store
from tests.client.server import Fault, Server

PREFIX = "public/releases/2026.11.0/"


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_whole_download_is_the_release(planted: Planted, url: str, tmp_path: Path) -> None:
    to = tmp_path / "copy"

    done = oc.open(url).download(to)

    assert files_in(to) == files_in(planted.folder)
    assert all((to / path).read_bytes() == (planted.folder / path).read_bytes() for path in files_in(to))
    assert (done.fetched, done.kept, done.repaired) == (len(planted.files), 0, ())
    assert oc.open(to).verify().proven == "consistent with its manifest"


def test_a_second_run_fetches_only_the_bad_file(planted: Planted, server: Server, url: str, tmp_path: Path) -> None:
    to, bad = tmp_path / "copy", planted.paths()[3]
    oc.open(url).download(to)
    flip_byte(to / bad)
    server.forget()

    done = oc.open(url).download(to)

    assert done.repaired == (bad,)
    asked = [served.path.removeprefix(PREFIX) for served in server.served]
    assert sorted(asked) == sorted(["public/catalog.json", "manifest.json", "SHA256SUMS", bad])
    assert server.bytes_sent(bad) == (to / bad).stat().st_size
    assert oc.open(to).verify().ok


def test_an_interrupted_download_continues_the_part(planted: Planted, server: Server, url: str, tmp_path: Path) -> None:
    """The next run asks for the rest of the part, and hashes the whole file."""
    to, path = tmp_path / "copy", planted.paths()[0]
    server.fail(PREFIX + path, "cut", "500", "500", "500", "500", "500")
    with pytest.raises(oc.Unreachable, match=r"HTTP 500; gave up after \d tries"):
        oc.open(url).download(to)
    part = to / (path + ".part")
    have = part.stat().st_size
    assert have > 0
    assert not (to / path).exists()
    assert not (to / "manifest.json").exists()
    with pytest.raises(oc.NotARelease):
        oc.open(to)

    server.faults.clear()
    server.forget()
    oc.open(url).download(to)

    (served,) = server.requests(path)
    size = (planted.folder / path).stat().st_size
    assert (served.offset, served.sent) == (have, size - have)
    assert oc.open(to).verify().ok
    assert files_in(to) == files_in(planted.folder)


def test_a_spoilt_part_is_found_by_the_hash(planted: Planted, server: Server, url: str, tmp_path: Path) -> None:
    """Two versions glued together, or a page saved by another tool: the part is thrown away."""
    to, path = tmp_path / "copy", planted.paths()[0]
    part = to / (path + ".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(b"<html>" * 20)

    oc.open(url).download(to)

    assert [served.offset for served in server.requests(path)] == [120, 0]
    assert oc.open(to).verify().ok


def test_a_part_that_is_too_long_starts_over(planted: Planted, url: str, tmp_path: Path) -> None:
    to, path = tmp_path / "copy", planted.paths()[0]
    part = to / (path + ".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 1_000_000)

    oc.open(url).download(to)

    assert oc.open(to).verify().ok


@pytest.mark.parametrize("fault", ["html", "flip"])
def test_an_error_page_is_never_saved_as_data(
    planted: Planted, server: Server, url: str, tmp_path: Path, fault: Fault
) -> None:
    """The other files still arrive; what is bad at the source is named."""
    to, path = tmp_path / "copy", planted.paths()[2]
    server.fail(PREFIX + path, fault, fault)

    with pytest.raises(oc.CorruptFile) as caught:
        oc.open(url).download(to)

    assert caught.value.paths == (path,)
    assert not {name for name in files_in(to) if name.startswith(path)}
    assert "manifest.json" not in files_in(to)
    done = oc.open(url).download(to)
    assert (done.fetched, done.kept) == (1, len(planted.files) - 1)


def test_a_part_of_a_release(planted: Planted, server: Server, url: str, tmp_path: Path) -> None:
    to = tmp_path / "copy"

    done = oc.open(url).download(to, tables="node", metrics="node_load1", start="2026-11-23")

    assert [path for path in files_in(to) if path.startswith("data/")] == [
        "data/node/metric=node_load1/date=2026-11-23/part-0.parquet"
    ]
    assert {"series/node.parquet", "schemas/node.json", "README.md", "LICENSE", "coverage.parquet"} < files_in(to)
    assert not {"series/gpu.parquet", "topology/edges.parquet"} & files_in(to)
    assert len(server.requests(".parquet")) == 3
    copy = oc.open(to)
    assert copy.manifest_sha256 == done.manifest_sha256 == planted.manifest_sha256
    assert len(copy.load("node_load1", start="2026-11-23")) == 288
    assert copy.verify().ok
    assert copy.verify().not_downloaded == len(planted.files) - done.files
    with pytest.raises(oc.MissingFile, match="bring it: opscommons download"):
        copy.load("node_load1")


def test_parts_add_up(planted: Planted, url: str, tmp_path: Path) -> None:
    to = tmp_path / "copy"
    release = oc.open(url)

    release.download(to, metrics="node_load1")
    release.download(to, metrics="DCGM_FI_DEV_GPU_UTIL")
    (to / planted.paths()[2]).unlink()
    assert [problem.kind for problem in oc.open(to).verify().problems] == ["missing"]

    release.download(to)
    assert NOTE not in files_in(to)
    release.download(to, metrics="node_load1")
    assert NOTE not in files_in(to)
    assert oc.open(to).verify().not_downloaded == 0


def test_what_is_not_in_the_release_cannot_be_downloaded(url: str, tmp_path: Path) -> None:
    release = oc.open(url)

    with pytest.raises(oc.UnknownMetric, match="nearest: node_load1"):
        release.download(tmp_path / "copy", metrics="node_load")
    with pytest.raises(oc.UnknownTable):
        release.download(tmp_path / "copy", tables=["nodes"])
    with pytest.raises(oc.BadRequest, match=r"it covers 2026-11-22T00:00:00\+00:00 to"):
        release.download(tmp_path / "copy", start="2027-01-01")
    assert not (tmp_path / "copy").exists()


def test_a_folder_with_another_release_is_left_alone(tmp_path: Path) -> None:
    root = tmp_path / "stores"
    write_store(root, "2026.10.0", "2026.11.0")
    oc.open(root, release="2026.10.0").download(tmp_path / "copy")

    with pytest.raises(oc.BadRequest, match=r"holds release 2026\.10\.0, wanted a folder for 2026\.11\.0"):
        oc.open(root).download(tmp_path / "copy")
    with pytest.raises(oc.BadRequest, match="is the release itself"):
        oc.open(root).download(root / "releases/2026.11.0")


def test_sums_that_contradict_the_manifest_stop_a_download(planted: Planted, url: str, tmp_path: Path) -> None:
    sums = planted.folder / "SHA256SUMS"
    sums.write_text(sums.read_text("utf-8").replace(planted.files[0]["sha256"], "f" * 64), "utf-8")

    with pytest.raises(oc.CorruptFile, match=r"SHA256SUMS at .* contradicts the manifest about 1 files"):
        oc.open(url).download(tmp_path / "copy")


def test_the_note_of_a_part_is_plain_json(url: str, tmp_path: Path) -> None:
    oc.open(url).download(tmp_path, metrics="node_load1")

    note = json.loads((tmp_path / NOTE).read_text("utf-8"))
    assert "data/node/metric=node_load1/date=2026-11-22/part-0.parquet" in note["paths"]
