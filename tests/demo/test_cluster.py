"""The simulated cluster is a pure function of seed and time, and looks like a cluster."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import pytest

from demo.cluster import COMMON_GPU, RARE_GPU, STEP, Series, Span, build_series, count_samples, planted_names
from demo.cluster.nodes import PLATFORM_PERIOD, build_nodes, find_departures, find_lives
from demo.cluster.span import HOUR, slice_between
from demo.cluster.world import World
from schemas.registry import latest_tables
from tests.demo.builders import DAY_SPAN, END, SEED

Key = tuple[str, frozenset[tuple[str, str]]]
# one metric of each table that the simulation fills; nobody in it has AMD's GPUs or Seldon Core itself
ALWAYS_THERE = {
    "node_load1", "kube_node_status_capacity", "container_cpu_usage_seconds_total", "kube_pod_info",
    "kube_deployment_spec_replicas", "kube_job_owner", "kube_resourcequota", "kubelet_volume_stats_used_bytes",
    "apiserver_request_total", "up", "ALERTS", "kafka_consumergroup_lag", "DCGM_FI_DEV_GPU_UTIL",
    "jupyterhub_running_servers", "jupyter_server_last_activity_timestamp_seconds", "argo_workflows_gauge",
    "training_operator_jobs_created_total", "kueue_pending_workloads", "ray_tasks", "spark_application_count",
    "vllm:num_requests_running", "nv_inference_count", "request_predict_seconds_count",
    "model_infer_request_success_total",
}  # fmt: skip
NOT_SIMULATED = {"gpu_amd", "workload"}  # nobody has AMD GPUs; workloads are told by the publisher
# columns that nothing in the simulation fills, by table or metric
NEVER_SAID = {
    "gpu": {"mig_profile", "mig_instance"},  # no GPU is cut
    "notebook_hub": {"reason"},  # no start is refused
    "alertmanager_notifications_failed_total": {"reason"},
}


def _cut(series: Iterable[Series], span: Span) -> dict[Key, tuple[list[int], list[float]]]:
    parts = {}
    for one in series:
        part = slice_between(one.times, span.start, span.end)
        if part.start < part.stop:
            key = (one.metric, frozenset(one.labels.items()))
            parts[key] = (one.times[part].tolist(), one.values[part].tolist())
    return parts


def _of(series: Iterable[Series], metric: str) -> list[Series]:
    return [one for one in series if one.metric == metric]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Span(END - 3 * HOUR, END), Span(END - 2 * HOUR, END + 5 * HOUR)),
        (Span(END - 26 * HOUR, END), Span(END - 25 * HOUR + STEP, END - 24 * HOUR - STEP)),
        (Span(END + 90 * STEP, END + 40 * HOUR), Span(END + 39 * HOUR, END + 70 * HOUR)),
    ],
)
def test_spans_that_overlap_agree_on_every_sample(first: Span, second: Span) -> None:
    """Tests compare what was published with what is generated anew for another span."""
    overlap = Span(max(first.start, second.start), min(first.end, second.end))

    ours, theirs = _cut(build_series(SEED, first), overlap), _cut(build_series(SEED, second), overlap)

    assert ours.keys() == theirs.keys()
    assert not [key[0] for key in ours if ours[key] != theirs[key]]


def test_spans_agree_across_a_renewal_of_the_whole_platform() -> None:
    node = next(node for node in build_nodes(SEED) if node.role == "infra")
    renewal = find_lives(SEED, node, END, END + 2 * PLATFORM_PERIOD)[1].start
    whole, part = Span(renewal - HOUR, renewal + HOUR), Span(renewal - 5 * STEP, renewal + 20 * STEP)

    ours, theirs = _cut(build_series(SEED, whole), part), _cut(build_series(SEED, part), part)

    assert ours == theirs


def test_what_outlives_a_pod_does_not_depend_on_where_the_span_begins(day: list[Series]) -> None:
    """An alert fires on, and a GPU's last error stays, after the pod's object is gone."""
    crashing = next(pod for pod in World(SEED, DAY_SPAN).pods if pod.kind == "crashing")
    after = Span(crashing.gone, crashing.gone + 12 * STEP)

    anew = _cut(build_series(SEED, after), after)

    assert anew == _cut(day, after)
    assert [key for key in anew if key[0] == "ALERTS" and ("pod", crashing.name) in key[1]]


def test_another_seed_is_another_cluster() -> None:
    span = Span(END - HOUR, END)

    mine, yours = planted_names(SEED, span.start, span.end), planted_names(SEED + 1, span.start, span.end)

    assert len(mine & yours) < 60  # the platform's images, domain and cluster name stay
    assert not {node.name for node in build_nodes(SEED)} & {node.name for node in build_nodes(SEED + 1)}


def test_the_cluster_has_its_shape(day: list[Series]) -> None:
    pods = {(one.labels["namespace"], one.labels["uid"]) for one in _of(day, "kube_pod_info")}
    nodes = {one.labels["node"] for one in _of(day, "kube_node_info")}
    hosts, users = defaultdict(set), defaultdict(set)
    for one in _of(day, "DCGM_FI_DEV_GPU_UTIL"):
        hosts[one.labels["modelName"]].add(one.labels["Hostname"])
        users[one.labels["modelName"]].add(one.labels.get("exported_namespace"))

    assert len(nodes) == 20
    assert {model: len(names) for model, names in hosts.items()} == {COMMON_GPU: 8, RARE_GPU: 2}
    assert len(users[COMMON_GPU] - {None}) >= 5
    assert len(users[RARE_GPU] - {None}) < 5
    assert len({namespace for namespace, _ in pods}) == 42
    assert 285 <= len(pods) <= 365


@pytest.mark.parametrize("shift", [3, 16, 29])
def test_any_span_of_26_hours_is_like_any_other(shift: int) -> None:
    """Whenever the quick start runs, it shows all namespaces, a loss, a crash loop and a kill, within budget."""
    span = Span(END + shift * HOUR - 26 * HOUR, END + shift * HOUR)
    world = World(shift, span)

    series = build_series(shift, span)

    assert count_samples(series) < 7_500_000
    assert len({pod.namespace for pod in world.pods}) == 42
    assert {metric for metric in ALWAYS_THERE if not _of(series, metric)} == set()
    assert len({one.labels["node"] for one in _of(series, "kube_node_info")}) == 20
    assert find_departures(shift, span.start + 6 * HOUR, span.end - 6 * HOUR)
    reasons = {one.labels["reason"] for one in _of(series, "kube_pod_container_status_last_terminated_reason")}
    assert {"OOMKilled", "Error"} <= reasons
    firing = {one.labels["alertname"] for one in _of(series, "ALERTS") if one.labels["alertstate"] == "firing"}
    assert {"Watchdog", "KubePodCrashLooping", "KubeNodeNotReady"} <= firing


def test_every_sample_lies_on_the_grid_and_every_time_is_there_once(day: list[Series]) -> None:
    for one in day:
        assert not (one.times % STEP).any()
        assert (np.diff(one.times) > 0).all()
        assert one.times[0] >= DAY_SPAN.start
        assert one.times[-1] < DAY_SPAN.end
        assert np.isfinite(one.values).all(), one.metric
        assert one.labels["cluster"] == "prod-ml-east-1"


def test_counters_fall_only_where_the_machine_was_booted_anew(day: list[Series]) -> None:
    boots = {one.labels["instance"]: one for one in _of(day, "node_boot_time_seconds")}
    types = {metric.name: metric.type for table in latest_tables().values() for metric in table.metrics}
    for one in day:
        if types.get(one.metric, "counter") == "gauge" or not re.search("_total$|_bucket$|_count$|_sum$", one.metric):
            continue
        assert (one.values >= 0).all()
        fell = np.flatnonzero(np.diff(one.values) < 0)
        if len(fell):
            boot = boots[one.labels["instance"]]
            assert one.metric.startswith("node_"), one.metric
            assert set(one.times[fell + 1]) <= set(boot.times[np.flatnonzero(np.diff(boot.values)) + 1])


def test_buckets_grow_with_their_bound_and_end_at_the_count(day: list[Series]) -> None:
    for name in (
        "vllm:time_to_first_token_seconds",
        "jupyterhub_server_spawn_duration_seconds",
        "kueue_admission_wait_time_seconds",
        "etcd_disk_wal_fsync_duration_seconds",
        "request_predict_seconds",
    ):
        groups: dict[frozenset[tuple[str, str]], list[Series]] = defaultdict(list)
        for one in _of(day, f"{name}_bucket"):
            groups[frozenset(set(one.labels.items()) - {("le", one.labels["le"])})].append(one)
        counts = {frozenset(one.labels.items()): one.values for one in _of(day, f"{name}_count")}
        for labels, buckets in groups.items():
            ordered = [one.values for one in sorted(buckets, key=lambda one: float(one.labels["le"]))]
            assert all((less <= more).all() for less, more in pairwise(ordered))
            assert (ordered[-1] == counts[labels]).all()


def test_every_table_but_those_of_other_hardware_is_filled() -> None:
    """A new table that the quick start cannot show is a decision."""
    tables = {metric.name: table.table for table in latest_tables().values() for metric in table.metrics}

    assert {tables[metric] for metric in ALWAYS_THERE} == set(latest_tables()) - NOT_SIMULATED


def test_the_simulation_spells_metrics_and_labels_as_the_tables_do(day: list[Series]) -> None:
    """A misspelled label is a column that stays null, here and in whatever is tried on the quick start."""
    shown: dict[str, set[str]] = defaultdict(set)
    for one in day:
        shown[one.metric].update(label for label, value in one.labels.items() if value)
    for table in latest_tables().values():
        for metric in table.metrics:
            columns = [column for column in table.labels if column.name in metric.labels]
            if metric.name in shown:
                missing = {one.name for one in columns if not shown[metric.name] & {*one.source_labels}}
                assert missing <= NEVER_SAID.get(metric.name, set()) | NEVER_SAID.get(table.table, set()), metric.name


def test_an_operators_counts_are_those_of_what_its_pods_did(day: list[Series]) -> None:
    """What training jobs did can be told from pods and from the operator: both must tell the same."""
    world = World(SEED, DAY_SPAN)
    told = _of(day, "training_operator_jobs_created_total")
    operators = {pod.name: pod for pod in world.find_pod("training-operator")}
    for one in told:
        operator = operators[one.labels["pod"]]
        jobs = [
            pod.created
            for pod in world.history
            if pod.kind == "training"
            and pod.namespace == one.labels["job_namespace"]
            and operator.started <= pod.created <= int(one.times[-1])
        ]
        assert one.values[-1] == len(jobs)
    assert len(told) >= 5


def test_an_outage_leaves_a_gap_while_up_says_zero(day: list[Series]) -> None:
    load = {one.labels["instance"]: set(one.times.tolist()) for one in _of(day, "node_load1")}
    for one in _of(day, "up"):
        if one.labels["job"] == "node-exporter":
            down = set(one.times[one.values == 0].tolist())
            assert not down & load[one.labels["instance"]]
    assert any((one.values == 0).any() for one in _of(day, "up"))


def test_planted_names_are_all_there_and_cannot_be_found_by_chance(day: list[Series]) -> None:
    names = planted_names(SEED, DAY_SPAN.start, DAY_SPAN.end)
    values = {value for one in day for value in one.labels.values()}

    assert not [name for name in names if re.fullmatch("[a-z2-7]{1,8}", name)]
    for label in ("pod", "uid", "node", "id", "image", "name", "UUID", "Hostname", "pod_ip", "exported_pod"):
        shown = {one.labels[label] for one in day if one.labels.get(label)}
        assert shown <= names, label
    assert {one.labels["instance"].partition(":")[0] for one in day if "instance" in one.labels} <= names
    assert len(names & values) > 1500
