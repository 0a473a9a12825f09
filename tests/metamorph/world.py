"""One world under two namings: every declared metric of every table, with series that are born and die."""

import re
import struct
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from anonymize.workloads import UNRECOGNISED
from schemas.derived import is_derived
from schemas.policy import Policy
from schemas.registry import latest_tables, read_policy
from schemas.table import LabelColumn, Metric, TableSchema
from tests.collector.histogram_chunks import Histogram
from tests.collector.histogram_wire import Mixed
from tests.metamorph.naming import Naming
from tests.prometheus.wire import Labels, Samples

SERIES: Final = 5
CROWDED: Final = ("kube_resourcequota", "kubelet_volume_stats_used_bytes", "kube_pod_status_phase")
CROWD: Final = 45
STALE: Final = 0x7FF0000000000002
NODES: Final = 8
READ_FIRST: Final = frozenset({"up", "kube_pod_info", "kube_pod_owner", "kube_pod_labels"})
"""By these targets and workloads are found; a histogram among them fails what needs them."""
STARTS: Final = frozenset(
    metric.name for table in latest_tables().values() for metric in table.metrics if metric.value == "age"
)

Text = Callable[[Naming], str]
"""A value of a label, by the naming."""


def fixed(word: str) -> Text:
    """Return what has one name under every naming."""
    return lambda naming: word


def text(kind: str, number: int) -> Text:
    """Return a name of a kind; one in eleven is very long."""
    return lambda naming: naming.text(kind, number, long=number % 11 == 10)


@dataclass(frozen=True)
class Node:
    """A machine. The nodes 4 and 5 share their short name, 6 and 7 their address."""

    number: int

    def short(self, naming: Naming) -> str:
        """Its name up to the first dot."""
        return naming.dns("short", min(self.number, 4) if self.number < 6 else self.number)

    def full(self, naming: Naming) -> str:
        """Its name as the cluster has it."""
        return f"{self.short(naming)}.{naming.dns('domain', self.number % 3)}.{naming.dns('top', 0)}"

    def address(self, naming: Naming) -> str:
        """Its address, of version 6 if its number is odd."""
        number = min(self.number, 6)
        return naming.ip6(number) if number % 2 else naming.ip4(number)

    def spell(self, way: int) -> Text:
        """Return one of the ways to write it."""
        ways: tuple[Text, ...] = (
            self.full,
            lambda n: f"{self.full(n)}:9100",
            lambda n: self.short(n).upper(),
            lambda n: f"{self.short(n)}:9400",
            lambda n: f"{_bracket(self.address(n))}:10250",
            lambda n: f"{self.full(n)}.",
            self.address,
        )
        return ways[way % len(ways)]


def stranger(number: int) -> Text:
    """Return a host that is no node."""
    return lambda n: f"{n.dns('stranger', number)}.{n.dns('outside', 0)}:2049"


