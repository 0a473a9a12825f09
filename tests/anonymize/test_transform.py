"""Raw labels to published columns: what nobody declared stays behind, and nothing raw shows on the way."""

import dataclasses
import json
import re
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anonymize.columns import Codes
from anonymize.identity import IdentityFrame
from anonymize.transform import Report, TableAnonymizer, source_token
from schemas.errors import PrivacyError
from schemas.raw import Raw, open_raw
from tests.anonymize.builders import OTHER_SECRET, a_policy, a_pseudonymizer, a_table, an_anonymizer

RAW = {
    "namespace": "team-a",
    "pod": "web-0",
    "instance": "10.0.0.7:9100",
    "device": "nvme0n1",
    "phase": "Running",
    "cpu": "3",
    "le": "+Inf",
}
COLUMNS = ["series_id", "namespace", "pod", "node", "device", "workload", "phase", "cpu", "le"]
VALUES = st.text(st.characters(), max_size=40) | st.text(st.characters(), min_size=1, max_size=4).map(
    lambda t: t * 1024
)
TOKEN = re.compile(r"[a-z]{1,8}_[a-z2-7]{16}")


def publish(
    *labels: Mapping[str, str],
    metric: str = "pod_cpu",
    by: TableAnonymizer | None = None,
    report: Report | None = None,
) -> list[dict[str, Any]]:
    """Return the published rows of some series."""
    batch = make_columns(by or an_anonymizer(), metric, labels, report or Report())
    batch.validate(full=True)
    return batch.to_pylist()


def make_columns(
    by: TableAnonymizer, metric: str, labels: Sequence[Mapping[str, str]], report: Report
) -> pa.RecordBatch:
    """Hand label sets over as the collector does: by columns of codes and distinct values."""
    columns: dict[str, tuple[Codes, Raw[Sequence[str]]]] = {}
    for name in {name for each in labels for name in each}:
        values = sorted({each[name] for each in labels if name in each})
        codes = [values.index(each[name]) if name in each else -1 for each in labels]
        columns[name] = (np.array(codes, dtype=np.int32), Raw(name, values))
    return by.make_columns(metric, columns, len(labels), report)


def series_id(by: TableAnonymizer, metric: str, labels: Mapping[str, str]) -> str:
    return str(make_columns(by, metric, [labels], Report()).column("series_id")[0])


def one(metric: str = "pod_cpu", *, by: TableAnonymizer | None = None, **changed: str) -> dict[str, Any]:
    """Return the published row of ``RAW`` with some labels changed."""
    return publish(RAW | changed, metric=metric, by=by)[0]


def test_every_column_is_made_safe_in_its_own_way() -> None:
    row = one()

    assert list(row) == COLUMNS
    shapes = {name: value.partition("_")[0] if TOKEN.fullmatch(str(value)) else value for name, value in row.items()}
    assert shapes == {
        "series_id": "s",
        "namespace": "ns",
        "pod": "pod",
        "node": "node",
        "device": "dev",
        "workload": None,
        "phase": "Running",
        "cpu": 3,
        "le": "+Inf",
    }


def test_columns_have_the_types_of_the_table() -> None:
    batch = make_columns(an_anonymizer(), "pod_cpu", [RAW], Report())

    types = dict(zip(batch.schema.names, batch.schema.types, strict=True))
    coded = pa.dictionary(pa.int32(), pa.string())
    assert types == dict.fromkeys(COLUMNS, coded) | {"series_id": pa.string(), "cpu": pa.int32()}
    assert not batch.schema.field("series_id").nullable
    assert batch.schema.metadata is None


def test_labels_that_nobody_declared_are_dropped_and_named() -> None:
    """The names tell the operator what a new exporter brought; their values are seen by the audit alone."""
    report = Report()

    rows = publish(
        RAW | {"email": "somebody@example.org", "uid": "1234"}, RAW | {"image": "registry.example/x"}, report=report
    )

    assert [list(row) for row in rows] == [COLUMNS] * 2
    assert report.dropped_labels == {"email", "uid", "image"}
    assert {"somebody@example.org", "registry.example/x"} <= open_raw(report.raw_values)
    assert "example" not in json.dumps(rows)


