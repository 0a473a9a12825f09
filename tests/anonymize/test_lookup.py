"""A look-up finds what was published for a raw value, under each key that lives, and shows the value to nobody."""

import traceback
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anonymize.identity import IdentityFrame
from anonymize.lookup import MEANT, Found, list_fields, look_up
from anonymize.transform import Report
from schemas.errors import UsageError
from schemas.raw import Raw
from tests.anonymize.builders import OTHER_SECRET, SECRET, a_key, a_policy, an_anonymizer
from tests.anonymize.test_pseudonyms import token_by_hand

NODE = "gpu-7.lab.example"
RAW = {
    "namespace": "team-a",
    "pod": "web-0",
    "instance": f"{NODE}:9100",
    "device": "nvme0n1",
    "owner_name": "web-6d4cf56db6",
    "owner_kind": "ReplicaSet",
}


def found(domain: str, *values: str, secret: bytes = SECRET, cluster: bool = True) -> dict[str, str]:
    """Return what a look-up finds, by its reading."""
    results = look_up(
        a_policy(), a_key(secret), source="lab", domain=domain, values=Raw("value", values), cluster=cluster
    )
    assert {each.key_id for each in results} <= {"k_0123456789abcdef"}
    assert {each.reading for each in results} <= set(MEANT)
    return {each.reading: each.published for each in results}


def published(labels: Mapping[str, str], metric: str = "pod_cpu", frame: IdentityFrame | None = None) -> dict[str, str]:
    """Return what the publisher itself makes of a series' labels."""
    columns = {name: (np.zeros(1, dtype=np.int32), Raw(name, [value])) for name, value in labels.items()}
    batch = an_anonymizer(frame=frame).make_columns(metric, columns, 1, Report())
    return dict(batch.to_pylist()[0])


@pytest.mark.parametrize(
    ("domain", "values", "reading", "column", "metric"),
    [
        ("namespace", ["team-a"], "itself", "namespace", "pod_cpu"),
        ("pod", ["team-a", "web-0"], "itself", "pod", "pod_cpu"),
        ("node", [NODE], "node", "node", "pod_cpu"),
        ("node", ["GPU-7.Lab.Example.:9100"], "node", "node", "pod_cpu"),
        ("device", [NODE, "nvme0n1"], "itself", "device", "pod_cpu"),
        ("workload", ["team-a", "web-6d4cf56db6"], "deployment", "workload", "pod_info"),
        ("workload", ["team-a", "web"], "itself", "workload", "pod_info"),
    ],
)
def test_a_look_up_finds_what_the_publisher_wrote(
    domain: str, values: list[str], reading: str, column: str, metric: str
) -> None:
    """A request for removal names a pod; to remove another one's rows would be worse than nothing."""
    assert found(domain, *values)[reading] == published(RAW, metric)[column]


def test_a_look_up_agrees_with_the_written_design() -> None:
    """The publisher is no witness for itself."""
    assert found("pod", "team-a", "web-0") == {
        "itself": token_by_hand(SECRET, "pod", "pod", ["lab", "team-a", "web-0"])
    }
    assert found("node", NODE) == {
        "node": token_by_hand(SECRET, "node", "node", ["lab", NODE]),
        "stranger": token_by_hand(SECRET, "host", "host", ["lab", NODE]),
    }


def test_a_host_that_the_cluster_does_not_know_is_found_as_a_stranger() -> None:
    labels = RAW | {"instance": "192.0.2.9:9100"}

    assert found("node", "192.0.2.9")["stranger"] == published(labels)["node"]


def test_without_a_cluster_every_host_is_its_own_node() -> None:
    frame = IdentityFrame(kubernetes=False)

    assert found("node", NODE, cluster=False) == {"itself": published(RAW, frame=frame)["node"]}


def test_an_absent_scope_is_one_of_its_own() -> None:
    labels = {name: value for name, value in RAW.items() if name != "namespace"}

    assert found("pod", "", "web-0") == {"itself": published(labels)["pod"]}
    assert found("pod", "", "web-0") != found("pod", "team-a", "web-0")


def test_a_public_word_is_found_in_clear() -> None:
    assert found("namespace", "kube-system") == {"public": "kube-system"}
    assert published(RAW | {"namespace": "kube-system"})["namespace"] == "kube-system"


def test_another_key_finds_another_token() -> None:
    assert found("namespace", "team-a") != found("namespace", "team-a", secret=OTHER_SECRET)


def test_a_look_up_says_what_it_takes() -> None:
    assert list_fields(a_policy(), "device") == ("node", "device")
    with pytest.raises(UsageError, match=r"^the policy has no domain 'user'; it has namespace, pod, node, host"):
        list_fields(a_policy(), "user")
    with pytest.raises(UsageError, match=r"^a look-up in domain pod takes namespace and pod; found 1 values$"):
        found("pod", "web-0")
    with pytest.raises(UsageError, match=r"^found an empty pod; wanted a value to look up$"):
        found("pod", "team-a", "")


def test_a_host_of_which_nothing_stays_is_never_published() -> None:
    assert found("node", ":9100") == {}


@given(value=st.text(st.characters(), min_size=8, max_size=60))
def test_no_value_shows_in_a_result_or_an_error(value: str) -> None:
    """Terminals are recorded, and look-ups are about those who asked not to be seen."""
    results = look_up(a_policy(), a_key(), source="lab", domain="pod", values=Raw("value", ["a", value]))
    with pytest.raises(UsageError) as refused:
        look_up(a_policy(), a_key(), source="lab", domain="pod", values=Raw("value", [value]))

    assert results == (Found("k_0123456789abcdef", results[0].published, "itself"),)
    assert value not in repr(results)
    assert value not in "".join(traceback.format_exception_only(refused.value))
