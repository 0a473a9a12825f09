"""Tell machines by their size: nodes that are alone with their set of published capacities."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from attacks.published import Published
from attacks.statistics import count_unique
from schemas.attacks import Capacities

CAPACITY_METRICS = (
    ("node_state", "kube_node_status_capacity", ("resource",)),
    ("node", "node_memory_MemTotal_bytes", ()),
    ("node", "node_filesystem_size_bytes", ("mountpoint",)),
)
Capacity = frozenset[tuple[str, float]]


def attack_capacities(release: Published) -> Capacities:
    """Return how many nodes the published capacities tell."""
    return count_alone(read_capacities(release))


def count_alone(capacities: Mapping[str, Capacity]) -> Capacities:
    """Return how many nodes nobody shares the capacities of."""
    kinds = list(capacities.values())
    return Capacities(nodes=len(kinds), kinds=len(set(kinds)), unique=count_unique(kinds))


def read_capacities(release: Published) -> dict[str, Capacity]:
    """Return each node's largest value of every capacity; what stands on few nodes counts as a capacity of theirs."""
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for table, metric, by in CAPACITY_METRICS:
        if table not in release.tables:
            continue
        rows = release.rows(table, metric, ["node", *by, "value"])
        for node, *words, value in zip(*(rows.column(name).to_pylist() for name in rows.column_names), strict=True):
            if node is not None and value is not None:
                key = " ".join([metric, *map(str, words)])
                found[node][key] = max(value, found[node].get(key, value))
    return {node: frozenset(each.items()) for node, each in found.items()}