def test_a_column_that_the_metric_does_not_carry_is_null_and_the_label_dropped() -> None:
    """A label may be harmless on one metric and a name on another: each metric's own list decides."""
    report = Report()
    labels = RAW | {"owner_name": "web", "owner_kind": "ReplicaSet"}

    info = publish(labels, metric="pod_info", report=report)[0]

    kept = {"series_id", "namespace", "pod", "workload"}
    assert {name for name, value in info.items() if value is not None} == kept
    assert report.dropped_labels == {"instance", "device", "phase", "cpu", "le", "owner_kind"}
    assert not report.outside_vocabulary
    assert one(owner_name="web")["workload"] is None
    assert info["namespace"] == one()["namespace"]


def test_a_label_that_is_dropped_for_one_metric_is_searched_for_there() -> None:
    """``phase`` is plain text where it is declared; elsewhere it may hold anything."""
    declared, undeclared = Report(), Report()
    publish(RAW | {"phase": "made-up-phase"}, report=declared)
    publish(RAW | {"phase": "made-up-phase"}, metric="pod_info", report=undeclared)

    assert "made-up-phase" not in open_raw(declared.raw_values)
    assert "made-up-phase" in open_raw(undeclared.raw_values)


def test_a_word_outside_its_vocabulary_becomes_other_and_is_counted() -> None:
    """Custom reasons and phases exist; their words are somebody's."""
    report = Report()
    words = ["Running", "Succeeded", "running", "Evicted by team-a", "other", ""]

    rows = publish(*({**RAW, "phase": word, "pod": f"p{word}"} for word in words), report=report)

    assert [row["phase"] for row in rows] == ["Running", "Done", "other", "other", "other", None]
    assert report.outside_vocabulary == {"phase": 3}


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("0", 0),
        ("007", 7),
        ("999999999", 999_999_999),
        *((text, None) for text in ("", "-1", "1.0", "cpu0", "1234567890", "1e3", " 1", "1\n", "0x1", "9" * 4000)),
    ],
)
def test_a_number_column_holds_small_whole_numbers(value: str, number: int | None) -> None:
    report = Report()

    row = publish(RAW | {"cpu": value}, report=report)[0]

    assert row["cpu"] == number
    assert report.outside_vocabulary == ({"cpu": 1} if value and number is None else {})


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        *((text, True) for text in ("+Inf", "-Inf", "Inf", "NaN", "0.5", "1e-05", "2.5e+06", "-1", "5.", ".5", "007")),
        *((text, False) for text in ("", "inf", "1_000", "0x10", "1e", "1 ", "1\n", "team-a", "1.2.3", "--1", "e5")),
    ],
)
def test_a_text_number_keeps_prometheus_spelling(value: str, kept: bool) -> None:
    """``le`` and ``quantile`` are joined by their text; anything that is no number is a channel for one."""
    assert one(le=value)["le"] == (value if kept else None)


@pytest.mark.parametrize("value", ["\u0663", "1.\uff15", "\u0967e\u096b"])
def test_only_ascii_digits_are_a_number(value: str) -> None:
    """Prometheus writes no others; the audit's own pattern takes them, too."""
    assert (one(le=value)["le"], one(cpu=value)["cpu"]) == (None, None)


def test_an_absent_and_an_empty_label_are_one() -> None:
    """So they are in Prometheus."""
    assert (
        one(pod="", device="", phase="", cpu="", le="", node="")
        == publish({"namespace": "team-a", "instance": "10.0.0.7:9100"})[0]
    )


def test_equal_names_join_across_metrics_and_differ_across_scopes() -> None:
    cpu, info, elsewhere = one(), one("pod_info"), one(namespace="team-b")

    assert (cpu["namespace"], cpu["pod"]) == (info["namespace"], info["pod"])
    assert cpu["pod"] != elsewhere["pod"]
    assert cpu["node"] == elsewhere["node"]


def test_a_device_is_told_apart_by_its_node_however_that_is_spelt() -> None:
    """Its scope is the canonical node, not the label's text."""
    spellings = ["10.0.0.7:9100", "gpu-7", "GPU-7.lab.example:9400"]
    rows = [one(instance=spelling) for spelling in spellings]

    assert len({(row["node"], row["device"]) for row in rows}) == 1
    assert one(instance="gpu-8")["device"] != rows[0]["device"]


