"""Canaries: a value of its own for every label of every metric, and for every other channel that a source has.

A canary begins with eight characters that nothing else has, so it is known in any case, cut short or in part
(``tests/canaries/scan.py``). Behind them stands what makes escaping go wrong: quotes, braces, percent signs, slashes.
"""

import base64
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import quote

from schemas.derived import is_derived
from schemas.registry import latest_tables
from schemas.table import Metric, TableSchema
from tests.collector.histogram_chunks import Histogram
from tests.collector.histogram_wire import Mixed
from tests.prometheus.wire import Labels, Samples

Channel = Literal["label", "undeclared label", "undeclared name", "source", "scrape", "secret", "exception"]
"""What a canary hides in: the value of a declared label or of another one; the name of a label or metric that nobody
declared; what selects the source or is added by it; what only a scrape carries (HELP, exemplars); what lets us in; what
an exception says."""

STALE: Final = 0x7FF0000000000002
"""The bits of Prometheus's marker of a series that has ended."""
_DIGITS: Final = "0189"  # which no token has
_FORMS: Final = (
    "{}-team.example",
    "{}",
    '{}"}} or up{{x="',
    "{}/a b?c=d&e=%41",
    "{} %s %(levelname)s {{0.__class__}}",
    "{}-ünïcödé-\N{SNOWMAN}",
    "{}-" + 2000 * "long",
    "10.{}.1:9100",
    "{}@team.example",
    "https://user:{}@team.example/",
)


@dataclass(frozen=True)
class Canary:
    """One planted text, and where."""

    number: int
    text: str
    channel: Channel
    where: str

    @property
    def head(self) -> str:
        """The eight characters that nothing else has."""
        return head_of(self.number)


def head_of(number: int) -> str:
    """Return the beginning of a canary: ``zq`` and its number in base 4.

    >>> head_of(6)
    'zq000018'
    """
    return "zq" + "".join(_DIGITS[number >> 2 * place & 3] for place in reversed(range(6)))


@dataclass
class Aviary:
    """Makes canaries, each once, and remembers them."""

    canaries: list[Canary] = field(default_factory=list)

    def add(self, channel: Channel, where: str, form: str | None = None) -> str:
        """Return a new canary. ``form`` is its shape, with ``{}`` for its head; by default each has another one."""
        number = len(self.canaries)
        head = head_of(number)
        shape = form or _FORMS[number % len(_FORMS)]
        text = shape.format(head.upper() if form is None and number % 3 == 2 else head)
        if form is None and number % 7 == 6:
            text = base64.b64encode(text.encode()).decode()
        elif form is None and number % 11 == 10:
            text = quote(text, safe="")
        self.canaries.append(Canary(number, text, channel, where))
        return text  # a form without a place for its head is a public word, and nobody finds it


@dataclass(frozen=True)
class Planted:
    """The series of a source that is full of canaries, and the texts of its other channels."""

    aviary: Aviary
    series: Sequence[tuple[Labels, Samples]]
    match: Mapping[str, str]
    """What ``source.match`` selects."""
    native: Sequence[tuple[Labels, Mixed]]
    """Series of native histograms, some with floats before them, of a tenant of their own."""
    native_match: Mapping[str, str]
    """What ``source.match`` selects of those: where the query API serves, one of them is enough to fail a table."""
    external_labels: Mapping[str, str]
    bearer: str
    header: str
    exposition: str
    """What a scraped target says: HELP, an exemplar and a timestamp of no consequence, in OpenMetrics."""


def plant_canaries(times: Sequence[int], *, tables: Sequence[str] = ()) -> Planted:
    """Return canaries for every metric of these tables, or of all; samples stand at ``times`` (milliseconds)."""
    aviary = Aviary()
    match = {"tenant": aviary.add("source", "source.match", "{}/payroll")}
    shared = {
        **match,
        "job": aviary.add("label", "job of every series"),
        "instance": aviary.add("label", "instance of every series", "{}.team.example:9100"),
    }
    series: dict[tuple[tuple[str, str], ...], Samples] = {}
    starts = {each.name for table in latest_tables().values() for each in table.metrics if each.value == "age"}
    for number, (table, metric) in enumerate(_declared(tables)):
        named = _labels(aviary, table, metric, shared)
        begun = times[0] / 1000 - 60 * number if metric.name in starts else number  # an age of decades is a finding
        series[tuple(sorted(named.items()))] = [(at, _bits(begun + place)) for place, at in enumerate(times)]
    frame = {
        "__name__": "kube_node_info",
        **shared,
        "node": aviary.add("label", "node of the identity frame", "{}.team.example"),
        "internal_ip": aviary.add("label", "internal_ip of the identity frame", "{}.internal.example"),
    }
    up = {"__name__": "up", **shared}
    for named in (up, frame, {"__name__": _name(aviary), **shared}):
        series[tuple(sorted(named.items()))] = [(at, _bits(1.0)) for at in times]
    for ended, samples in _ended(aviary, shared, times):
        series[tuple(sorted(ended.items()))] = samples
    native_match = {"tenant": aviary.add("source", "source.match of native histograms", "{}/payroll")}
    known = [({**labels, **native_match}, [(at, _bits(1.0)) for at in times]) for labels in (up, frame)]
    return Planted(
        aviary,
        [(dict(labels), samples) for labels, samples in series.items()],
        match,
        [*known, *_native(aviary, {**shared, **native_match}, times)],
        native_match,
        {"site": aviary.add("source", "an external label"), "prometheus_replica": aviary.add("source", "a replica")},
        aviary.add("secret", "the bearer token", "{}.token"),
        aviary.add("secret", "a header", "{}"),
        _render_exposition(aviary),
    )


