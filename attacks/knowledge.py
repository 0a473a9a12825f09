"""What an attacker is taken to know, and what the operator knows to judge a guess by: raw names, and their tokens.

The truth is computed with the key, from the label sets that Prometheus itself lists, and never handed to an attack
as such: attacks get names, or single pairs. A release's token that no name gives stays unnamed and is counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from anonymize.identity import canonical_host, canonical_workload
from anonymize.keys import PseudonymKey
from anonymize.pseudonyms import Pseudonymizer
from schemas.policy import SERIES_DOMAIN, SOURCE_DOMAIN, Domain, Policy
from schemas.table import TableSchema

LabelSet = Mapping[str, str]
NODE_METRIC = "kube_node_info"
WORKLOAD_DOMAIN = "workload"
OWNER_LABELS = frozenset({"pod", "owner_name", "created_by_name", "job_name"})


@dataclass(frozen=True, slots=True)
class Name:
    """A raw identity: what a token stands for. ``parts`` are the source, the scope's names and its own."""

    prefix: str
    domain: str
    parts: tuple[str, ...]

    @property
    def own(self) -> str:
        """The last part, which people would call the name."""
        return self.parts[-1]


@dataclass(frozen=True)
class Truth:
    """Which token stands for whom, under one key."""

    names: Mapping[str, Name] = field(repr=False)
    """Token to name; of series, too."""
    labels: Mapping[str, LabelSet] = field(repr=False)
    """Token of a series to its raw labels."""

    def translate(self, other: Pseudonymizer) -> dict[str, str]:
        """Return every token with the one that another pseudonymizer gives the same name."""
        return {token: other.token(name.prefix, name.domain, name.parts) for token, name in self.names.items()}


def learn_truth(
    label_sets: Iterable[LabelSet],
    *,
    tables: Iterable[TableSchema],
    policy: Policy,
    pseudonymizer: Pseudonymizer,
    source: str,
) -> Truth:
    """Name the tokens of every series that the server listed (``__name__`` tells the metric)."""
    sets = [dict(labels) for labels in label_sets]
    nodes = _know_nodes(sets)
    owners = {metric.name: table for table in tables for metric in table.metrics}
    names: dict[str, Name] = {}
    labels_of: dict[str, LabelSet] = {}
    found = {Name(SOURCE_DOMAIN, "source", (source,)): None}
    for labels in sets:
        metric = labels.pop("__name__", "")
        if table := owners.get(metric):
            series = _name_series(source, metric, labels)
            token = pseudonymizer.token(series.prefix, series.domain, series.parts)
            names[token], labels_of[token] = series, labels
            found.update(dict.fromkeys(_name_labels(source, labels, table, policy, nodes)))
        found.update(dict.fromkeys(_name_workloads(source, labels, policy)))
    names |= {pseudonymizer.token(name.prefix, name.domain, name.parts): name for name in found}
    return Truth(names, labels_of)


def pseudonymizer_of(key: PseudonymKey | None) -> Pseudonymizer:
    """Return what makes tokens under the operator's key."""
    if key is None:
        raise ValueError("found a destroyed key; the truth can only be told while it lives")
    return Pseudonymizer(key)


def _name_series(source: str, metric: str, labels: LabelSet) -> Name:
    pairs = [part for name in sorted(labels) if labels[name] for part in (name, labels[name])]
    return Name(SERIES_DOMAIN, "series", (source, metric, *pairs))


def _name_labels(
    source: str, labels: LabelSet, table: TableSchema, policy: Policy, nodes: Mapping[str, str]
) -> Iterator[Name]:
    """Yield who a series names, in the columns of its table."""
    found: list[tuple[str, str]] = []
    for column in table.labels:
        raw = next((labels[label] for label in column.source_labels if labels.get(label)), None)
        if column.identity and raw:
            found.append((column.identity, _canonical(policy.domains[column.identity], raw, labels, nodes)))
    scopes = dict(reversed(found))  # of several columns of one domain, the first tells things apart
    for domain_name, own in found:
        domain = policy.domains[domain_name]
        if not all(scope in scopes for scope in domain.scope):
            continue
        if domain.unmatched and own not in nodes.values():
            domain_name, domain = domain.unmatched, policy.domains[domain.unmatched]
        yield Name(domain.prefix, domain_name, (source, *(scopes[scope] for scope in domain.scope), own))


def _name_workloads(source: str, labels: LabelSet, policy: Policy) -> Iterator[Name]:
    """Yield what a pod may belong to by its own labels: operators name pods after what they work for."""
    domain = policy.domains.get(WORKLOAD_DOMAIN)
    if domain and labels.get("namespace"):
        for label, value in labels.items():
            if label in OWNER_LABELS or label.startswith("label_"):
                parts = value.split("-")
                for length in range(1, len(parts) + 1):
                    yield Name(domain.prefix, WORKLOAD_DOMAIN, (source, labels["namespace"], "-".join(parts[:length])))


def _canonical(domain: Domain, raw: str, labels: LabelSet, nodes: Mapping[str, str]) -> str:
    if domain.canonical == "host":
        host = canonical_host(raw)
        return nodes.get(host, host)
    return canonical_workload(raw, labels.get("owner_kind")) if domain.canonical == "workload" else raw


def _know_nodes(sets: Iterable[LabelSet]) -> dict[str, str]:
    """Return every name and address of a node with the node's full name."""
    nodes: dict[str, str] = {}
    for labels in sets:
        if labels.get("__name__") == NODE_METRIC:
            full = canonical_host(labels["node"])
            nodes |= {full: full, full.partition(".")[0]: full, canonical_host(labels["internal_ip"]): full}
    return nodes