def test_a_column_is_made_from_the_first_of_its_labels_that_a_series_has() -> None:
    """One exporter names a host Hostname and its next release hostname; both must be the same node."""
    first = an_anonymizer()
    column = first.table.labels[2].model_copy(update={"also": ("hostname", "host")})
    labels = tuple(column if each.name == "node" else each for each in first.table.labels)
    by = dataclasses.replace(first, table=first.table.model_copy(update={"labels": labels}))
    report = Report()
    old, new, both = (
        {"instance": "worker-9:1"},
        {"hostname": "worker-9"},
        {"instance": "worker-9", "hostname": "other-8"},
    )

    rows = publish(old, new, both, {"host": "worker-9"}, {"pod": "web-0"}, by=by, report=report)

    assert {row["node"] for row in rows[:4]} == {rows[0]["node"]} != {None}
    assert rows[4]["node"] is None
    assert report.dropped_labels == set()
    assert {"worker-9", "other-8"} <= open_raw(report.raw_values)


def test_a_host_that_is_no_node_gets_a_token_of_another_kind() -> None:
    """An external address must not pass for a machine of the cluster."""
    stranger, kind = one(instance="192.0.2.1:443")["node"], one()["node"]

    assert stranger.startswith("host_")
    assert kind.startswith("node_")
    assert one(instance="192.0.2.1")["node"] == stranger
    alone = an_anonymizer(frame=IdentityFrame(kubernetes=False))
    assert one(by=alone, instance="192.0.2.1")["node"].startswith("node_")


def test_public_names_stay() -> None:
    assert one(namespace="kube-system")["namespace"] == "kube-system"
    assert one(namespace="kube-system2")["namespace"].startswith("ns_")
    assert one(namespace="kube-system")["pod"].startswith("pod_")


def test_a_replica_set_counts_as_its_deployment() -> None:
    def workload(name: str, kind: str) -> object:
        return one("pod_info", owner_name=name, owner_kind=kind)["workload"]

    assert workload("web-6d4cf56db6", "ReplicaSet") == workload("web-75bfd9dc7d", "ReplicaSet")
    assert workload("web-6d4cf56db6", "ReplicaSet") == workload("web", "Deployment")
    assert workload("web-6d4cf56db6", "Job") != workload("web", "Deployment")


def test_a_series_has_one_id_by_both_ways_to_read_it() -> None:
    """Remote read adds the external labels to every series, the query API does not."""
    made = an_anonymizer()
    plain = series_id(made, "pod_cpu", RAW)

    assert series_id(made, "pod_cpu", RAW | {"cluster": "east-1", "prometheus_replica": "0"}) == plain
    assert series_id(made, "pod_cpu", RAW | {"__name__": "pod_cpu"}) == plain
    assert series_id(made, "pod_cpu", RAW | {"job": ""}) == plain
    assert series_id(made, "pod_cpu", dict(reversed(RAW.items()))) == plain


def test_series_that_differ_have_ids_that_differ() -> None:
    """Labels that are not published tell series apart all the same."""
    made = an_anonymizer()
    ids = [
        series_id(made, "pod_cpu", RAW),
        series_id(made, "pod_info", RAW),
        series_id(made, "pod_cpu", RAW | {"uid": "1"}),
        series_id(made, "pod_cpu", RAW | {"uid": "2"}),
        series_id(made, "pod_cpu", {**RAW, "pod": "web", "uid": "-0"}),
        series_id(made, "pod_cpu", {}),
        series_id(an_anonymizer(source="lab-2"), "pod_cpu", RAW),
        series_id(an_anonymizer(secret=OTHER_SECRET), "pod_cpu", RAW),
        series_id(an_anonymizer(ignored_labels=frozenset({"le"})), "pod_cpu", RAW),
    ]

    assert len(set(ids)) == len(ids)


def test_sources_are_apart() -> None:
    """Two clusters have a kube-proxy each."""
    ours, theirs = one(), one(by=an_anonymizer(source="lab-2"))

    tokens = {value for row in (ours, theirs) for value in row.values() if TOKEN.fullmatch(str(value))}
    assert len(tokens) == 10
    assert source_token(a_pseudonymizer(), "lab") != source_token(a_pseudonymizer(), "lab-2")
    assert re.fullmatch(r"src_[a-z2-7]{16}", source_token(a_pseudonymizer(), "lab"))


