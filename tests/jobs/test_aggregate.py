"""The sums of the aggregate tier: over at least k entities at every point, and no cell to be had by subtraction."""

import math
from pathlib import Path

import numpy as np
import pytest

from jobs.config import Settings
from jobs.release.sums import Adder, Grouping
from tests.jobs.small_groups import DAY, GPU_METRIC, HOUR, OWNER_METRIC, a_gpu, a_pod, a_token, stage
from tests.jobs.sums import CPU, MEMORY, K, Pods, Values, aggregate_settings, build, cells_of, planted, rows_of


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return aggregate_settings(tmp_path)


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
