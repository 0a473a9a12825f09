"""The shipped tables and the shipped policy: complete, consistent, and no wider than they must be."""

import re

import pytest

from schemas.errors import UsageError
from schemas.policy import OTHER
from schemas.registry import POLICIES, TABLES, find_table, latest_tables, read_policy, shipped_tables
from schemas.table import TableSchema

FAMILIES = {
    "node": "ops", "node_state": "ops", "container": "ops", "pod": "ops", "controller": "ops", "job": "ops",
    "namespace": "ops", "volume": "ops", "control_plane": "ops", "scrape": "ops", "alert": "ops", "kafka": "ops",
    "gpu": "ml", "gpu_amd": "ml", "notebook_hub": "ml", "notebook": "ml", "workflow": "ml", "training": "ml",
    "queue": "ml", "ray": "ml", "spark": "ml", "model_server": "ml", "triton": "ml", "kserve": "ml", "seldon": "ml",
    "workload": "ml",
}  # fmt: skip
# unique values, addresses, free text and people: no vocabulary or pseudonym makes these safe enough
NEVER = {
    "uid", "container_id", "id", "image", "image_id", "image_spec", "boot_id", "machine_id", "system_uuid", "UUID",
    "pci_bus_id", "serial", "wwn", "host_ip", "pod_ip", "internal_ip", "address", "provider_id", "pod_cidr", "user",
    "username", "email", "url", "uri", "path", "query", "schedule", "key", "device_error", "hpc_job",
    "serial_number", "gpu_uuid", "job_user", "WorkerId", "NodeAddress", "JobId", "application_id", "model_image",
    "service", "subresource", "Component", "provisioner", "csi_volume_handle", "nfs_server", "lease_holder",
}  # fmt: skip
PARTS = ("_bucket", "_sum", "_count")
# Names that say another type than the exporter does.
COUNTERS_WITHOUT_TOTAL = {
    "kubelet_evictions", "argo_workflows_total_count", "argo_workflows_pods_total_count",
    "argo_workflows_pod_pending_count", "argo_workflows_error_count", "seldon_cache_evict_count",
    "seldon_cache_miss_count", "spark_application_count", "spark_application_submit_count",
    "spark_application_success_count", "spark_application_failure_count", "spark_executor_failure_count",
    "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "DCGM_FI_DEV_PCIE_REPLAY_COUNTER",
    "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS",
    "nv_inference_request_success", "nv_inference_request_failure", "nv_inference_count", "nv_inference_exec_count",
    "nv_inference_request_duration_us", "nv_inference_queue_duration_us", "nv_inference_compute_input_duration_us",
    "nv_inference_compute_infer_duration_us", "nv_inference_compute_output_duration_us",
}  # fmt: skip
GAUGES_CALLED_TOTAL = {
    "etcd_server_proposals_committed_total", "kernel_currently_running_total", "terminal_currently_running_total",
    "gpu_ecc_correct_total", "gpu_ecc_uncorrect_total", "ray_node_mem_total",
}  # fmt: skip
AGES = {
    "ALERTS_FOR_STATE", "container_start_time_seconds", "kube_pod_start_time", "kube_pod_completion_time",
    "kube_job_status_start_time", "kube_job_status_completion_time", "kube_cronjob_status_last_schedule_time",
    "kube_cronjob_status_last_successful_time", "jupyter_server_last_activity_timestamp_seconds",
}  # fmt: skip
CAPACITIES = {
    "node_memory_MemTotal_bytes", "node_filesystem_size_bytes", "container_spec_memory_limit_bytes",
    "kube_node_status_capacity", "kube_node_status_allocatable", "kubelet_volume_stats_capacity_bytes",
    "kubelet_volume_stats_inodes", "kube_persistentvolume_capacity_bytes", "gpu_total_vram", "max_memory_usage",
    "ray_node_cpu_count", "ray_node_mem_total", "seldon_server_replica_memory_capacity_bytes_gauge",
}  # fmt: skip
SHARED = ("namespace", "pod", "container", "node", "workload")

each_table = pytest.mark.parametrize("table", shipped_tables(), ids=lambda table: f"{table.table} {table.version}")


