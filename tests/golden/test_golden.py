"""Releases made under older versions of tables, by the code of their day: client and audit of today take them."""

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

import opscommons
from anonymize.audit.release import audit_release
from schemas.compat import compare_tables
from schemas.manifest import Manifest
from schemas.policy import Policy
from schemas.registry import shipped_registry
from schemas.table import TableSchema
from tests.golden.make import FOLDER, METRICS, SERIES, read_golden, superseded

GOLDEN = dict(read_golden())
POINTS = 3
each_golden = pytest.mark.parametrize("path", GOLDEN, ids=[path.name for path in GOLDEN])


@pytest.fixture
def unpacked(path: Path, tmp_path: Path) -> Path:
    with tarfile.open(path) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


def manifest_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "release/manifest.json").read_text()))


def test_every_superseded_version_has_a_golden_release() -> None:
    """Who adds a version makes one of what it supersedes: python -m tests.golden.make NAME."""
    held = {key for tables in GOLDEN.values() for key in tables}

    assert {(table.table, table.version) for table in superseded()} <= held


def test_golden_releases_stay_small() -> None:
    assert max(path.stat().st_size for path in GOLDEN) < 64 << 10
    assert len(GOLDEN) == len(list(FOLDER.glob("*.tar.xz")))


@each_golden
def test_the_client_of_today_loads_every_metric(path: Path, unpacked: Path) -> None:
    release = opscommons.open(unpacked / "release", cache=unpacked / "cache")

    for table in manifest_of(unpacked)["tables"]:
        metrics = release.metrics(table["table"])
        assert len(metrics) == METRICS
        for metric in metrics:
            frame = release.load(metric)
            assert len(frame) == SERIES * POINTS
            assert frame["series_id"].nunique() == SERIES
            assert frame["value"].notna().all()


@each_golden
def test_the_audit_of_today_finds_nothing_in_it(path: Path, unpacked: Path) -> None:
    """Rules that are added later must not make what is published unpublishable: an erratum may need its audit."""
    policy = Policy.model_validate_json((unpacked / "policy.json").read_bytes())

    found = audit_release(unpacked / "release", policy=policy, known_tables=shipped_registry().by_version, k=5)

    assert found.findings == ()
    assert found.rows == sum(table["rows"] for table in manifest_of(unpacked)["tables"])


@each_golden
def test_the_schemas_in_it_are_those_of_the_registry_and_newer_ones_only_add(path: Path, unpacked: Path) -> None:
    Manifest.model_validate_json((unpacked / "release/manifest.json").read_bytes())
    for name, version in GOLDEN[path]:
        text = (unpacked / f"release/schemas/{name}.json").read_bytes()
        kept, newest = TableSchema.model_validate_json(text), shipped_registry().find(name)

        assert kept == shipped_registry().find(name, version)
        if kept.major == newest.major:
            assert not [change for change in compare_tables(kept, newest) if change.breaking]
