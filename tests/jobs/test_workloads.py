"""The series that we make of workloads equal what the server's own PromQL makes of the same metrics, by either path."""

import json
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq
import pytest

from jobs.clock import read_clock
from jobs.config import Settings
from jobs.snapshot.run import run_snapshot
from schemas.commit import CommitRecord
from schemas.windows import Window
from tests.collector.histogram_chunks import STALE, to_bits
from tests.jobs.bench import KEY
from tests.prometheus.server import RealPrometheus

QUARTER: Final = timedelta(minutes=15)
STEP: Final = 30_000
SOURCE: Final = {"cluster": "of-workloads"}
HERE: Final = 'cluster="of-workloads"'
ACTIVE: Final = f'max by (namespace, pod) (kube_pod_status_phase{{{HERE},phase=~"Pending|Running"}} == 1)'
OWNED: Final = f"on (namespace, pod) group_left (owner_name) kube_pod_owner{{{HERE}}}"
Series = dict[int, float]


def plant(end: datetime) -> list[tuple[dict[str, str], list[tuple[int, int]]]]:
    """Return pods of two jobs, of a server that only its metrics tell, and of none.

    One ends and is gone, one waits and then runs, one is told of twice.
    """
    first, last = _ms(end - 2 * QUARTER), _ms(end)
    made: list[tuple[dict[str, str], list[tuple[int, int]]]] = []
    pods = {  # pod: job, runs from, ends at, gone at, GPUs
        "a-0": ("a", first, last, last, 2), "a-1": ("a", first, last - 400_000, last, 1),
        "a-2": ("a", last - 700_000, last - 500_000, last - 300_000, 1), "b-0": ("b", last - 610_000, last, last, 4),
        "c-0": ("", first, last, last, 0), "d-0": ("d", first, last, last, 1),
    }  # fmt: skip
    for pod, (job, runs, ends, gone, gpus) in pods.items():
        times = range(first + 7_000, min(gone, last), 60_000)
        who = {"namespace": "team", "pod": pod, "job": "kube-state-metrics", **SOURCE}
        kind = {"": "", "d": "ReplicaSet"}.get(job, "PyTorchJob")
        place = {"node": "n-1", "created_by_kind": kind, "created_by_name": job}
        owner = {"owner_kind": kind, "owner_name": job, "owner_is_controller": "true"}
        for name, labels in (("info", place), ("owner", owner), ("labels", {"label_team": "x"})):
            ended = [(gone, STALE)] if gone < last else []
            made.append(({"__name__": f"kube_pod_{name}", **who, **labels}, [(t, to_bits(1.0)) for t in times] + ended))
        for phase, begin, until in (("Pending", first, runs), ("Running", runs, ends), ("Succeeded", ends, last)):
            samples = [(t, to_bits(float(begin <= t < until))) for t in times]
            made.append(({"__name__": "kube_pod_status_phase", **who, "phase": phase}, samples))
        for container in ("main", "sidecar"):
            for resource, amount in (("cpu", 1.5), ("memory", 2.0**30), ("nvidia_com_gpu", float(gpus))):
                asked = {"container": container, "resource": resource}
                if amount and (container == "main" or resource != "nvidia_com_gpu"):
                    labels = {"__name__": "kube_pod_container_resource_requests", **who, **asked}
                    made.append((labels, [(t, to_bits(amount)) for t in times]))
    twin = {"__name__": "kube_pod_container_resource_requests", "instance": "second", "namespace": "team", **SOURCE}
    twin |= {"pod": "b-0", "container": "main", "resource": "cpu", "job": "kube-state-metrics"}
    made.append((twin, [(t, to_bits(1.5)) for t in range(first + 7_000, last, 60_000)]))
    times = range(first + 7_000, last, 60_000)
    served = {"__name__": "vllm:num_requests_running", "namespace": "team", "pod": "d-0", "job": "vllm", **SOURCE}
    made.append((served, [(t, to_bits(3.0)) for t in times]))
    node = {"__name__": "kube_node_info", "node": "n-1", "internal_ip": "10.9.8.7", **SOURCE}
    made.append(({"__name__": "up", "job": "kube-state-metrics", **SOURCE}, [(t, to_bits(1.0)) for t in times]))
    return [*made, (node, [(t, to_bits(1.0)) for t in times])]


@pytest.fixture(scope="module")
def planted(native_server: RealPrometheus, native_end: datetime) -> RealPrometheus:
    native_server.write(plant(native_end))
    return native_server


