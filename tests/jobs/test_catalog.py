"""The catalog is a pure function of what lies in the public store."""

from datetime import UTC, datetime
from pathlib import Path

from jobs.publish.catalog import (
    CATALOG,
    INDEX,
    announce_retraction,
    build_catalog,
    rebuild_catalog,
)
from jobs.published import read_manifests
from jobs.store.folder import FolderStore
from schemas.digest import readable_json
from schemas.manifest import Retraction
from tests.jobs.builders import a_manifest

MOMENT = datetime(2026, 11, 1, tzinfo=UTC)


def a_retraction(version: str) -> Retraction:
    return Retraction(
        version=version,
        reason="made up",
        retracted=MOMENT,
        created=MOMENT,
        manifest_sha256="0",
        provenance="simulated",
        bytes=1,
        rows=2,
    )


def test_versions_are_ordered_as_numbers() -> None:
    """2026.9 comes before 2026.11, and the tenth release of a month after the second."""
    versions = ["2026.9.0", "2026.11.10", "2026.11.2"]

    catalog = build_catalog({version: (a_manifest(version), "0") for version in versions}, {})

    assert [entry.version for entry in catalog.releases] == ["2026.9.0", "2026.11.2", "2026.11.10"]
    assert catalog.latest == "2026.11.10"


def test_a_retracted_release_is_listed_but_never_the_latest() -> None:
    manifests = {version: (a_manifest(version), "0") for version in ("2026.11.0", "2026.11.1")}

    catalog = build_catalog(manifests, {"2026.11.1": a_retraction("2026.11.1")})

    assert catalog.latest == "2026.11.0"
    assert [(entry.version, entry.status) for entry in catalog.releases] == [
        ("2026.11.0", "published"),
        ("2026.11.1", "retracted"),
    ]


def test_a_release_without_its_manifest_is_not_there(tmp_path: Path) -> None:
    """The manifest is written last: what has none is half a release, and nobody sees it."""
    store = FolderStore(tmp_path)
    store.put("releases/2026.11.0/manifest.json", readable_json(a_manifest("2026.11.0")))
    store.put("releases/2026.11.1/data/node/part-0.parquet", b"half")

    catalog = rebuild_catalog(store)

    assert [entry.version for entry in catalog.releases] == ["2026.11.0"]
    assert store.get(CATALOG) == readable_json(catalog)
    assert b"2026.11.0" in (store.get(INDEX) or b"")


def test_a_lost_update_heals_at_the_next_publish(tmp_path: Path) -> None:
    """Two publishers may overwrite each other's catalog; either one rebuilds it from what is there."""
    store = FolderStore(tmp_path)
    for version in ("2026.11.0", "2026.11.1"):
        store.put(f"releases/{version}/manifest.json", readable_json(a_manifest(version)))
    store.put(CATALOG, readable_json(build_catalog({"2026.11.0": (a_manifest("2026.11.0"), "0")}, {})))

    assert rebuild_catalog(store).latest == "2026.11.1"


def a_store_with(folder: Path, *versions: str) -> FolderStore:
    store = FolderStore(folder)
    for version in versions:
        store.put(f"releases/{version}/manifest.json", readable_json(a_manifest(version)))
    return store


def test_readers_learn_of_a_retraction_before_its_tombstone_is_there(tmp_path: Path) -> None:
    """Catalog first: the moment in which somebody still begins to download is as short as can be."""
    store = a_store_with(tmp_path, "2026.11.0", "2026.11.1")
    rebuild_catalog(store)

    catalog = announce_retraction(store, a_retraction("2026.11.1"))

    assert [entry.status for entry in catalog.releases] == ["published", "retracted"]
    assert catalog.latest == "2026.11.0"
    assert store.get(CATALOG) == readable_json(catalog)
    assert not list(store.list("retractions/"))


def test_a_retracted_release_whose_files_are_still_there_is_not_published(tmp_path: Path) -> None:
    """Its retraction died half-way: nothing is to be built upon it, nor compared with it."""
    store = a_store_with(tmp_path, "2026.11.0", "2026.11.1")
    store.put("retractions/2026.11.1.json", readable_json(a_retraction("2026.11.1")))

    assert list(read_manifests(store)) == ["2026.11.0"]
    assert rebuild_catalog(store).latest == "2026.11.0"


def test_the_damaged_manifest_of_a_retracted_release_stops_nobody(tmp_path: Path) -> None:
    store = a_store_with(tmp_path, "2026.11.0")
    store.put("releases/2026.11.1/manifest.json", b"{")
    store.put("retractions/2026.11.1.json", readable_json(a_retraction("2026.11.1")))

    assert [entry.status for entry in rebuild_catalog(store).releases] == ["published", "retracted"]