def test_every_table_is_there_in_its_family() -> None:
    assert {name: table.family for name, table in latest_tables().items()} == FAMILIES
    assert len(shipped_tables()) == len(list(TABLES.iterdir()))


def test_there_is_enough_to_study() -> None:
    """Baseline operations beside what ML workloads do: the reason why the dataset exists."""
    tables = latest_tables().values()

    assert len(tables) >= 16
    assert sum(len(table.metrics) for table in tables) >= 150


@each_table
def test_the_default_policy_covers_each_table_and_nothing_more(table: TableSchema) -> None:
    policy = read_policy("default")
    newest = latest_tables()[table.table]

    assert policy.check_table(table) == []
    assert policy.tables[table.table].metrics == tuple(metric.name for metric in newest.metrics)


def test_the_default_policy_holds_no_unused_permission() -> None:
    """What no column needs is a permission that nobody reviewed for a use."""
    policy = read_policy("default")
    columns = [column for table in shipped_tables() for column in table.labels]
    domains = {column.identity for column in columns if column.identity}
    domains |= {domain.unmatched for domain in policy.domains.values() if domain.unmatched}
    vocabularies = {column.vocabulary for column in columns if column.vocabulary}
    vocabularies |= {domain.public for domain in policy.domains.values() if domain.public}

    assert set(policy.domains) == domains
    assert set(policy.vocabularies) == vocabularies
    assert set(policy.tables) == set(latest_tables())
    assert not [path for path in POLICIES.iterdir() if path.suffix != ".yaml"]


@each_table
def test_no_column_is_made_from_a_label_that_must_be_dropped(table: TableSchema) -> None:
    assert not {label for column in table.labels for label in column.source_labels} & NEVER


@each_table
def test_no_metric_tells_when_something_began(table: TableSchema) -> None:
    """The second in which a thing started is unique for nearly everything; an age in minutes is not."""
    for metric in table.metrics:
        told = re.search("_created$|_time(_seconds)?$|_timestamp|FOR_STATE", metric.name)
        assert (metric.value == "age") == bool(told) == (metric.name in AGES), metric.name


@each_table
def test_every_column_of_the_sort_key_comes_once_and_identities_first(table: TableSchema) -> None:
    """Rows sorted from coarse to fine let readers skip what they did not ask for."""
    columns = {column.name: column for column in table.labels}

    assert len(set(table.sort_key)) == len(table.sort_key) > 0
    assert columns[table.sort_key[0]].identity


@each_table
def test_parts_of_a_histogram_agree(table: TableSchema) -> None:
    """Each part is a metric of its own, and only the buckets carry ``le``."""
    for metric in table.metrics:
        if metric.type == "histogram":
            assert metric.name.endswith(PARTS)
            assert ("le" in metric.labels) == metric.name.endswith("_bucket")
        else:
            assert "le" not in metric.labels


@each_table
def test_types_are_as_the_names_say_but_for_known_oddities(table: TableSchema) -> None:
    """Readers take rates of what ends in _total; an exporter that names things otherwise is told by its type."""
    for metric in table.metrics:
        if metric.type == "counter":
            assert metric.name.endswith("_total") != (metric.name in COUNTERS_WITHOUT_TOTAL), metric.name
        elif metric.type == "gauge":
            assert metric.name.endswith("_total") == (metric.name in GAUGES_CALLED_TOTAL), metric.name


@each_table
def test_columns_that_join_are_named_alike_and_made_alike(table: TableSchema) -> None:
    """A pod of one table is the pod of another: one name, one domain."""
    assert [column.name for column in table.labels if column.name in SHARED and column.identity != column.name] == []


@each_table
def test_every_meaning_is_said_of_one_thing(table: TableSchema) -> None:
    """A sentence that fits two metrics tells neither."""
    said = [metric.meaning for metric in table.metrics]

    assert len(said) == len(set(said))


def test_no_two_tables_publish_the_same_metric() -> None:
    """Readers ask for a metric by its name alone."""
    names = [metric.name for table in latest_tables().values() for metric in table.metrics]

    assert len(names) == len(set(names))


