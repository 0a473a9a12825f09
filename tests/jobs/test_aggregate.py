"""The aggregate tier: sums over at least k entities at every point, nothing of series, and an audit that looks anew."""

import json
import math
import re
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

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
from jobs.release.run import ReleaseResult, run_release
from jobs.release.sums import Adder, Grouping
from schemas.derived import WORKLOAD_POD
from schemas.errors import UsageError
from schemas.registry import read_policy
from tests.jobs.audited import publisher_settings
from tests.jobs.small_groups import DAY, GPU_METRIC, HOUR, OWNER_METRIC, a_gpu, a_pod, a_token, stage

MEMORY, CPU = "container_memory_working_set_bytes", "container_cpu_usage_seconds_total"
K: Final = 5
Cell = tuple[datetime, str | None, str | None]
Values = Sequence[float | None]


def aggregate_settings(folder: Path, **privacy: Any) -> Settings:  # noqa: ANN401 - any key of the section
    tables = ["container", "gpu", "node", "pod", "workload"]
    given = {"key_file": folder / "ring", "tier": "aggregate", **privacy}
    return publisher_settings(folder, privacy=given, collection={"tables": tables})


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return aggregate_settings(tmp_path)


class Pods:
    """Pods of some namespaces with their values at four points, planted by hand."""

    def __init__(self, **counts: tuple[int, str]) -> None:
        self.rows: list[tuple[str, str, str]] = []  # namespace, pod, kind
        for namespace, (count, kind) in counts.items():
            self.rows += [(namespace, f"{namespace}-{n}", kind) for n in range(count)]

    def containers(self, *containers: str) -> list[dict[str, str | None]]:
        return [
            {
                "series_id": a_token("s", f"{pod} {container}"),
                "namespace": a_token("ns", namespace),
                "pod": a_token("pod", f"{namespace} {pod}"),
                "container": a_token("ctr", f"{pod} {container}"),
                "node": a_token("node", "one"),
            }
            for namespace, pod, _ in self.rows
            for container in containers
        ]

    def stage_kinds(self, settings: Settings, folder: Path) -> None:
        series = [
            {
                "series_id": a_token("s", f"kind of {pod}"),
                "namespace": a_token("ns", namespace),
                "pod": a_token("pod", f"{namespace} {pod}"),
                "workload": a_token("wl", f"workload of {pod}"),
                "workload_kind": kind,
                "node": a_token("node", "one"),
            }
            for namespace, pod, kind in self.rows
        ]
        stage(settings, folder / "kinds", "workload", WORKLOAD_POD, series)

    def expect(self, values: Sequence[Values], containers: int = 1) -> dict[Cell, tuple[int, float]]:
        """Return what the tier must publish of gauges: plain sums of the planted numbers, by the rule in words."""
        cells: dict[Cell, list[tuple[str, float]]] = defaultdict(list)
        for n, series in enumerate(values):
            namespace, pod, kind = self.rows[n // containers]
            for point, value in enumerate(series):
                if value is not None and not math.isnan(value):
                    at = DAY + timedelta(seconds=30 * point)
                    cells[at, a_token("ns", namespace), kind].append((pod, value))
        return fold(cells)


def fold(cells: Mapping[Cell, list[tuple[str, float]]]) -> dict[Cell, tuple[int, float]]:
    shown: dict[Cell, tuple[int, float]] = {}
    for at in sorted({cell[0] for cell in cells}):
        here = {cell: rows for cell, rows in cells.items() if cell[0] == at}
        size = {cell: len({who for who, _ in rows}) for cell, rows in here.items()}
        folded = [cell for cell in here if size[cell] < K]
        others = sorted((cell for cell in here if size[cell] >= K), key=lambda cell: (size[cell], cell[1]))
        if folded and others and (len(folded) == 1 or sum(size[cell] for cell in folded) < K):
            folded.append(others.pop(0))
        for cell in others:
            shown[cell] = size[cell] // K * K, sum(value for _, value in here[cell])
        if sum(size[cell] for cell in folded) >= K:
            together = sum(size[cell] for cell in folded)
            total = sum(value for cell in folded for _, value in here[cell])
            shown[at, "other", "other"] = together // K * K, total
    return shown


def build(settings: Settings, version: str = "2026.11.0", hours: int = 1) -> ReleaseResult:
    return run_release(settings, version, clock=lambda: DAY + timedelta(days=2), start=DAY, end=DAY + hours * HOUR)


def rows_of(result: ReleaseResult, metric: str) -> list[dict[str, Any]]:
    paths = sorted(result.folder.glob(f"aggregates/*/metric={metric}/*/*.parquet"))
    return [row for path in paths for row in pq.read_table(path, partitioning=None).to_pylist()]


def cells_of(rows: Iterable[Mapping[str, Any]]) -> dict[Cell, tuple[int, float]]:
    return {
        (row["timestamp"].astimezone(UTC), row["namespace"], row["workload_kind"]): (row["entities"], row["value"])
        for row in rows
    }


def planted(count: int) -> list[Values]:
    return [[float(4 * n + point) for point in range(4)] for n in range(count)]


def test_values_are_sums_over_the_entities_of_namespace_and_kind(settings: Settings, tmp_path: Path) -> None:
    """Against plain sums of the planted numbers: two containers of a pod are one entity, NaN and null are nothing."""
    pods = Pods(vision=(7, "training_job"), web=(11, "model_server"), tiny=(2, "notebook"), lone=(3, "notebook"))
    values: list[Values] = planted(len(pods.rows) * 2)
    values[0], values[3] = [None, 1.0, math.nan, 2.0], [math.nan, 5.0, None, 1.0]
    pods.stage_kinds(settings, tmp_path)
    stage(settings, tmp_path / "run", "container", MEMORY, pods.containers("a", "b"), values=values)

    result = build(settings)

    assert cells_of(rows_of(result, MEMORY)) == pods.expect(values, containers=2)
    assert {row["workload_kind"] for row in rows_of(result, MEMORY)} == {"training_job", "model_server", "other"}
    assert result.report.findings == ()


def test_every_point_is_counted_by_itself(settings: Settings, tmp_path: Path) -> None:
    """Five pods over the hour are not five pods at each point."""
    pods = Pods(vision=(5, "training_job"), web=(9, "model_server"), data=(20, "model_server"))
    values = planted(len(pods.rows))
    values[0] = [1.0, None, None, 1.0]
    pods.stage_kinds(settings, tmp_path)
    stage(settings, tmp_path / "run", "container", MEMORY, pods.containers("a"), values=values)

    found = cells_of(rows_of(build(settings), MEMORY))

    assert found == pods.expect(values)
    assert sorted(at.second // 30 + 2 * at.minute for at, name, _ in found if name == a_token("ns", "vision")) == [0, 3]


def test_a_cell_that_is_folded_never_goes_alone(settings: Settings, tmp_path: Path) -> None:
    """Whoever knows the total would get the one hidden cell by subtraction: the smallest other goes with it."""
    pods = Pods(small=(3, "training_job"), middle=(6, "training_job"), large=(9, "training_job"))
    values = planted(len(pods.rows))
    pods.stage_kinds(settings, tmp_path)
    stage(settings, tmp_path / "run", "container", MEMORY, pods.containers("a"), values=values)

    rows = rows_of(build(settings), MEMORY)

    assert {(row["namespace"], row["entities"]) for row in rows} == {("other", 5), (a_token("ns", "large"), 5)}
    assert cells_of(rows) == pods.expect(values)


def test_counters_are_summed_as_increases_that_count_resets_from_zero(settings: Settings, tmp_path: Path) -> None:
    """And go on from one window to the next, not over a gap; the first point of a series has no increase."""
    pods = Pods(vision=(5, "training_job"))
    first: list[Values] = [*[[10.0, 12.0, 1.0, 4.0]] * 4, [None, 7.0, None, 8.0]]
    second: list[Values] = [*[[6.0, 6.0, 6.0, 6.5]] * 4, [3.0, 3.0, 3.0, 3.0]]
    pods.stage_kinds(settings, tmp_path)
    stage(settings, tmp_path / "0", "container", CPU, pods.containers("a"), values=first)
    stage(settings, tmp_path / "1", "container", CPU, pods.containers("a"), values=second, start=DAY + HOUR)

    third: list[Values] = [[99.0, None, 99.0, None]] * 5
    stage(settings, tmp_path / "3", "container", CPU, pods.containers("a"), values=third, start=DAY + 3 * HOUR)

    rows = rows_of(build(settings, hours=4), CPU)

    told = [((row["timestamp"] - DAY).total_seconds(), row["value"]) for row in rows]
    assert told == [(90, 4 * 3.0 + 1), (3600, 4 * 2.0 + 3), (3630, 0), (3660, 0), (3690, 4 * 0.5), (10860, 0)]


def test_kinds_come_from_owners_where_workloads_were_not_collected(settings: Settings, tmp_path: Path) -> None:
    """A pod is joined by namespace and pod, since pods of two namespaces may share a name."""
    pods = Pods(a=(6, "Deployment"), b=(6, "Deployment"), c=(6, "Deployment"))
    owned = [a_pod(pod, f"w-{pod}", namespace, kind) for namespace, pod, kind in pods.rows]
    stage(settings, tmp_path / "owners", "pod", OWNER_METRIC, owned)
    values = planted(len(pods.rows))
    stage(settings, tmp_path / "run", "container", MEMORY, pods.containers("a"), values=values)

    result = build(settings)

    assert cells_of(rows_of(result, MEMORY)) == pods.expect(values)
    owners = cells_of(rows_of(result, OWNER_METRIC))
    assert {kind for _, _, kind in owners} == {"Deployment"}
    assert result.report.findings == ()


def test_a_kind_that_is_hidden_is_hidden_in_sums(settings: Settings, tmp_path: Path) -> None:
    """Here one team alone runs it, so the word would tell the team whatever is summed."""
    pods = Pods(vision=(30, "PyTorchJob"), a=(6, "Deployment"), b=(6, "Deployment"), c=(6, "Deployment"))
    owned = [a_pod(pod, f"w-{pod}", namespace, kind) for namespace, pod, kind in pods.rows]
    stage(settings, tmp_path / "owners", "pod", OWNER_METRIC, owned)
    stage(settings, tmp_path / "run", "container", MEMORY, pods.containers("a"))

    result = build(settings)

    rows = rows_of(result, MEMORY) + rows_of(result, OWNER_METRIC)
    assert {row["workload_kind"] for row in rows} == {"Deployment", "other"}
    assert {row["workload_kind"] for row in rows if row["namespace"] == a_token("ns", "vision")} == {"other"}


def test_tables_without_pods_are_summed_over_machines(settings: Settings, tmp_path: Path) -> None:
    """Words that could point at somebody are no column; machines without a namespace are one group."""
    gpus = [a_gpu(f"n-{n}", "A100") for n in range(6)] + [a_gpu("odd", "H200")]
    stage(settings, tmp_path / "run", "gpu", GPU_METRIC, gpus, values=planted(7))

    rows = rows_of(build(settings), GPU_METRIC)

    assert [(row["namespace"], row["workload_kind"], row["entities"]) for row in rows] == [(None, None, 5)] * 4
    assert [row["value"] for row in rows] == [84.0 + 7 * point for point in range(4)]
    assert "gpu_family" not in rows[0]


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


@pytest.mark.parametrize("seed", range(40))
def test_whatever_the_groups_what_is_hidden_is_never_one_cell_or_few_entities(seed: int) -> None:
    """Of random groups: each sum shown has k entities, and so have those that a total less the shown would tell."""
    random = np.random.default_rng(seed)
    groups = np.unique(random.integers(0, random.integers(1, 6), 30), return_inverse=True)[1]
    entities = np.where(random.random(30) < 0.1, -1, groups * 100 + random.integers(0, 12, 30))
    there = random.random((30, 8)) < random.choice([0.2, 0.5, 0.9])
    adder = Adder(Grouping(groups, entities, np.zeros(groups.max() + 1, dtype=np.int64)), 8)
    series, points = np.nonzero(there)
    adder.add(series, points, np.ones(len(series)))

    sums = adder.fold(k=K)

    for point in range(8):
        cells = {g: {entities[n] for n in np.flatnonzero(there[:, point] & (groups == g))} for g in set(groups)}
        shown = {g for g in cells if sums.shown[g, point]}
        hidden = [cells[g] - {-1} for g in cells if cells[g] and g not in shown]
        assert all(len(cells[g] - {-1}) >= K for g in shown)
        together: set[int] = set().union(*hidden)
        assert not hidden or not shown or (len(hidden) >= 2 and len(together) >= K)
        assert bool(sums.shown[-1, point]) == (len(together) >= K)
        assert not len(together) >= K or sums.counts[-1, point] == len(together)


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