@dataclass
class World:
    """Series by their labels' meaning, and what each text of the second naming is under the first."""

    times: Sequence[int]
    one: Naming = field(default_factory=lambda: Naming("one"))
    two: Naming = field(default_factory=lambda: Naming("two"))
    back: dict[str, str] = field(default_factory=dict)

    def series(self) -> Iterator[tuple[tuple[Labels, Labels], Samples]]:
        """Yield the labels of each series under both namings, and its samples."""
        policy = read_policy("default")
        self._learn_hosts()
        for vocabulary in policy.vocabularies.values():
            for word in (UNRECOGNISED, *vocabulary.members, *vocabulary.members.values()):
                self._learn(word, word)
        for number in range(NODES):
            node = Node(number)
            yield self._series("kube_node_info", {"node": node.full, "internal_ip": node.address}, number, whole=True)
        jobs = {"job": fixed("hub")}, {"job": text("scrape_job", 0)}
        for number in range(NODES):
            yield self._series("up", {**jobs[number % 2], "instance": Node(number).spell(1)}, number, whole=True)
        done: set[str] = set()
        for table in latest_tables().values():
            for metric in table.metrics:
                if metric.name not in done and not is_derived(metric.name):
                    done.add(metric.name)
                    for number in range(CROWD if metric.name in CROWDED else SERIES):
                        labels = self._labels(policy, table, metric, number)
                        yield self._series(metric.name, labels, number)

    def native_series(self, tables: Collection[str]) -> Iterator[tuple[tuple[Labels, Labels], Mixed]]:
        """Yield the same of native histograms, of each of the tables a metric that has them published and one that has
        not.

        They have no ``cluster``: where the query API serves, one of them is enough to fail a table.
        """
        policy = read_policy("default")
        for table in map(latest_tables().__getitem__, tables):
            for metric in _may_be_native(table):
                for number in range(SERIES):
                    labels = self._labels(policy, table, metric, number)
                    labels["case"] = text(f"histograms of {metric.name}", number)
                    names, samples = self._series(metric.name, labels, number)
                    half = len(samples) // 2 if number % 3 == 0 else 0  # those were floats first
                    changed = [(at, _histogram(bits)) for at, bits in samples[half:]]
                    one, two = ({name: each[name] for name in each if name != "cluster"} for each in names)
                    yield (one, two), [*samples[:half], *changed]

    def _labels(self, policy: Policy, table: TableSchema, metric: Metric, number: int) -> dict[str, Text]:
        labels: dict[str, Text] = {
            "job": text("scrape_job", 0),
            "instance": Node(number % NODES).spell(1),
            "uid": text("uid", number),
            "note": text("note", 7 * number % 31),
            "case": text(metric.name, number),  # tells series apart
        }
        kind = ("ReplicaSet", "Job", "StatefulSet")[number % 3]
        for column in table.labels:
            if column.name in metric.labels:
                for label in column.source_labels[: 1 + number % 2]:
                    labels[label] = self._value(policy, column, number, kind)
        labels |= dict(_bound(metric, number))
        return labels

    def _value(self, policy: Policy, column: LabelColumn, number: int, kind: str) -> Text:
        rare = number % 5 == 4
        if column.name == "owner_kind":
            return fixed(kind)
        if column.number:
            return text("strange number", number) if rare else fixed(str(number))
        if column.vocabulary:
            members = sorted(policy.vocabularies[column.vocabulary].members)
            return text("strange word", number) if rare else fixed(members[number % len(members)])
        domain = policy.domains[column.identity or ""]
        if domain.canonical == "host":
            return stranger(number) if rare else Node(number % NODES).spell(number // 2)
        if domain.public and number % 4 == 3:
            members = sorted(policy.vocabularies[domain.public].members)
            return fixed(members[number % len(members)])
        if domain.canonical == "workload":
            return _workload(number, kind)
        return text(column.identity or "", number % (SERIES + 9))

    def _series(
        self, metric: str, labels: dict[str, Text], number: int, *, whole: bool = False
    ) -> tuple[tuple[Labels, Labels], Samples]:
        for value in labels.values():
            self._learn(value(self.two), value(self.one))
        names = [naming.label(number % 4) for naming in (self.one, self.two)]
        self._learn(names[1], names[0])
        rendered = [
            {
                "__name__": metric,
                "tenant": naming.text("tenant", 0),
                "cluster": naming.text("cluster", 0),
                undeclared: naming.text("of an undeclared label", number % 3),
                **{label: value(naming) for label, value in labels.items()},
            }
            for naming, undeclared in zip((self.one, self.two), names, strict=True)
        ]
        for kind, which in (("tenant", 0), ("cluster", 0), ("of an undeclared label", number % 3)):
            self._learn(self.two.text(kind, which), self.one.text(kind, which))
        return (rendered[0], rendered[1]), self._samples(metric, number, whole=whole)

    def _samples(self, metric: str, number: int, *, whole: bool) -> Samples:
        """Return samples that live from the beginning to the end, from later on, or to an end with a stale marker."""
        times = self.times
        third = len(times) // 3
        if not whole and number % 5 == 1:
            times = times[third:]
        begun = times[0] / 1000 - 60 * number if metric in STARTS else number  # an age of decades is a finding
        samples = [(at, _bits(begun + place / 7)) for place, at in enumerate(times)]
        if not whole and number % 5 == 2:
            samples = [*samples[: 2 * third], (samples[2 * third][0], STALE)]
        return samples

    def _learn_hosts(self) -> None:
        """Learn the canonical forms of hosts and workloads, as the documentation has them."""
        for number in range(NODES):
            node = Node(number)
            for form in (node.full, node.short, node.address):
                self._learn(form(self.two), form(self.one))
        for number in range(CROWD):
            strange = [stranger(number)(naming).removesuffix(":2049") for naming in (self.two, self.one)]
            self._learn(*strange)
            self._learn(*(naming.workload(number % 7) for naming in (self.two, self.one)))

    def _learn(self, two: str, one: str) -> None:
        known = self.back.setdefault(two, one)
        assert known == one, "two things have one name"


def _may_be_native(table: TableSchema) -> Iterator[Metric]:
    """Yield a metric whose values are published as they are, and one whose values are treated; no one that rules who
    is who.
    """
    metrics = [each for each in table.metrics if not is_derived(each.name) and each.name not in READ_FIRST]
    for exact in (True, False):
        yield from [each for each in metrics if (each.value == "exact") is exact][:1]


def _histogram(bits: int) -> Histogram:
    """Return a histogram that tells one value from another, or the end of a series."""
    if bits == STALE:
        return Histogram(sum_bits=STALE)
    return Histogram({2: 1, bits % 7 + 3: 2}, zero_count=1, sum_bits=bits)


def _bracket(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _workload(number: int, kind: str) -> Text:
    if kind == "ReplicaSet":
        return lambda n: f"{n.workload(number % 7)}-{n.hash(number % 3)}"
    return lambda n: n.workload(number % 7)


def _bound(metric: Metric, number: int) -> Iterator[tuple[str, Text]]:
    """Yield the labels that a metric's own matchers bind."""
    for matcher in metric.match:
        label, operator, value = re.fullmatch(r'(\w+)(!?=~?)"(.*)"', matcher).groups()  # type: ignore[union-attr]
        if value == "jupyter-.*":
            yield label, lambda n: f"jupyter-{n.workload(number)}"
        elif operator in ("=", "=~"):
            yield label, fixed({"eth[0-9]+|net[0-9]+": "eth0"}.get(value, value))


def _bits(value: float) -> int:
    return int(struct.unpack("<Q", struct.pack("<d", value))[0])
