"""What ML workloads say of themselves: notebook servers, a Ray cluster, Kafka, and model servers without a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from demo.cluster.load import compute_demand, compute_load, compute_working
from demo.cluster.names import CLUSTER, SERVER_TEAMS
from demo.cluster.noise import derive_key, rhythm, smooth, white
from demo.cluster.observed import Described, spread_histogram
from demo.cluster.pods import Pod
from demo.cluster.schedule_extra import SERVER_LABEL
from demo.cluster.span import HOUR, MINUTE, STEP, Ints, Series, accumulate, grid, slice_between
from demo.cluster.world import World

INTERVAL = MINUTE
_PREDICT_BOUNDS = ("0.005", "0.01", "0.025", "0.05", "0.075", "0.1", "0.25", "0.5", "0.75", "1.0", "2.5", "5.0")
_Describe = Callable[[World, Pod, Ints], Iterator[Described]]


def build_workload_series(world: World) -> Iterator[Series]:
    """Yield the series of every such pod while it runs."""
    for pod in world.pods:
        found = find_exporter(pod)
        if found is None:
            continue
        job, port, interval, describe = found
        times = grid(pod.started, min(pod.finished, world.span.end), interval)
        shown = slice_between(times, world.span.start, world.span.end)
        if shown.start < shown.stop:
            for metric, labels, values in describe(world, pod, times):
                yield Series(metric, label_workload(pod, job, port) | labels, times[shown], values[shown])


def label_workload(pod: Pod, job: str, port: int) -> dict[str, str]:
    """Return the labels of a workload's target."""
    return {
        "cluster": CLUSTER,
        "job": job,
        "instance": f"{pod.ip}:{port}",
        "namespace": pod.namespace,
        "pod": pod.name,
    }


def find_exporter(pod: Pod) -> tuple[str, int, int, _Describe] | None:
    """Return the scrape job, port and interval of a pod that says something, and what it says."""
    if pod.kind == "notebook":
        return "singleuser", 8888, STEP, _describe_notebook
    if pod.container.startswith("ray-"):
        return "ray-clusters", 8080, INTERVAL, _describe_ray
    if pod.container == "kafka-exporter":
        return "kafka-exporter", 9308, INTERVAL, _describe_kafka
    if server := pod.labels.get(SERVER_LABEL):
        return "kserve-runtimes", 8082, INTERVAL, _SERVERS[server]
    return None


def name_session(head: Pod) -> str:
    """Return a Ray session as Ray names it: after the second in which it began."""
    return f"session_2026-01-01_00-00-{head.created % 60:02d}_{head.key % 10**6:06d}_{head.created // 60 % 10**5:05d}"


def name_score_model(world: World, pod: Pod) -> str:
    """Return what the model of a server without a GPU is called."""
    number = next(number for number in SERVER_TEAMS if world.names.teams[number] == pod.namespace)
    return f"{pod.namespace.split('-')[0]}-risk-score-{number:02d}"


def _describe_notebook(world: World, pod: Pod, times: Ints) -> Iterator[Described]:
    working = compute_working(pod, times)
    yield "kernel_currently_running_total", {"type": "python3"}, 1.0 + np.floor(2.0 * working)
    active = np.where(working > 0.0, times, pod.started)
    last = np.maximum.accumulate(active).astype(np.float64)
    yield "jupyter_server_last_activity_timestamp_seconds", {}, last
    yield "total_memory_usage", {}, compute_load(pod, pod.runs[0], times).memory


def _describe_ray(world: World, pod: Pod, times: Ints) -> Iterator[Described]:
    head = pod.container == "ray-head"
    own = {"SessionName": name_session(_find_head(world, pod)), "Version": "2.49.1"}
    busy = smooth(derive_key(pod.key, "busy"), times, 40 * MINUTE)
    node = own | {"ip": pod.ip, "RayNodeType": "head" if head else "worker", "IsHeadNode": str(head).lower()}
    yield "ray_node_cpu_utilization", node, np.round(100.0 * busy, 1)
    yield "ray_node_mem_used", node, np.floor(pod.resources.memory_limit * (0.3 + 0.3 * busy))
    yield "ray_node_mem_total", node, np.full(len(times), float(pod.resources.memory_limit))
    component = own | {"NodeAddress": pod.ip, "Component": "raylet"}
    yield "ray_object_store_used_memory", component, np.floor(4e8 * busy)
    taken = np.floor(2.0 * busy + 0.5)
    for state, count in (("USED", taken), ("AVAILABLE", 2.0 - taken)):
        yield "ray_resources", component | {"Name": "CPU", "State": state}, count
    if head:
        core = own | {"NodeAddress": pod.ip, "Component": "core_worker", "Source": "owner", "IsRetry": "0"}
        done = accumulate(np.floor(3.0 * busy * INTERVAL))
        yield "ray_tasks", core | {"Name": "resample_tile", "State": "RUNNING"}, np.floor(8.0 * busy)
        yield "ray_tasks", core | {"Name": "resample_tile", "State": "FINISHED"}, done
        yield "ray_actors", core | {"Name": "TileWriter", "State": "ALIVE"}, np.full(len(times), 2.0)
        yield "ray_running_jobs", own, np.ones(len(times))


