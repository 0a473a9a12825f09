"""One node is one node, however a metric spells it; what cannot be told apart belongs to nobody."""

import ipaddress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anonymize.identity import IdentityFrame, build_frame, canonical_host, canonical_workload
from anonymize.transform import Report
from schemas.raw import Raw, open_raw
from tests.anonymize.builders import an_anonymizer

HOST_CHARACTERS = st.sampled_from([*"aZ09.:[]%-", "fe80::1", "10.0.0.7", "::ffff:", ":9100", "é", "İ", "\n"])
NODE = "gpu-7.lab.example"


def a_frame(*nodes: tuple[str, str]) -> IdentityFrame:
    return build_frame([Raw("labels", [{"node": name, "internal_ip": address} for name, address in nodes])])


@pytest.mark.parametrize(
    "spelling",
    [
        "gpu-7.lab.example",
        "gpu-7.lab.example:9100",
        "GPU-7.Lab.Example",
        "gpu-7.lab.example.",
        "gpu-7.lab.example.:9100",
        "gpu-7",
        "GPU-7:9400",
        "10.0.0.7",
        "10.0.0.7:10250",
        "::ffff:10.0.0.7",
        "[::ffff:10.0.0.7]:9100",
        "::FFFF:0A00:0007",
    ],
)
def test_all_spellings_of_a_node_are_one(spelling: str) -> None:
    """node_exporter says FQDN and port, DCGM the short name, cAdvisor the address."""
    frame = a_frame((NODE, "10.0.0.7"), ("gpu-8.lab.example", "10.0.0.8"))

    assert frame.find_node(canonical_host(spelling)) == NODE


@pytest.mark.parametrize(
    "spelling",
    [
        "fd00::7",
        "FD00::7",
        "[fd00::7]",
        "[fd00::7]:9100",
        "[FD00:0:0:0:0:0:0:7]:9100",
        "fd00:0000:0000:0000:0000:0000:0000:0007",
        "fd00:0::0:7",
    ],
)
def test_all_forms_of_an_ipv6_address_are_one(spelling: str) -> None:
    frame = a_frame((NODE, "FD00:0::7"))

    assert canonical_host(spelling) == "fd00::7"
    assert frame.find_node(canonical_host(spelling)) == NODE


@pytest.mark.parametrize(
    ("value", "canonical"),
    [
        ("", ""),
        (":9100", ""),
        ("localhost:9090", "localhost"),
        ("host:123456", "host:123456"),
        ("a:b:9100", "a:b:9100"),
        ("http://host:9100/metrics", "http://host:9100/metrics"),
        ("fe80::1%eth0", "fe80::1%eth0"),  # one link's address may be another machine's on the next link
        ("fd00::7%eth0", "fd00::7"),
        ("[fd00::7%ETH0]:9100", "fd00::7"),
        ("::ffff:10.0.0.7%eth0", "10.0.0.7"),
        ("10.0.0.7%eth0", "10.0.0.7%eth0"),  # no such thing, so nothing is known of it
        ("fd00::7:9100", "fd00::7:9100"),  # without brackets the port is part of the address
        ("0:0:0:0:0:FFFF:a00:7", "10.0.0.7"),
        ("::1", "::1"),
        ("[::1]:9100", "::1"),
        ("HOST", "host"),
        ("host..", "host"),
        ("KİŞ-É", "kİŞ-É"),  # letters beyond ASCII stay: some become one in lower case that are two
        ("\u212aelvin", "\u212aelvin"),
        ("[fe80::1%ETH0]:9100", "fe80::1%eth0"),
        ("10.0.0.07", "10.0.0.07"),
        ("[not-an-address]:80", "[not-an-address]:80"),
        ("10.0.0.7.:9100", "10.0.0.7"),
        ("host:9100\n", "host:9100\n"),
    ],
)
def test_what_a_host_is_reduced_to(value: str, canonical: str) -> None:
    assert canonical_host(value) == canonical


@given(value=st.lists(HOST_CHARACTERS, max_size=8).map("".join) | st.text(max_size=30))
def test_a_canonical_host_stays_what_it_is(value: str) -> None:
    """Else a host would change its token with the number of steps it went through."""
    once = canonical_host(value)

    assert canonical_host(once) == once


