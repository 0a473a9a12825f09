"""How what a server offers may differ from what a schema declares: types that changed, labels nobody has seen. Pure."""

from collections.abc import Collection, Mapping
from typing import Final, Literal

from schemas.label_classes import RUNTIME, LabelCatalogue
from schemas.table import Metric

TypeCheck = Literal["same", "differs", "unknown"]
"""``unknown``: the server's metadata has no entry for the metric. That is never taken for the same."""

TYPES: Final = frozenset(
    {"counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset", "unknown", "untyped"}
)
"""The words of Prometheus's metadata API; any other is no type."""
_SAYS_NOTHING: Final = frozenset({"unknown", "untyped"})
_ALSO: Final[Mapping[str, frozenset[str]]] = {
    "info": frozenset({"info", "gauge", "stateset"}),  # the text format has no word for it
    "gauge": frozenset({"gauge", "stateset"}),
    "untyped": TYPES,
}
_PARTS: Final = ("_bucket", "_sum", "_count", "_total")


def find_types(metric: str, metadata: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """Return the types that a server's metadata gives a metric, sorted; none where it has no entry.

    Parts of a histogram are entered under the name of the whole, and OpenMetrics counters without ``_total``.
    """
    names = [metric, *(metric.removesuffix(part) for part in _PARTS if metric.endswith(part))]
    for name in names:
        if found := {type_ for type_ in metadata.get(name, ()) if type_ in TYPES}:
            return tuple(sorted(found))
    return ()


def check_type(metric: Metric, found: Collection[str]) -> TypeCheck:
    """Return whether types found are the declared one. Of several targets that disagree, one other makes a difference.

    >>> declared = Metric(name="a", type="counter", unit="count", exporter="x", meaning="Says something.")
    >>> [check_type(declared, found) for found in (["counter"], ["counter", "gauge"], ["untyped"], [])]
    ['same', 'differs', 'unknown', 'unknown']
    """
    told = set(found) - _SAYS_NOTHING
    if not told:
        return "unknown"
    return "same" if told <= _ALSO.get(metric.type, {metric.type}) else "differs"


def find_new_labels(metric: Metric, dropped: Collection[str], catalogue: LabelCatalogue) -> tuple[str, ...]:
    """Return the labels that came with a metric, were dropped, and that nobody has given a class.

    Those that client libraries add to every metric have theirs under the exporter ``runtime``.
    """
    exporter = catalogue.find_exporter(metric) or RUNTIME
    known = (exporter, RUNTIME)
    return tuple(sorted(name for name in dropped if not any(catalogue.find(each, name) for each in known)))
