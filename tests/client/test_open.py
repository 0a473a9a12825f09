"""From an address to a release."""

import json
from pathlib import Path
from typing import Any

import pytest

import opscommons as oc
from tests.client.builders import Planted, seal, write_catalog, write_release, write_store
from tests.client.server import Server


def test_a_release_says_what_it_is(store: Path) -> None:
    release = oc.open(store)

    assert release.version == "2026.11.0"
    assert release.provenance == "simulated"
    assert release.tables == ("node", "container", "gpu", "model_server")
    assert release.metrics("node") == ("node_cpu_seconds_total", "node_load1")
    assert "vllm:num_requests_running" in release.metrics()
    assert release.card.startswith("# A small release")
    assert release.start.isoformat() == "2026-11-22T00:00:00+00:00"
    assert release.manifest.step_ms == 600_000
    assert release.coverage["status"].value_counts().to_dict() == {"complete": 235, "partial": 5}
    assert repr(release).startswith("<opscommons.Release 2026.11.0 (simulated): 4 tables, 4,320 rows")


def test_series_are_a_frame_with_types_and_units(store: Path) -> None:
    series = oc.open(store).series("node")

    assert series.groupby("metric")["type"].unique().map(list).to_dict() == {
        "node_cpu_seconds_total": ["counter"],
        "node_load1": ["gauge"],
    }
    assert set(series["unit"]) == {"seconds", "processes"}


def test_latest_passes_over_what_is_retracted(tmp_path: Path) -> None:
    """Also where the catalog still names the retracted one: the client may meet a cached catalog."""
    write_store(tmp_path, "2026.9.0", "2026.10.0", "2026.11.0", retracted=["2026.11.0"], latest="2026.11.0")

    assert oc.open(tmp_path).version == "2026.10.0"
    with pytest.raises(oc.Retracted, match=r"release 2026\.11\.0 was retracted: it named a person") as caught:
        oc.open(tmp_path, release="2026.11.0")
    assert caught.value.reason == "it named a person"


def test_latest_is_what_the_catalog_says(tmp_path: Path) -> None:
    """An erratum of an older month may be the newest line of the catalog."""
    write_store(tmp_path, "2026.10.0", "2026.11.0", "2026.10.1", latest="2026.11.0")

    assert oc.open(tmp_path).version == "2026.11.0"
    assert [entry.version for entry in oc.releases(tmp_path)] == ["2026.10.0", "2026.11.0", "2026.10.1"]


def test_a_folder_that_is_one_release_opens_too(store: Path) -> None:
    release = oc.open(store / "releases/2026.11.0")

    assert release.version == "2026.11.0"
    with pytest.raises(oc.UnknownRelease, match=r"no release '2026\.12\.0' in .*2026\.11\.0"):
        oc.open(store / "releases/2026.11.0", release="2026.12.0")


def test_an_unknown_release_names_the_nearest(store: Path) -> None:
    with pytest.raises(oc.UnknownRelease, match=r"no release '2026\.11\.1' in .*nearest: 2026\.11\.0"):
        oc.open(store, release="2026.11.1")


@pytest.mark.parametrize("document", ["manifest", "catalog"])
def test_a_newer_major_format_says_so_and_stops(planted: Planted, document: str) -> None:
    root = planted.folder.parents[1]
    if document == "manifest":
        planted.manifest["format_version"] = "2.0"
        seal(planted)
        write_catalog(root, planted)
    else:
        edit(root / "catalog.json", format_version="2.1")

    with pytest.raises(oc.NewerFormat, match=r"has format_version 2\.\d, and this library reads 1\.x; upgrade it"):
        oc.open(root)


def test_a_newer_minor_format_is_read(planted: Planted) -> None:
    """Minor versions only add: keys and roles that nobody knows here are passed over."""
    root = planted.folder.parents[1]
    planted.manifest |= {"format_version": "1.7", "surprise": {"of": "the future"}}
    planted.manifest["files"][0]["codec"] = "better"
    seal(planted)
    write_catalog(root, planted)

    assert oc.open(root).load("node_load1").shape == (576, 7)
    assert oc.open(root).manifest.document["surprise"] == {"of": "the future"}


def test_a_manifest_that_the_catalog_does_not_know_is_refused(planted: Planted) -> None:
    planted.manifest["release"]["title"] = "Another title"
    seal(planted)

    with pytest.raises(oc.CorruptFile, match=r"manifest\.json has the SHA-256 .*, the catalog says"):
        oc.open(planted.folder.parents[1])


def test_a_cited_digest_pins_the_release(store: Path) -> None:
    digest = oc.open(store).manifest_sha256

    assert oc.open(store, manifest_sha256=digest.upper()).version == "2026.11.0"
    with pytest.raises(oc.CorruptFile, match="this is not the release that was cited"):
        oc.open(store, manifest_sha256="0" * 64)


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", "data\\x", ""])
def test_a_manifest_cannot_lead_out_of_its_folder(planted: Planted, path: str) -> None:
    """Paths are joined to folders on the reader's machine, and downloads write there."""
    planted.manifest["files"][0]["path"] = path
    seal(planted)

    with pytest.raises(oc.CorruptFile, match="leads out of its folder"):
        oc.open(planted.folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!DOCTYPE html><p>Not found", "is a web page, wanted JSON"),
        (b"{", "is not JSON"),
        (b"[]", "holds list, wanted a JSON object"),
        (b"{}", "has nothing at 'format_version', wanted str"),
        (b'{"format_version": "1.0", "latest": null, "releases": 3}', "has int at 'releases', wanted list"),
        (b'{"format_version": "one", "latest": null, "releases": []}', "wanted a number such as 1.0"),
    ],
)
def test_what_is_no_catalog_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "catalog.json").write_bytes(content)

    with pytest.raises(oc.NotARelease, match=message):
        oc.open(tmp_path)


def test_an_empty_or_absent_folder_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(oc.NotARelease, match=r"neither catalog\.json \(a store\) nor manifest\.json"):
        oc.open(tmp_path)
    with pytest.raises(oc.Unreachable, match="no folder"):
        oc.open(tmp_path / "absent")
    with pytest.raises(oc.BadRequest, match="ftp:// is no address of a store"):
        oc.open("ftp://bucket.example/")


def test_a_store_without_a_published_release_says_so(tmp_path: Path) -> None:
    write_catalog(tmp_path, write_release(tmp_path / "releases/1", version="1"), retracted=["1"])

    with pytest.raises(oc.UnknownRelease, match="none is published"):
        oc.open(tmp_path)


def test_the_same_store_opens_by_every_address(store: Path, server: Server, url: str) -> None:
    for address in (url, url + "/", url + "/catalog.json", url + "/index.html", url + "?token=secret"):
        release = oc.open(address)
        assert release.version == "2026.11.0"
        assert "secret" not in repr(release)
    for local in (store, str(store), store.as_uri(), store / "catalog.json"):
        assert oc.open(local).version == "2026.11.0"


def edit(path: Path, **changes: object) -> None:
    document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(document | changes), "utf-8")