def _find_head(world: World, pod: Pod) -> Pod:
    """Return the head of the Ray cluster when the pod started."""
    heads = [one for one in world.history if one.container == "ray-head" and one.created <= pod.created]
    return max(heads, key=lambda one: one.created, default=pod)


def _describe_kafka(world: World, pod: Pod, times: Ints) -> Iterator[Described]:
    yield "kafka_brokers", {}, np.full(len(times), 3.0)
    by_day = 0.3 + rhythm(times, peak_hour=15)
    for topic in world.names.topics:
        group = {"consumergroup": f"{topic.split('.')[0]}-loader", "topic": topic}
        yield "kafka_topic_partitions", {"topic": topic}, np.full(len(times), 2.0)
        yield "kafka_consumergroup_members", {"consumergroup": group["consumergroup"]}, np.full(len(times), 2.0)
        for partition in ("0", "1"):
            key = derive_key(world.seed, topic, partition)
            labels = {"topic": topic, "partition": partition}
            arrived = np.floor(40.0 * INTERVAL * by_day * (0.5 + white(key, times // INTERVAL)))
            yield "kafka_topic_partition_current_offset", labels, 5e6 + accumulate(arrived)
            yield "kafka_topic_partition_in_sync_replica", labels, np.full(len(times), 3.0)
            behind = smooth(derive_key(key, "lag"), times, HOUR)
            yield "kafka_consumergroup_lag", group | labels, np.floor(9_000.0 * behind * behind * behind)


def _describe_mlserver(world: World, pod: Pod, times: Ints) -> Iterator[Described]:
    labels = {"model": name_score_model(world, pod), "version": "v3"}
    arrivals = np.floor(compute_demand(pod, times) * INTERVAL)
    failed = np.floor(0.004 * arrivals + white(derive_key(pod.key, "failed"), times // INTERVAL) * 0.99)
    yield "model_infer_request_success_total", labels, accumulate(arrivals)
    yield "model_infer_request_failure_total", labels, accumulate(failed)
    yield "model_infer_request_duration_count", labels, accumulate(arrivals)
    yield "model_infer_request_duration_sum", labels, accumulate(arrivals * 0.018, decimals=6)


def _describe_triton(world: World, pod: Pod, times: Ints) -> Iterator[Described]:
    labels = {"model": name_score_model(world, pod), "version": "3"}
    arrivals = np.floor(compute_demand(pod, times) * INTERVAL)
    yield "nv_inference_request_success", labels, accumulate(arrivals)
    yield "nv_inference_count", labels, accumulate(4.0 * arrivals)
    yield "nv_inference_exec_count", labels, accumulate(np.floor(0.4 * arrivals))
    yield "nv_inference_request_duration_us", labels, accumulate(9_400.0 * arrivals)
    yield "nv_inference_queue_duration_us", labels, accumulate(1_300.0 * arrivals)
    yield "nv_inference_compute_infer_duration_us", labels, accumulate(7_500.0 * arrivals)


def _describe_kserve(world: World, pod: Pod, times: Ints) -> Iterator[Described]:
    labels = {"model_name": name_score_model(world, pod)}
    arrivals = np.floor(compute_demand(pod, times) * INTERVAL)
    typical = 0.03 + 0.04 * smooth(derive_key(pod.key, "latency"), times, HOUR)
    yield from spread_histogram("request_predict_seconds", labels, arrivals, typical, _PREDICT_BOUNDS)
    yield "request_preprocess_seconds_count", labels, accumulate(arrivals)
    yield "request_preprocess_seconds_sum", labels, accumulate(0.0013 * arrivals, decimals=6)


_SERVERS: Mapping[str, _Describe] = {
    "mlserver": _describe_mlserver,
    "triton": _describe_triton,
    "kserve": _describe_kserve,
}