def test_capacities_and_placeholders_get_their_treatment() -> None:
    treated = {metric.name: metric.value for table in shipped_tables() for metric in table.metrics}

    assert {name for name, value in treated.items() if value == "bucket"} == CAPACITIES
    assert {value for name, value in treated.items() if name.startswith("DCGM_")} == {"blank_to_null"}


def test_selectors_leave_out_what_would_count_twice() -> None:
    """cAdvisor's aggregates have no container name, and notebook servers export the hub's metrics as zeros."""
    of_pods = ('pod!=""', 'interface=~"eth[0-9]+|net[0-9]+"')
    matched = {metric.name: metric.match for metric in find_table("container").metrics}

    assert {match for name, match in matched.items() if "network" in name} == {of_pods}
    assert {match for name, match in matched.items() if "network" not in name} == {('container!=""', 'pod!=""')}
    assert {metric.match for metric in find_table("notebook_hub").metrics} == {('job="hub"',)}


def test_names_that_anybody_could_use_are_taken_from_notebooks_alone() -> None:
    matched = {metric.name: metric.match for metric in find_table("notebook").metrics if "usage" in metric.name}

    assert set(matched.values()) == {('pod=~"jupyter-.*"',)}


def test_rare_hardware_and_owners_are_marked_for_suppression() -> None:
    marked = {column.name for table in shipped_tables() for column in table.labels if column.quasi_identifier}

    assert marked == {
        "gpu_family", "mig_profile", "owner_kind", "created_by_kind", "role",
        "workload_kind", "framework", "pod_role",
    }  # fmt: skip


def test_gpu_models_are_published_as_families() -> None:
    families = read_policy("default").vocabularies["gpu_families"]

    assert families.members["NVIDIA A100-SXM4-80GB"] == "A100"
    assert families.members["NVIDIA H200"] == "H200"
    assert not [name for name in families.published if "GB" in name.removeprefix("GB") or "SXM" in name]
    assert read_policy("default").vocabularies["mig_profiles"].published == {"1g", "2g", "3g", "4g", "7g", OTHER}


def test_a_gpus_host_is_found_under_both_names_that_its_exporter_has_given_it() -> None:
    assert find_table("gpu").labels[0].source_labels == ("Hostname", "hostname")


def test_what_is_asked_for_joins_across_vocabularies() -> None:
    """Kueue writes nvidia.com/gpu where kube-state-metrics writes nvidia_com_gpu."""
    vocabularies = read_policy("default").vocabularies

    assert set(vocabularies["queue_resources"].members.values()) <= set(vocabularies["resources"].members)


@pytest.mark.parametrize(
    ("vocabulary", "stranger"),
    [
        ("public_namespaces", "openshift-acme-payments"),
        ("public_containers", "acme-api"),
        ("public_alerts", "AcmeCheckoutDown"),
        ("mountpoints", "/home/alice"),
        ("hub_handlers", "acme_auth.handlers.LoginHandler"),
        ("public_scrape_jobs", "acme-billing"),
        ("api_resources", "acmedatabases"),
        ("kernel_types", "acme-env"),
        ("ray_resources", "acme_license"),
    ],
)
def test_public_lists_are_of_exact_names(vocabulary: str, stranger: str) -> None:
    members = read_policy("default").vocabularies[vocabulary].members

    assert stranger not in members
    assert not [member for member in members if "*" in member or member.endswith("-")]


def test_no_vocabulary_calls_a_member_other() -> None:
    """Readers take ``other`` for what the list does not hold, and the report counts it so."""
    vocabularies = read_policy("default").vocabularies

    assert not [name for name, each in vocabularies.items() if OTHER in each.members.values()]


def test_find_table_tells_what_there_is() -> None:
    assert find_table("node", "1.1") is find_table("node")
    assert find_table("node", "1.0").version == "1.0"
    with pytest.raises(UsageError, match=r"there is no table 'nodes'; there are alert, container, control_plane"):
        find_table("nodes")
    with pytest.raises(UsageError, match=r"table node has no version 9\.0; it has 1\.0, 1\.1"):
        find_table("node", "9.0")
