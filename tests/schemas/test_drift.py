"""What a server offers against what a schema declares: unknown is never taken for the same."""

import pytest

from schemas.drift import check_type, find_new_labels, find_types
from schemas.label_classes import read_label_classes
from schemas.table import Metric
from tests.schemas.builders import a_metric


def declared(name: str = "x", **fields: object) -> Metric:
    return Metric.model_validate(a_metric(name, **fields))


@pytest.mark.parametrize(
    ("metric", "wanted"),
    [
        ("kube_pod_info", ("gauge",)),
        ("requests_seconds_bucket", ("histogram",)),
        ("requests_seconds_count", ("histogram",)),
        ("orders_total", ("counter",)),  # OpenMetrics enters it without the ending
        ("plain_total", ("counter", "gauge")),
        ("strange", ()),
        ("nobody", ()),
    ],
)
def test_types_are_found_as_servers_enter_them(metric: str, wanted: tuple[str, ...]) -> None:
    metadata = {
        "kube_pod_info": {"gauge"},
        "requests_seconds": {"histogram"},
        "orders": {"counter"},
        "plain_total": {"counter", "gauge"},
        "strange": {"<b>quite secret</b>"},
    }

    assert find_types(metric, metadata) == wanted


@pytest.mark.parametrize(
    ("type_", "found", "wanted"),
    [
        ("counter", ["counter"], "same"),
        ("counter", ["gauge"], "differs"),
        ("counter", ["counter", "gauge"], "differs"),
        ("info", ["gauge"], "same"),
        ("info", ["counter"], "differs"),
        ("histogram", ["summary"], "differs"),
        ("gauge", [], "unknown"),
        ("gauge", ["unknown"], "unknown"),
        ("untyped", ["gauge"], "same"),
    ],
)
def test_a_type_is_the_same_only_where_somebody_said_so(type_: str, found: list[str], wanted: str) -> None:
    assert check_type(declared(type=type_), found) == wanted


def test_a_label_is_new_until_it_has_a_class() -> None:
    """What is dropped by a decision is no news; what nobody has looked at is."""
    metric = declared(exporter="kube-state-metrics 2.20.0")

    assert find_new_labels(metric, ["uid", "instance", "cluster", "gadget"], read_label_classes()) == ("gadget",)
