"""A release of the aggregate tier: nothing of series in it, an audit that looks anew, and readers who are told."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import opscommons
from anonymize.audit.release import audit_release
from jobs.config import Settings
from jobs.parquet import open_table_writer
from jobs.publish.run import run_publish
from jobs.registry import registry_of
from jobs.release.result import ReleaseResult
from schemas.errors import UsageError
from schemas.registry import read_policy
from tests.jobs.small_groups import DAY, GPU_METRIC, a_gpu, a_token, stage
from tests.jobs.sums import MEMORY, K, Pods, aggregate_settings, build, rows_of


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return aggregate_settings(tmp_path)


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, ReleaseResult]:
    folder = tmp_path_factory.mktemp("once")
    settings = aggregate_settings(folder)
    pods = Pods(vision=(7, "training_job"), web=(11, "model_server"))
    pods.stage_kinds(settings, folder)
    stage(settings, folder / "mem", "container", MEMORY, pods.containers("a"))
    stage(settings, folder / "gpu", "gpu", GPU_METRIC, [a_gpu(f"n-{n}", "A100") for n in range(6)])
    return settings, build(settings)


@pytest.fixture
def built(once: tuple[Settings, ReleaseResult], tmp_path: Path) -> ReleaseResult:
    """A copy, to be broken."""
    folder = tmp_path / "2026.11.0"
    shutil.copytree(once[1].folder, folder)
    return replace(once[1], folder=folder)


def test_nothing_of_series_pods_or_machines_is_in_the_release(built: ReleaseResult) -> None:
    """Every token of every kind that was planted, in every byte of every file, decompressed or not."""
    private = {
        token.encode()
        for namespace, count in (("vision", 7), ("web", 11))
        for n in range(count)
        for pod in [f"{namespace}-{n}"]
        for token in (
            a_token("pod", f"{namespace} {pod}"),
            a_token("ctr", f"{pod} a"),
            a_token("wl", f"workload of {pod}"),
            a_token("s", f"{pod} a"),
        )
    } | {a_token("node", name).encode() for name in ("one", *(f"n-{n}" for n in range(6)))}
    for path in built.folder.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        if path.suffix == ".parquet":
            content += repr(pq.read_table(path, partitioning=None).to_pydict()).encode()
        assert not [token for token in private if token in content], path.name
    assert not (built.folder / "data").exists()
    assert not (built.folder / "series").exists()
    assert {file.role for file in built.manifest.files} & {"data", "native", "series"} == set()
    assert built.manifest.tier == "aggregate"
    assert (built.manifest.totals.series, built.report.findings) == (0, ())


def audit(result: ReleaseResult) -> dict[str, int]:
    """Return the findings of an audit of the folder as it is now: code to count, hashes aside."""
    found = audit_release(
        result.folder,
        policy=read_policy("default"),
        known_tables=registry_of(aggregate_settings(Path())).by_version,
        k=K,
    )
    return {finding.code: finding.count for finding in found.findings if finding.code != "changed-file"}


def change(result: ReleaseResult, column: str, values: list[Any]) -> None:
    """Write other cells into the sums of the memory of containers, as the release writes them."""
    (path,) = result.folder.glob(f"aggregates/container/metric={MEMORY}/*/*.parquet")
    rows = pq.read_table(path, partitioning=None)
    at, kind = rows.schema.get_field_index(column), rows.schema.field(column)
    whole = values + rows.column(column).to_pylist()[len(values) :]
    rows = rows.set_column(at, kind, pa.array(whole, kind.type))
    with open_table_writer(path, rows.schema) as writer:
        writer.write_table(rows)


@pytest.mark.parametrize(
    ("column", "values", "code"),
    [
        ("entities", [0], "too-few-entities"),
        ("entities", [4], "too-few-entities"),
        ("entities", [6], "too-few-entities"),
        ("namespace", [a_token("pod", "vision vision-0")], "not-in-grammar"),
        ("workload_kind", ["the-secret-project"], "not-in-grammar"),
        ("namespace", ["other"], "rest-of-one-kind"),
        ("timestamp", [DAY, DAY, DAY], "group-twice"),
        ("timestamp", [DAY + timedelta(seconds=30)], "not-sorted"),
        ("interface", ["eth0"], "label-not-of-the-metric"),
        ("timestamp", [DAY + timedelta(seconds=7)], "timestamp-off-grid"),
        ("timestamp", [DAY - timedelta(seconds=30)], "rows-of-another-day"),
        ("value", [np.frombuffer(b"\x01\x00\x00\x00\x00\x00\xf8\x7f")[0]], "nan-payload"),
    ],
)
def test_the_audit_finds_each_broken_rule(built: ReleaseResult, column: str, values: list[Any], code: str) -> None:
    change(built, column, values)

    assert code in audit(built)


@pytest.mark.parametrize(
    ("change_manifest", "code"),
    [
        (lambda document: document.update(tier="series"), "aggregates-among-series"),
        (lambda document: document["totals"].update(series=3), "series-among-aggregates"),
        (lambda document: document["files"][0].update(role="data"), "series-among-aggregates"),
        (lambda document: document["release"].update(title=a_token("node", "one")), "token-of-an-entity"),
        (lambda document: document["files"][0].update(table="gpu"), "path-differs-from-manifest"),
    ],
)
def test_the_audit_refuses_what_belongs_into_the_other_tier(
    built: ReleaseResult, change_manifest: Callable[[Any], None], code: str
) -> None:
    path = built.folder / "manifest.json"
    document = json.loads(path.read_text())
    document["files"].sort(key=lambda file: file["role"])
    change_manifest(document)
    path.write_text(json.dumps(document))

    assert code in audit(built)


def test_the_same_snapshots_give_the_same_bytes(once: tuple[Settings, ReleaseResult]) -> None:
    settings, first = once

    assert build(settings).report.manifest_sha256 == first.report.manifest_sha256


def test_the_client_loads_sums_and_says_what_they_do_not_have(built: ReleaseResult) -> None:
    release = opscommons.open(built.folder)
    frame = release.load(MEMORY, where={"workload_kind": "training_job"})

    assert release.tier == "aggregate"
    assert list(frame.columns) == ["timestamp", "namespace", "workload_kind", "interface", "entities", "value"]
    assert len(frame) == 4
    assert len(release.load([MEMORY, GPU_METRIC])) == 12
    asked: list[Callable[[], object]] = [
        lambda: release.series("container"),
        lambda: release.load(MEMORY, rate=True),
        lambda: release.load(MEMORY, layout="wide"),
    ]
    for ask in asked:
        with pytest.raises(opscommons.BadRequest, match="sums over groups"):
            ask()


def test_the_card_says_what_values_are_and_its_examples_run(
    built: ReleaseResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = (built.folder / "README.md").read_text()
    monkeypatch.chdir(built.folder)
    codes = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    lengths = set()
    for code in codes:
        names: dict[str, Any] = {}
        exec(code, names)  # noqa: S102 - what a reader would paste
        lengths.add(len(names["result"]))

    assert len(codes) == 5
    assert lengths == {8}
    assert "sums over at least 5 entities" in card
    assert f"| `{MEMORY}` | gauge | bytes | 8 | sum |" in card
    assert "time series, from" not in card
    assert "| `pod` |" not in card
    assert json.loads((built.folder / "privacy.json").read_text())["tier"] == "aggregate"


def test_sums_are_told_in_the_time_of_the_release(tmp_path: Path) -> None:
    settings = aggregate_settings(tmp_path, time="relative")
    stage(settings, tmp_path / "gpu", "gpu", GPU_METRIC, [a_gpu(f"n-{n}", "A100") for n in range(6)])

    result = build(settings)

    assert rows_of(result, GPU_METRIC)[0]["timestamp"] == datetime(1970, 1, 1, tzinfo=UTC)
    assert result.report.findings == ()


def test_where_no_group_is_large_enough_there_is_no_release(settings: Settings, tmp_path: Path) -> None:
    stage(settings, tmp_path / "gpu", "gpu", GPU_METRIC, [a_gpu(f"n-{n}", "A100") for n in range(4)])

    with pytest.raises(UsageError, match="no rows that may be shown"):
        build(settings)


def test_both_tiers_can_be_published_and_each_says_which_it_is(settings: Settings, tmp_path: Path) -> None:
    """With the series public the sums hide nothing, so there is nothing to refuse."""
    stage(settings, tmp_path / "gpu", "gpu", GPU_METRIC, [a_gpu(f"n-{n}", "A100") for n in range(6)])
    series = settings.model_copy(update={"privacy": settings.privacy.model_copy(update={"tier": "series"})})
    for version, chosen in (("2026.11.0", settings), ("2026.11.1", series)):
        build(chosen, version)
        run_publish(chosen, version, clock=lambda: DAY + timedelta(days=2))

    releases = [opscommons.open(tmp_path / "public", version) for version in ("2026.11.0", "2026.11.1")]

    assert [release.tier for release in releases] == ["aggregate", "series"]
    assert [len(release.load(GPU_METRIC)) for release in releases] == [4, 24]
