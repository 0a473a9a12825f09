"""The identity frame: what the metrics of one window say about who is who.

One node appears as an FQDN, a short name and an address, with or without a port. ``kube_node_info`` of the same
window tells that they are one. Nothing outside the window is ever used.
"""

import ipaddress
import re
import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from typing import Final

from schemas.raw import Raw, open_raw

FRAME_METRIC: Final = "kube_node_info"
_LOWER: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
"""Names in the DNS know no case of ASCII letters; other letters would be made one that are two."""
_PORT = re.compile(r"(?P<host>[^:]*):[0-9]{1,5}")
_BRACKETED = re.compile(r"\[(?P<host>[^\[\]]*)\](?::[0-9]{1,5})?")
_REPLICA_SET_HASH = re.compile(r"-[4-9bcdf]{6,10}\Z")
"""A number of up to ten digits, each in the place of one letter: Kubernetes' SafeEncodeString knows these ten."""


@dataclass(frozen=True, slots=True)
class IdentityFrame:
    """Every known name and address of a node, to the one name it goes by."""

    nodes: Raw[Mapping[str, str]] = field(default_factory=lambda: Raw("node", {}))
    kubernetes: bool = True
    """Whether unknown hosts are strangers (true), or there is no cluster to know them (false)."""

    def find_node(self, host: str) -> str | None:
        """Return the node of a canonical host; without a cluster every host is its own node."""
        return open_raw(self.nodes).get(host) if self.kubernetes else host


@lru_cache(1 << 14)  # a host stands on every series of its node
def canonical_host(value: str) -> str:
    """Return a host without port and brackets, addresses in their one short form, names in lower case.

    A zone says by which interface an address was reached, not whose it is; only a link-local one needs it.

    >>> canonical_host("GPU-7.Lab.Example:9100"), canonical_host("[::ffff:10.0.0.7]:9100")
    ('gpu-7.lab.example', '10.0.0.7')
    >>> canonical_host("[FD00:0::7%eth0]:9100"), canonical_host("fe80::7%eth0")
    ('fd00::7', 'fe80::7%eth0')
    """
    host = value.translate(_LOWER).rstrip(".")
    bracketed = _BRACKETED.fullmatch(host)
    if bracketed:
        return _short_address(bracketed["host"]) or host
    if address := _short_address(host):
        return address
    if found := _PORT.fullmatch(host):
        host = found["host"].rstrip(".")
    return _short_address(host) or host


def _short_address(text: str) -> str | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv4Address) or not (address.ipv4_mapped or address.scope_id):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(address) if address.is_link_local else str(ipaddress.IPv6Address(int(address)))


def canonical_workload(name: str, kind: str | None) -> str:
    """Return the name of what made a pod: a ReplicaSet counts as the Deployment that made it.

    >>> canonical_workload("web-6d4cf56db6", "ReplicaSet"), canonical_workload("web-6d4cf56db6", "Job")
    ('web', 'web-6d4cf56db6')
    """
    return _REPLICA_SET_HASH.sub("", name) if kind == "ReplicaSet" else name


def build_frame(node_infos: Iterable[Raw[Sequence[Mapping[str, str]]]]) -> IdentityFrame:
    """Build the frame from the label sets of ``kube_node_info``.

    A name or address that two nodes had in one window belongs to neither.
    """
    owners: dict[str, set[str]] = {}
    for labels in chain.from_iterable(map(open_raw, node_infos)):
        node = canonical_host(labels.get("node", ""))
        if not node:
            continue
        names = {node}
        if _short_address(node) is None:  # an address has no short name
            names.add(node.partition(".")[0])
        if labels.get("internal_ip"):
            names.add(canonical_host(labels["internal_ip"]))
        for name in names:
            owners.setdefault(name, set()).add(node)
    for node in {node for nodes in owners.values() for node in nodes}:
        owners[node] = {node}  # a full name is nobody else's short name
    return IdentityFrame(Raw("node", {name: nodes.pop() for name, nodes in owners.items() if len(nodes) == 1}))