@given(address=st.ip_addresses(), port=st.integers(1, 65535))
def test_an_address_with_a_port_is_the_address(address: object, port: int) -> None:
    bracketed = f"[{address}]" if ":" in str(address) else str(address)

    assert canonical_host(f"{bracketed}:{port}") == canonical_host(str(address)) == canonical_host(bracketed)


HOST_NAMES = st.from_regex(r"[a-z]([-a-z0-9]{0,8}[a-z0-9])?(\.[a-z]([-a-z0-9]{0,6}[a-z0-9])?){0,3}", fullmatch=True)
PORTS = st.none() | st.integers(1, 65535)


@st.composite
def clusters(draw: st.DrawFn) -> dict[str, str]:
    """Draw nodes by full name, each with an address of its own; no two share a short name."""
    names = draw(st.lists(HOST_NAMES, min_size=1, max_size=5, unique_by=lambda name: name.partition(".")[0]))
    addresses = draw(st.lists(st.ip_addresses(), min_size=len(names), max_size=len(names), unique=True))
    return {name: str(address) for name, address in zip(names, addresses, strict=True)}


def spell(draw: st.DrawFn, name: str, address: str) -> str:
    """Draw one of the ways in which exporters and scrape configurations write a node."""
    host = draw(st.sampled_from([name, name.upper(), name + ".", name.partition(".")[0], address]))
    port = draw(PORTS)
    if ":" in host:
        host = draw(st.sampled_from([ipaddress.ip_address(host).exploded, host.upper()]))
        return f"[{host}]:{port}" if port else draw(st.sampled_from([host, f"[{host}]"]))
    if host == address and draw(st.booleans()):
        return f"[::ffff:{host}]:{port}" if port else f"::ffff:{host}"
    return f"{host}:{port}" if port else host


@given(nodes=clusters(), data=st.data())
def test_every_spelling_of_every_node_has_the_token_of_its_node(nodes: dict[str, str], data: st.DataObject) -> None:
    """Two tokens for one machine would hide a fault that shows in two exporters; one for two would invent it."""
    frame = a_frame(*nodes.items())
    spelled = data.draw(st.composite(lambda draw: [(name, spell(draw, name, nodes[name])) for name in nodes])())
    columns = {"instance": (np.arange(len(spelled), dtype=np.int32), Raw("instance", [text for _, text in spelled]))}
    plain = {"instance": (np.arange(len(spelled), dtype=np.int32), Raw("instance", [name for name, _ in spelled]))}

    tokens, wanted = (
        an_anonymizer(frame=frame).make_columns("pod_cpu", each, len(spelled), Report()).column("node").to_pylist()
        for each in (columns, plain)
    )

    assert tokens == wanted
    assert len(set(tokens)) == len(nodes)


def test_a_node_is_told_by_its_own_window_alone() -> None:
    """An address may be another machine's next week: what one window knew must not reach into another."""
    before, after = a_frame(("old.example", "10.0.0.7")), a_frame(("new.example", "10.0.0.7"))

    assert [frame.find_node(canonical_host("10.0.0.7:9100")) for frame in (before, after, before)] == [
        "old.example",
        "new.example",
        "old.example",
    ]


def test_a_short_name_of_two_nodes_belongs_to_nobody() -> None:
    """Two racks with a node-1 each: to guess would give one node the other's series."""
    frame = a_frame(("node-1.rack-a.example", "10.0.1.1"), ("node-1.rack-b.example", "10.0.2.1"))

    assert frame.find_node("node-1") is None
    assert frame.find_node("node-1.rack-a.example") == "node-1.rack-a.example"
    assert frame.find_node("10.0.2.1") == "node-1.rack-b.example"


def test_an_address_of_two_nodes_belongs_to_nobody() -> None:
    """A node was replaced within the window, and the new one got the old one's address."""
    frame = a_frame(("old.example", "10.0.0.7"), ("new.example", "10.0.0.7"))

    assert frame.find_node("10.0.0.7") is None
    assert frame.find_node("old") == "old.example"
    assert frame.find_node("new.example") == "new.example"