LABELS = st.dictionaries(
    st.sampled_from([*RAW, "owner_name", "owner_kind", "email", "cluster", "job"]), VALUES, max_size=10
)


@given(labels=st.lists(LABELS, max_size=4), metric=st.sampled_from(["pod_cpu", "pod_info"]))
def test_whatever_labels_hold_nothing_of_it_is_published_or_raised(
    labels: Sequence[Mapping[str, str]], metric: str
) -> None:
    """Every published string is a token, a word of a vocabulary or a number; nothing ever fails on a value."""
    report = Report()

    rows = publish(*labels, metric=metric, report=report)

    for row in rows:
        assert TOKEN.fullmatch(row["series_id"])
        for name in ("namespace", "pod", "node", "device", "workload"):
            assert row[name] is None or TOKEN.fullmatch(row[name]) or row[name] == "kube-system"
        assert row["phase"] in (None, "Running", "Done", "other")
        assert row["cpu"] is None or 0 <= row["cpu"] < 10**9
    shown = repr(report)
    assert not [value for each in labels for value in each.values() if len(value) > 12 and value in shown]


@given(value=VALUES.filter(lambda value: len(value) >= 5))
def test_no_value_is_in_the_text_of_an_error(value: str) -> None:
    """An error is logged, and logs are read by people who must not see names."""
    made = an_anonymizer()
    make_columns(made, "pod_cpu", [{"namespace": value}], Report())
    forged = made.pseudonymizer._made  # what a real collision would have left behind
    for token in forged:
        forged[token] = b"another value"
    again = dataclasses.replace(made, _tokens={})  # the next table of the window

    with pytest.raises(PrivacyError) as caught:
        make_columns(again, "pod_cpu", [{"namespace": value}], Report())

    message = str(caught.value)
    assert message.startswith("two values of domain ")
    assert value not in message
    assert len(traceback.format_exception_only(caught.value)) == 1


@given(labels=st.lists(LABELS, max_size=3))
def test_every_raw_value_is_searched_for_in_the_finished_file(labels: Sequence[Mapping[str, str]]) -> None:
    """Except public words, and columns that hold words or numbers anyway. Short ones are among them: how many there are
    must not show in how many are searched for."""
    report = Report()
    plain = {"phase", "cpu", "le"}

    publish(*labels, report=report)

    wanted = {value for each in labels for name, value in each.items() if name not in plain and value}
    assert open_raw(report.raw_values) == wanted - {"kube-system", "Running", "Succeeded"}


def test_many_series_of_few_names_make_few_strings() -> None:
    """Columns are made once a series, never once a sample; equal values are equal strings."""
    rows = publish(*({**RAW, "cpu": str(number)} for number in range(64)))

    assert len({row["namespace"] for row in rows}) == len({row["pod"] for row in rows}) == 1
    assert len({row["series_id"] for row in rows}) == 64
    assert [row["cpu"] for row in rows] == list(range(64))


def test_no_series_make_empty_columns() -> None:
    batch = make_columns(an_anonymizer(), "pod_cpu", [], Report())

    assert (batch.num_rows, batch.schema.names) == (0, COLUMNS)


def test_a_metric_that_the_table_does_not_declare_is_refused() -> None:
    with pytest.raises(KeyError, match="pod_secrets"):
        publish(RAW, metric="pod_secrets")


def test_a_table_that_the_policy_does_not_cover_is_refused_before_any_value() -> None:
    """A schema alone publishes nothing: the reviewed policy must name every metric, too."""
    rule = a_policy().tables["pod"].model_copy(update={"metrics": ("pod_cpu",)})
    narrow = a_policy().model_copy(update={"tables": {"pod": rule}})

    with pytest.raises(PrivacyError, match=r"does not name metric pod_info of table pod \(1 problems in all\)"):
        an_anonymizer(policy=narrow)
    with pytest.raises(PrivacyError, match="the policy does not name table other"):
        an_anonymizer(table=a_table().model_copy(update={"table": "other"}))


def test_a_report_shows_no_value() -> None:
    report = Report()
    publish(RAW | {"email": "somebody@example.org"}, report=report)

    assert "email" in repr(report)
    assert "somebody" not in repr(report) + str(report)
