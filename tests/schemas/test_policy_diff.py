"""A change of policy is told in words, by what readers could see then: nobody reviews a digest."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from schemas.policy_diff import PolicyChange, compare_policies
from schemas.policy_view import PolicyView, tell_domain, view_policy
from schemas.registry import latest_tables, read_policy
from tests.schemas.builders import a_column, a_metric, a_policy, a_policy_file, a_table, a_table_file

ROOM, OVEN, MODE = (a_table_file()["labels"][index] for index in range(3))
HEAT = a_metric("oven_heat_celsius", labels=["room", "oven"])


def told(
    change_policy: Callable[[dict[str, Any]], object] = lambda file: None, **table: object
) -> tuple[tuple[str, bool], ...]:
    """Return what a changed policy, or a changed table, publishes otherwise, and whether it is more."""
    file = a_policy_file()
    change_policy(file)
    before = view_policy(a_policy(), [a_table()])
    after = view_policy(a_policy(**file), [a_table(**table)])
    return tuple((str(change), change.widens) for change in compare_policies(before, after))


def test_nothing_is_told_of_equal_policies() -> None:
    """Owners, reasons and dates change nothing that is published."""

    def review(file: dict[str, Any]) -> None:
        file["tables"]["oven"] |= {"reviewed": "2027-01-01", "owner": "somebody else"}
        file["version"] = 2

    assert told() == told(review) == ()


def test_a_metric_more_is_told_with_all_that_comes_with_it() -> None:
    def name(file: dict[str, Any]) -> None:
        file["tables"]["oven"]["metrics"].append("oven_smoke")

    smoke = a_metric("oven_smoke", labels=["room", "mode"], value="bucket")

    assert told(name, metrics=[*a_table_file()["metrics"], smoke]) == (
        (
            "now published: metric oven_smoke of table oven, values rounded up to a bucket, with room (pseudonym of "
            "room), mode (vocabulary modes)",
            True,
        ),
    )
    assert told(metrics=[*a_table_file()["metrics"], smoke]) == ()  # a schema alone publishes nothing


def test_a_metric_less_is_told() -> None:
    def unname(file: dict[str, Any]) -> None:
        file["tables"]["oven"]["metrics"].remove("oven_mode")

    assert told(unname) == (("no longer published: metric oven_mode of table oven", False),)


def test_a_label_more_or_less_is_told_once_for_all_metrics() -> None:
    metrics = [a_metric("oven_heat_celsius", labels=["room", "shelf"]), a_metric("oven_mode", labels=["mode", "shelf"])]
    labels = [ROOM, MODE, a_column("shelf", number="int32")]

    assert told(labels=labels, sort_key=["room"], metrics=metrics) == (
        ("no longer published: label oven of table oven, on oven_heat_celsius", False),
        ("now published: label shelf of table oven, as number, on oven_heat_celsius, oven_mode", True),
    )


def test_another_treatment_of_a_label_is_told() -> None:
    mode = a_column("mode", identity="oven")
    room = a_column("room", label="building", identity="room")

    assert told(labels=[room, OVEN, mode]) == (
        ("label room of table oven: was made from room, now from building", True),
        ("label mode of table oven: was vocabulary modes, now pseudonym of oven", True),
    )


@pytest.mark.parametrize(
    ("value", "words", "widens"),
    [
        ("bucket", "rounded up to a bucket", False),
        ("age", "as an age in minutes", False),
        ("blank_to_null", "exact, placeholders null", True),
    ],
)
def test_another_treatment_of_values_is_told(value: str, words: str, widens: bool) -> None:
    heat = HEAT | {"value": value}

    assert told(metrics=[heat, a_table_file()["metrics"][1]]) == (
        (f"values of metric oven_heat_celsius of table oven: were exact, now {words}", widens),
    )


def test_words_more_and_less_are_told_by_name() -> None:
    def change(file: dict[str, Any]) -> None:
        file["vocabularies"]["modes"]["members"] = {"bake": "heat", "toast": "toast"}

    assert told(change) == (
        ("no longer published, but as other: grill of modes", False),
        ("now published in clear: toast of modes", True),
        ("bake of modes: was published as bake, now as heat", True),
    )


def test_long_lists_are_cut_and_counted() -> None:
    def change(file: dict[str, Any]) -> None:
        file["vocabularies"]["modes"]["members"] += [f"mode{number:02}" for number in range(20)]

    ((what, _),) = told(change)

    assert what.startswith("now published in clear: mode00, mode01, ")
    assert what.endswith(", mode11 and 8 more of modes")


@pytest.mark.parametrize(
    ("domain", "what", "widens"),
    [
        ({"scope": []}, "pseudonyms of oven: were told apart by room, now by nothing", True),
        ({"prefix": "ov"}, "pseudonyms of oven: began with oven, now ov; none of them joins older releases", False),
        ({"canonical": "workload"}, "pseudonyms of oven: were compared as exact, now workload; none of them", False),
        ({"public": "modes"}, "pseudonyms of oven: words of no list stayed as they are, now those of modes", True),
    ],
)
def test_other_pseudonyms_are_told(domain: dict[str, object], what: str, widens: bool) -> None:
    def change(file: dict[str, Any]) -> None:
        file["domains"]["oven"] |= domain

    ((found, more),) = told(change)

    assert found.startswith(what)
    assert more == widens


def test_a_release_without_its_policy_is_compared_by_metrics_and_labels() -> None:
    before = replace(view_policy(a_policy(), [a_table()]), domains=None, vocabularies=None)
    file = a_policy_file(vocabularies={"modes": {"source": "the manual", "members": ["boil"]}})
    file["tables"]["oven"]["metrics"].remove("oven_mode")
    after = view_policy(a_policy(**file), [a_table()])

    assert [str(change) for change in compare_policies(before, after)] == [
        "no longer published: metric oven_mode of table oven"
    ]


def test_a_change_has_a_place_as_in_the_file() -> None:
    change = PolicyChange("tables.oven.mode", "now published: label mode", widens=True)

    assert str(change) == "now published: label mode"
    places = {change.place for change in compare_policies(EMPTY, view_policy(a_policy(), [a_table()]))}
    assert places == {"tables.oven.oven_heat_celsius", "tables.oven.oven_mode"}


@pytest.mark.parametrize(
    ("before", "after", "what", "widens"),
    [
        (None, {}, "now hidden where few share them: words of modes", False),
        ({}, None, "no longer hidden where few share them: words of modes", True),
        (
            {},
            {"dominance": 0.9},
            "words of modes: a word is shown if at least k of oven have it, of 3 or more of room, none with more than "
            "80 %; now a word is shown if at least k of oven have it, of 3 or more of room, none with more than 90 %",
            True,
        ),
        (
            {},
            {"contributors": 4},
            "words of modes: a word is shown if at least k of oven have it, of 3 or more of room, none with more than "
            "80 %; now a word is shown if at least k of oven have it, of 4 or more of room, none with more than 80 %",
            False,
        ),
    ],
)
def test_a_change_of_when_words_are_shown_is_told(
    before: dict[str, Any] | None, after: dict[str, Any] | None, what: str, widens: bool
) -> None:
    """A rule that is gone shows the words of the rare: somebody should look."""

    def view(rule: dict[str, Any] | None) -> PolicyView:
        groups = (
            {"modes": {"of": ["oven"], "contributor": "room", "why": "One room may bake so."} | rule}
            if rule is not None
            else {}
        )
        return view_policy(a_policy(small_groups=groups), [a_table()])

    (change,) = compare_policies(view(before), view(after))

    assert (str(change), change.widens) == (what, widens)


EMPTY = PolicyView("none", "sha256:0", (), domains=None, vocabularies=None)


def test_a_view_names_every_metric_and_column_that_the_shipped_policy_publishes() -> None:
    """The sum of all that may leave: nothing of it may be missing where people look."""
    policy, tables = read_policy("default"), latest_tables()
    view = view_policy(policy, tables.values())

    assert {(metric.table, metric.name) for metric in view.metrics} == {
        (name, metric) for name, rule in policy.tables.items() for metric in rule.metrics
    }
    for metric in view.metrics:
        schema = tables[metric.table].metric(metric.name)
        assert tuple(column.name for column in metric.columns) == schema.labels
        assert all(column.treatment.startswith(("pseudonym of ", "vocabulary ", "number")) for column in metric.columns)
    assert set(view.domains or ()) == set(policy.domains)
    assert set(view.vocabularies or ()) == set(policy.vocabularies)


def test_a_domain_is_told_in_words() -> None:
    policy = a_policy(
        domains={
            "room": {"prefix": "room", "canonical": "host", "unmatched": "oven", "meaning": "A room by its name."},
            "oven": {"prefix": "oven", "scope": ["room"], "public": "modes", "meaning": "An oven of a room."},
        }
    )

    assert [tell_domain(name, domain) for name, domain in policy.domains.items()] == [
        "room_…; of oven where the cluster knows no such room",
        "oven_…, told apart by room; words of modes stay as they are",
    ]