Collected = tuple[CommitRecord, dict[str, list[dict[str, Any]]]]
"""The commit of the table, and its rows by metric."""


@pytest.fixture(scope="module")
def collected(
    planted: RealPrometheus, native_end: datetime, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Collected]:
    """The same window by either way to read."""
    folder = tmp_path_factory.mktemp("workloads")
    return {read: collect(planted.url, folder / read, native_end, read) for read in ("remote-read", "http")}


def collect(url: str, folder: Path, end: datetime, read: str) -> Collected:
    folder.mkdir()
    key = folder / "opspub.key"
    key.touch(mode=0o600)
    key.write_text(json.dumps(KEY))
    settings = Settings.model_validate(
        {
            "source": {"name": "lab", "url": url, "read": read, "match": SOURCE, "retries": 0},
            "collection": {"window": "15m", "step": "30s", "settle": "0s", "tables": ["workload"]},
            "privacy": {"key_file": key},
            "staging": f"file:{folder}/staging",
            "work_dir": folder / "work",
        }
    )
    result = run_snapshot(settings, clock=read_clock, span=Window(end - QUARTER, end))
    assert result.failures == []
    (path,) = folder.rglob("commits/**/*.json")
    record = CommitRecord.model_validate_json(path.read_bytes())
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for file in record.files:
        for row in pq.read_table(folder / "staging" / file.path).to_pylist():
            rows[row["metric"]].append(row)
    return record, rows


@pytest.mark.parametrize("read", ["remote-read", "http"])
def test_each_metric_equals_the_servers_own_promql(
    planted: RealPrometheus, native_end: datetime, collected: dict[str, Collected], read: str
) -> None:
    """Start, end and sums on the grid are those that the lookback and stale markers of the server give."""
    record, rows = collected[read]

    asked = f'max by (namespace, pod, container) (kube_pod_container_resource_requests{{{HERE},resource="%s"}})'
    held = f"sum by (namespace, owner_name) ((({asked}) and on (namespace, pod) {ACTIVE}) * {OWNED})"
    queries = {
        "opscommons_workload_info": f"min by (namespace, owner_name) (({ACTIVE}) * {OWNED})",
        "opscommons_workload_pod_info": f"kube_pod_info{{{HERE}}}",
        "opscommons_workload_requested_cpu_cores": held % "cpu",
        "opscommons_workload_requested_memory_bytes": held % "memory",
        "opscommons_workload_requested_gpus": held % "nvidia_com_gpu",
    }
    for metric, promql in queries.items():
        wanted = planted.query_range(
            promql, start_ms=_ms(native_end - QUARTER), end_ms=_ms(native_end) - STEP, step_ms=STEP
        )
        assert _of_server(wanted) == _of_rows(rows[metric]), metric
    (running,) = {row["value"] for row in rows["opscommons_workload_running_pods"][-1:]}
    assert running >= 1
    assert {row["workload_kind"] for row in rows["opscommons_workload_info"]} == {
        "training_job",
        "model_server",
        "other",
    }
    assert {row["framework"] for row in rows["opscommons_workload_info"]} == {"pytorch", "vllm", None}
    assert {metric.status for metric in record.coverage} == {"complete"}


def test_both_ways_to_read_give_the_same_rows(collected: dict[str, Collected]) -> None:
    """The order in which a server names its series must not show."""
    assert collected["remote-read"][1] == collected["http"][1]


def test_running_pods_are_counted_and_read_nought_while_all_wait(
    planted: RealPrometheus, native_end: datetime, collected: dict[str, Collected]
) -> None:
    _, rows = collected["remote-read"]

    found = _of_rows(rows["opscommons_workload_running_pods"])
    phases = f'sum by (owner_name) ((kube_pod_status_phase{{{HERE},phase="Running"}} == bool 1) * {OWNED})'
    wanted = planted.query_range(
        phases, start_ms=_ms(native_end - QUARTER), end_ms=_ms(native_end) - STEP, step_ms=STEP
    )
    assert found == _of_server(wanted)
    assert {0.0, 1.0, 2.0} <= {value for series in found for _, value in series}


def _of_server(matrix: list[dict[str, Any]]) -> Counter[tuple[tuple[int, float], ...]]:
    return Counter(tuple((round(t * 1000), float(v)) for t, v in series["values"]) for series in matrix)


def _of_rows(rows: list[dict[str, Any]]) -> Counter[tuple[tuple[int, float], ...]]:
    series: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for row in rows:
        series[row["series_id"]].append((_ms(row["timestamp"]), row["value"]))
    return Counter(map(tuple, series.values()))


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
