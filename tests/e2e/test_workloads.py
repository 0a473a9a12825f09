"""What a training job does, told by joins on a release alone, equals what raw names in the source tell."""

from collections import Counter, defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from tests.e2e.world import World

SIMULATED = 'cluster="prod-ml-east-1"'
Facts = tuple[int, float, float, int]
"""Of one job: GPU seconds held, seconds of busy GPU, GPUs asked for at most, first grid point."""


@pytest.fixture(scope="module")
def release(world: World) -> Path:
    return world.releases["simulated"]


def _ask(world: World, manifest: dict[str, Any], promql: str) -> list[tuple[dict[str, str], dict[float, float]]]:
    """Return the server's own answer on the release's grid: labels and values by time of each series."""
    step, start, end = manifest["step_ms"] / 1000, manifest["start"], manifest["end"]
    end_before = str(datetime.fromisoformat(end).timestamp() - step)
    data = world.ask("query_range", query=promql, start=start, end=end_before, step=str(step))
    return [
        (series["metric"], {float(at): float(value) for at, value in series["values"]}) for series in data["result"]
    ]


def raw_jobs(world: World, manifest: dict[str, Any]) -> Counter[Facts]:
    """Compute the facts of every job from raw names, in the server's PromQL and plain Python."""
    step = manifest["step_ms"] / 1000
    job_of = {
        (labels["namespace"], labels["pod"]): (labels["namespace"], labels["owner_name"])
        for labels, _ in _ask(world, manifest, f'kube_pod_owner{{{SIMULATED},owner_kind="PyTorchJob"}}')
    }
    held: dict[tuple[str, str], int] = defaultdict(int)
    busy: dict[tuple[str, str], float] = defaultdict(float)
    for labels, values in _ask(world, manifest, f'DCGM_FI_DEV_GPU_UTIL{{{SIMULATED},exported_pod!=""}}'):
        job = job_of.get((labels["exported_namespace"], labels["exported_pod"]))
        if job:
            held[job] += len(values)
            busy[job] += sum(values.values()) / 100
    active: dict[tuple[str, str], dict[float, float]] = defaultdict(lambda: defaultdict(float))
    asked: dict[tuple[str, str], float] = defaultdict(float)
    pending_or_running = (
        f'(max by (namespace, pod) (kube_pod_status_phase{{{SIMULATED},phase=~"Pending|Running"}}) == 1)'
    )
    for labels, values in _ask(world, manifest, pending_or_running):
        job = job_of.get((labels["namespace"], labels["pod"]))
        for at in values if job else ():
            active[job][at] += 1  # type: ignore[index]
    requests = f'kube_pod_container_resource_requests{{{SIMULATED},resource="nvidia_com_gpu"}}'
    for labels, values in _ask(world, manifest, f"{requests} * on (namespace, pod) group_left () {pending_or_running}"):
        job = job_of.get((labels["namespace"], labels["pod"]))
        if job:
            asked[job] = max(asked[job], *values.values())
    return Counter(
        (round(held[job] * step), round(busy[job] * step, 3), asked[job], round(min(times)))
        for job, times in active.items()
    )


def run_sql(release: Path, sql: str) -> list[tuple[Any, ...]]:
    """Run SQL in which each metric is a view of its own name."""
    with duckdb.connect() as connection:
        for folder in release.glob("data/*/metric=*"):
            name = folder.name.removeprefix("metric=")
            if name in sql:
                connection.read_parquet(f"{folder}/**/*.parquet").create_view(name)
        return connection.execute(sql).fetchall()


def joined_jobs(release: Path, step_seconds: float) -> Counter[Facts]:
    """Compute the same from the release, as a researcher would: one join by namespace and pod."""
    sql = """
        WITH pods AS (
            SELECT DISTINCT namespace, pod, workload
            FROM opscommons_workload_pod_info WHERE workload_kind = 'training_job'
        ), use AS (
            SELECT namespace, workload, count(*) AS held, sum(value) / 100 AS busy
            FROM DCGM_FI_DEV_GPU_UTIL JOIN pods USING (namespace, pod) GROUP BY ALL
        ), life AS (
            SELECT namespace, workload, epoch(min(timestamp)) AS start
            FROM opscommons_workload_info WHERE workload_kind = 'training_job' GROUP BY ALL
        ), asked AS (
            SELECT namespace, workload, max(value) AS gpus FROM opscommons_workload_requested_gpus GROUP BY ALL
        )
        SELECT coalesce(held, 0), coalesce(busy, 0), coalesce(gpus, 0), start
        FROM life LEFT JOIN use USING (namespace, workload) LEFT JOIN asked USING (namespace, workload)
    """
    return Counter(
        (round(held * step_seconds), round(busy * step_seconds, 3), gpus, round(start))
        for held, busy, gpus, start in run_sql(release, sql)
    )


def test_gpu_seconds_of_each_training_job_by_joins_equal_those_by_raw_names(world: World, release: Path) -> None:
    """The reason for the table: a pseudonymised release answers the question exactly as the cluster would."""
    manifest = world.manifest(release)

    wanted = raw_jobs(world, manifest)
    found = joined_jobs(release, manifest["step_ms"] / 1000)

    assert wanted.total() > 10
    assert sum(held > 0 for held, *_ in wanted) > 5
    assert found == wanted


def test_every_kind_of_the_simulation_is_recognised(world: World, release: Path) -> None:
    """The simulation has something of every kind. A release hides what too few run in its hours, so staging tells."""
    files = [path for path in (world.root / "staging/sim").rglob("*.parquet") if "/workload/" in path.as_posix()]
    tables = [pq.read_table(path, columns=["workload_kind"], partitioning=None) for path in files]
    staged = {kind for table in tables for kind in table[0].to_pylist()}
    kinds = {kind for (kind,) in run_sql(release, "SELECT DISTINCT workload_kind FROM opscommons_workload_info")}

    assert staged >= {"batch", "notebook", "pipeline_step", "platform", "service", "spark", "training_job"}
    assert "unrecognised" not in staged
    assert kinds <= staged | {"other"}
    assert len(kinds) > 3


def test_use_of_a_node_has_an_absolute_scale(release: Path) -> None:
    """A share of a GPU or of a node says little without how much the node has: one join by node."""
    sql = """
        WITH gpus AS (
            SELECT DISTINCT node, gpu_family FROM DCGM_FI_DEV_GPU_UTIL
        ), capacity AS (
            SELECT node, max(value) FILTER (resource = 'nvidia_com_gpu') AS gpus,
                max(value) FILTER (resource = 'memory') AS memory
            FROM kube_node_status_capacity GROUP BY node
        )
        SELECT gpus.node, gpu_family, gpus, memory FROM gpus LEFT JOIN capacity USING (node)
    """

    found = run_sql(release, sql)

    assert len(found) >= 5
    assert all(family and gpus >= 1 and memory > 1 << 30 for _, family, gpus, memory in found)