def _declared(tables: Sequence[str]) -> Iterator[tuple[TableSchema, Metric]]:
    """Yield each declared metric once, whatever becomes of it."""
    done: set[str] = set()
    for name, table in latest_tables().items():
        for metric in table.metrics:
            if metric.name not in done and (not tables or name in tables):
                done.add(metric.name)
                yield table, metric


def _covering() -> Iterator[tuple[TableSchema, Metric]]:
    """Yield of each table the metrics that bring all its label columns, those first whose values are published.

    Not ``up``, by which targets are found: a histogram under that name fails every table.
    """
    for table in latest_tables().values():
        missing = set(table.label_names)
        for metric in sorted(table.metrics, key=lambda each: each.value != "exact"):
            if missing.intersection(metric.labels) and metric.name != "up" and not is_derived(metric.name):
                missing -= set(metric.labels)
                yield table, metric


def _labels(aviary: Aviary, table: TableSchema, metric: Metric, shared: Labels) -> dict[str, str]:
    """Return a series with a canary for each label that the metric may leave by, and one for a label that nobody
    declared, its name included.
    """
    forms = dict(_forms_of(metric.match))
    columns = {column.name: column.source_labels for column in table.labels}
    names = {*forms, *(each for column in metric.labels for each in columns[column])}
    own = {label: aviary.add("label", f"{label} of {metric.name}", forms.get(label)) for label in sorted(names)}
    undeclared = {_name(aviary): aviary.add("undeclared label", f"a label of {metric.name}")}
    return {"__name__": metric.name, **shared, **own, **undeclared}


def _native(aviary: Aviary, shared: Labels, times: Sequence[int]) -> Iterator[tuple[Labels, Mixed]]:
    """Yield series of native histograms. Every third was one of floats first, so that it is read in both forms."""
    for number, (table, metric) in enumerate(_covering()):
        grown = [(at, Histogram({1: place + 1, number % 9 + 2: 3})) for place, at in enumerate(times)]
        floats = [(at, _bits(1.0)) for at in times[: len(times) // 2]] if number % 3 == 2 else []
        yield _labels(aviary, table, metric, shared), [*floats, *grown[len(floats) :]]


def _ended(aviary: Aviary, shared: Labels, times: Sequence[int]) -> Iterator[tuple[Labels, Samples]]:
    """Yield series that end in the lookback before the newest ten minutes: a read has names that no row shows."""
    end = times[-1] - 600_000
    for metric, names in (
        ("kube_pod_status_phase", ("namespace", "pod", "phase")),
        ("node_load1", ("instance", "node")),
    ):
        labels = {name: aviary.add("label", f"{name} of a series of {metric} that ended") for name in names}
        lived = [(at, _bits(1.0)) for at in times if at < end - 60_000]
        yield {"__name__": metric, **shared, **labels}, [*lived, (end - 60_000, STALE)]


def _forms_of(matchers: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the labels that a metric's own matchers bind, and the form that they leave to a canary, if any."""
    for text in matchers:
        label, operator, value = re.fullmatch(r'(\w+)(!?=~?)"(.*)"', text).groups()  # type: ignore[union-attr]
        if operator != "!=":
            yield label, {"jupyter-.*": "jupyter-{}", "eth[0-9]+|net[0-9]+": "eth0"}.get(value, value)


def _name(aviary: Aviary) -> str:
    return aviary.add("undeclared name", "the name of a label or metric that nobody declared", "{}_name")


def _render_exposition(aviary: Aviary) -> str:
    said = aviary.add("scrape", "HELP", "{} of the boss")
    exemplar = aviary.add("scrape", "an exemplar", "{}")
    return (
        f"# HELP http_requests {said}\n# TYPE http_requests counter\n"
        f'http_requests_total{{pod="web-0"}} 7 # {{trace_id="{exemplar}"}} 1\n# EOF\n'
    )


def _bits(value: float) -> int:
    return int(struct.unpack("<Q", struct.pack("<d", value))[0])
