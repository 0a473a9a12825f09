"""What Prometheus itself says of the tables: which metrics it has, from which target, of which type, with which values.

The tables are read as YAML and the answers as JSON, so that no code of the publisher says what it should have done.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.exact import ask, query_range, treated
from tests.lab.sources import Source

TABLES = Path(__file__).parents[2] / "schemas/tables"
MADE_HERE = "opscommons_"
"""Metrics that the publisher makes of others, so that no server has them."""
Values = Counter[bytes]


@dataclass(frozen=True, slots=True)
class Fed:
    """One metric that Prometheus has, of series that the table's matchers let through."""

    values: Values = field(repr=False)
    """Fingerprints of its series after the declared treatment."""
    by: Mapping[str, int]
    """Sources to their numbers of series."""
    said: str
    """The type by the metadata API, or ``unknown``."""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known without looking at a release."""

    start: str
    end: str
    tells_nodes: bool
    """Whether something says which nodes a cluster has."""
    tables: Mapping[str, dict[str, Any]]
    fed: Mapping[str, Fed]
    down: Sequence[str]
    """Targets that could not be scraped, with the reason."""

    def fed_of(self, table: str) -> list[str]:
        """Return the metrics of a table that something feeds, in the order of its file."""
        return [metric["name"] for metric in self.tables[table]["metrics"] if metric["name"] in self.fed]

    def tables_of(self, source: str) -> frozenset[str]:
        """Return the tables that a source feeds."""
        return frozenset(name for name in self.tables if any(source in self.fed[m].by for m in self.fed_of(name)))


def read_tables() -> dict[str, dict[str, Any]]:
    """Return the newest version of each table, as its file says it."""
    found: dict[str, dict[str, Any]] = {}
    for path in TABLES.glob("*.yaml"):
        table = yaml.safe_load(path.read_text("utf-8"))
        known = found.get(table["table"])
        if known is None or _order(known) < _order(table):
            found[table["table"]] = table
    return dict(sorted(found.items()))


def read_facts(
    url: str, sources: Sequence[Source], *, start: str, end: str, step_ms: int, only: Collection[str] = ()
) -> Facts:
    """Ask Prometheus for everything that the tables declare (``only`` these, if any is named), within a span."""
    names = set(ask(url, "label/__name__/values", start=start, end=end))
    types = {name: said[0]["type"] for name, said in ask(url, "metadata").items()}
    places = {(t.labels.get("job", t.job), t.instance): source.name for source in sources for t in source.targets}
    tables = {name: table for name, table in read_tables().items() if not only or name in only}
    fed = {}
    for table in tables.values():
        for metric in table["metrics"]:
            name = metric["name"]
            if name not in names:
                continue
            selector = ",".join([f'__name__="{name}"', *metric.get("match", [])])
            values, by = Counter[bytes](), Counter[str]()
            for labels, samples in query_range(url, f"{{{selector}}}", start=start, end=end, step_ms=step_ms):
                values[treated(metric.get("value", "exact"), samples)] += 1
                by[places.get((labels.get("job", ""), labels.get("instance", "")), "prometheus")] += 1
            if values:
                fed[name] = Fed(values, by, types.get(name) or types.get(_family(name), "unknown"))
    active = ask(url, "targets", state="active")["activeTargets"]
    down = [f"{one['labels']['job']}: {one['lastError']}" for one in active if one["health"] != "up"]
    return Facts(start, end, "kube_node_info" in names, tables, fed, down)


def _order(table: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(map(int, table["version"].split(".")))


def _family(name: str) -> str:
    for end in ("_bucket", "_sum", "_count"):
        name = name.removesuffix(end)
    return name
