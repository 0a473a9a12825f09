"""The shipped tables and the shipped policy: complete, consistent, and no wider than they must be."""

import pytest

from schemas.errors import UsageError
from schemas.policy import OTHER
from schemas.registry import POLICIES, TABLES, find_table, latest_tables, read_policy, shipped_tables
from schemas.table import TableSchema

FAMILIES = {
    "node": "ops", "container": "ops", "pod": "ops", "alert": "ops",
    "gpu": "ml", "notebook_hub": "ml", "model_server": "ml",
}  # fmt: skip
# unique values, addresses, free text and people: no vocabulary or pseudonym makes these safe enough
NEVER = {
    "uid", "container_id", "id", "image", "image_id", "image_spec", "boot_id", "machine_id", "system_uuid", "UUID",
    "pci_bus_id", "serial", "wwn", "host_ip", "pod_ip", "internal_ip", "address", "provider_id", "pod_cidr", "user",
    "username", "email", "url", "uri", "path", "query", "schedule", "key", "device_error", "hpc_job",
}  # fmt: skip
PARTS = ("_bucket", "_sum", "_count")

each_table = pytest.mark.parametrize("table", shipped_tables(), ids=lambda table: f"{table.table} {table.version}")


def test_every_table_is_there_in_its_family() -> None:
    assert {name: table.family for name, table in latest_tables().items()} == FAMILIES
    assert len(shipped_tables()) == len(list(TABLES.iterdir()))


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
    assert not {column.source_label for column in table.labels} & NEVER


@each_table
def test_no_metric_tells_when_something_began(table: TableSchema) -> None:
    """The second in which a thing started is unique for nearly everything; an age in minutes is not."""
    for metric in table.metrics:
        told = any(word in metric.name for word in ("_created", "start_time", "boot_time", "_timestamp", "FOR_STATE"))
        assert not told or metric.value == "age"


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


def test_no_two_tables_publish_the_same_metric() -> None:
    """Readers ask for a metric by its name alone."""
    names = [metric.name for table in latest_tables().values() for metric in table.metrics]

    assert len(names) == len(set(names))


def test_capacities_and_placeholders_get_their_treatment() -> None:
    treated = {metric.name: metric.value for table in shipped_tables() for metric in table.metrics}

    assert {name for name, value in treated.items() if value == "bucket"} == {
        "node_memory_MemTotal_bytes",
        "node_filesystem_size_bytes",
        "container_spec_memory_limit_bytes",
    }
    assert {value for name, value in treated.items() if name.startswith("DCGM_")} == {"blank_to_null"}


def test_selectors_leave_out_what_would_count_twice() -> None:
    """cAdvisor's aggregates have no container name, and notebook servers export the hub's metrics as zeros."""
    assert {metric.match for metric in find_table("container").metrics} == {('container!=""', 'pod!=""')}
    assert {metric.match for metric in find_table("notebook_hub").metrics} == {('job="hub"',)}


def test_rare_hardware_and_owners_are_marked_for_suppression() -> None:
    marked = {column.name for table in shipped_tables() for column in table.labels if column.quasi_identifier}

    assert marked == {"gpu_family", "owner_kind", "created_by_kind"}


def test_gpu_models_are_published_as_families() -> None:
    families = read_policy("default").vocabularies["gpu_families"]

    assert families.members["NVIDIA A100-SXM4-80GB"] == "A100"
    assert families.members["NVIDIA H200"] == "H200"
    assert not [name for name in families.published if "GB" in name.removeprefix("GB") or "SXM" in name]


@pytest.mark.parametrize(
    ("vocabulary", "stranger"),
    [
        ("public_namespaces", "openshift-acme-payments"),
        ("public_containers", "acme-api"),
        ("public_alerts", "AcmeCheckoutDown"),
        ("mountpoints", "/home/alice"),
        ("hub_handlers", "acme_auth.handlers.LoginHandler"),
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
    assert find_table("node", "1.0") is find_table("node")
    with pytest.raises(UsageError, match=r"there is no table 'nodes'; there are alert, container, gpu"):
        find_table("nodes")
    with pytest.raises(UsageError, match=r"table node has no version 9\.0; it has 1\.0"):
        find_table("node", "9.0")