def test_a_full_name_is_nobody_elses_short_name() -> None:
    frame = a_frame(("gpu-7", "10.0.0.7"), ("gpu-7.lab.example", "10.0.0.8"))

    assert frame.find_node("gpu-7") == "gpu-7"
    assert frame.find_node("gpu-7.lab.example") == "gpu-7.lab.example"


def test_an_address_has_no_short_name() -> None:
    """A node that goes by its address is not also called 10."""
    frame = a_frame(("10.0.0.7", "10.0.0.7"))

    assert open_raw(frame.nodes) == {"10.0.0.7": "10.0.0.7"}


def test_a_node_that_changed_its_address_has_both() -> None:
    frame = a_frame((NODE, "10.0.0.7"), (NODE, "10.0.0.99"))

    assert {frame.find_node(address) for address in ("10.0.0.7", "10.0.0.99", "gpu-7")} == {NODE}


@pytest.mark.parametrize("infos", [[], [{}], [{"node": ""}], [{"internal_ip": "10.0.0.7"}], [{"node": ":9100"}]])
def test_infos_without_a_name_make_no_node(infos: list[dict[str, str]]) -> None:
    assert not build_frame([Raw("labels", infos)]).nodes


def test_a_stranger_is_no_node() -> None:
    frame = a_frame((NODE, "10.0.0.7"))

    assert frame.find_node("192.0.2.1") is None
    assert frame.find_node("gpu") is None
    assert frame.find_node("") is None


def test_without_a_cluster_every_host_is_its_own_node() -> None:
    assert IdentityFrame(kubernetes=False).find_node("anything") == "anything"


def test_a_frame_shows_no_name() -> None:
    """It stands in locals when something fails."""
    frame = a_frame((NODE, "10.0.0.7"))

    assert "gpu-7" not in repr(frame)
    assert "10.0.0.7" not in str(frame)


@pytest.mark.parametrize(
    ("name", "kind", "canonical"),
    [
        ("web-6d4cf56db6", "ReplicaSet", "web"),
        ("web-7f9c", "ReplicaSet", "web-7f9c"),  # too short for a hash
        ("web-5bcdf6789bc", "ReplicaSet", "web-5bcdf6789bc"),  # too long
        ("web-frontend", "ReplicaSet", "web-frontend"),  # the alphabet of the hash has no vowels
        ("web-vnxqpz", "ReplicaSet", "web-vnxqpz"),  # nor most consonants: another name than web
        ("a-b-c-6d4cf56db6", "ReplicaSet", "a-b-c"),
        ("web-6d4cf56db6", "StatefulSet", "web-6d4cf56db6"),
        ("web-6d4cf56db6", "Job", "web-6d4cf56db6"),
        ("web-6d4cf56db6", "", "web-6d4cf56db6"),
        ("web-6d4cf56db6", None, "web-6d4cf56db6"),
        ("web-6d4cf56db6", "replicaset", "web-6d4cf56db6"),
        ("web-6d4cf56db6\n", "ReplicaSet", "web-6d4cf56db6\n"),
    ],
)
def test_only_a_replica_set_counts_as_its_deployment(name: str, kind: str | None, canonical: str) -> None:
    """A Job's hash is its own name; without it two jobs would be one."""
    assert canonical_workload(name, kind) == canonical


@given(
    name=st.from_regex(r"[a-z]([-a-z0-9]{0,20}[aeiou])?", fullmatch=True), kind=st.sampled_from(["ReplicaSet", "Job"])
)
def test_a_workload_that_carries_no_hash_stays_what_it_is(name: str, kind: str) -> None:
    assert canonical_workload(name, kind) == name
    assert canonical_workload(f"{name}-6d4cf56db6", "ReplicaSet") == name


def test_two_deployments_stay_two_although_one_is_called_like_a_replica_set_of_the_other() -> None:
    """Only the last hash is taken off, and only from a ReplicaSet: the Deployment web-6d4cf56db6 is not web."""
    of_web = canonical_workload("web-7f9c8d5b4c", "ReplicaSet")
    of_the_other = canonical_workload("web-6d4cf56db6-7f9c8d5b4c", "ReplicaSet")

    assert (of_web, of_the_other) == ("web", "web-6d4cf56db6")
    assert canonical_workload("web-6d4cf56db6", None) == of_the_other  # as kube_deployment_* has it, without a kind
