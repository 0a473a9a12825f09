"""Within a major version readers may only find more: which changes that allows, and how others are told."""

from typing import Any

import pytest

from schemas.compat import check_registry, compare_tables
from schemas.registry import shipped_tables
from tests.schemas.builders import a_column, a_metric, a_table, a_table_file

FILE = a_table_file()
LABELS, METRICS = FILE["labels"], FILE["metrics"]


def told(**changes: object) -> list[tuple[str, bool]]:
    """Return what comparing the small table with its changed form tells, and whether it breaks readers."""
    return [(str(change), change.breaking) for change in compare_tables(a_table(), a_table(version="1.1", **changes))]


def test_an_unchanged_table_shows_no_change() -> None:
    assert told() == []


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"metrics": [*METRICS, a_metric("oven_smoke")]}, "metric oven_smoke: added"),
        ({"metrics": [METRICS[0], METRICS[1] | {"labels": ["room", "mode"]}]}, "metric oven_mode: got label room"),
        (
            {"metrics": [METRICS[0] | {"meaning": "How hot it is inside."}, METRICS[1]]},
            "metric oven_heat_celsius: meaning changed from",
        ),
        ({"description": "Heat of all ovens."}, "table oven: description changed from"),
        (
            {"metrics": [METRICS[0] | {"exporter": "oven 2.0"}, METRICS[1]]},
            "metric oven_heat_celsius: exporter changed from 'oven 1.0' to 'oven 2.0'",
        ),
    ],
)
def test_additions_and_better_words_are_allowed(changes: dict[str, Any], wanted: str) -> None:
    ((change, breaking),) = told(**changes)

    assert change.startswith(wanted)
    assert not breaking


def test_a_new_label_column_is_allowed() -> None:
    """Older files read as null there."""
    changes = told(
        labels=[*LABELS, a_column("door", number="int32")],
        metrics=[METRICS[0], METRICS[1] | {"labels": ["mode", "door"]}],
    )

    assert changes == [("column door: added", False), ("metric oven_mode: got label door", False)]


def test_another_label_that_stands_in_for_the_first_is_allowed_at_the_end_only() -> None:
    """Series that had a value keep it; only those without one may get one."""

    def made(*also: str) -> list[dict[str, Any]]:
        return [LABELS[0] | {"also": also}, *LABELS[1:]]

    older, newer, turned = (a_table(labels=made(*also)) for also in (("cell",), ("cell", "hall"), ("hall", "cell")))

    assert [(str(change), change.breaking) for change in compare_tables(older, newer)] == [
        ("column room: is also made from label hall", False)
    ]
    assert [(str(change), change.breaking) for change in compare_tables(newer, turned)] == [
        ("column room: also changed from cell, hall to hall, cell", True)
    ]
    assert told(labels=made("cell")) == [("column room: is also made from label cell", False)]


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"metrics": [METRICS[0] | {"labels": ["room", "oven", "mode"]}]}, "metric oven_mode: removed"),
        ({"metrics": [METRICS[0] | {"unit": "kelvin"}, METRICS[1]]}, "unit changed from 'celsius' to 'kelvin'"),
        ({"metrics": [METRICS[0] | {"type": "counter"}, METRICS[1]]}, "type changed from 'gauge' to 'counter'"),
        ({"metrics": [METRICS[0] | {"value": "bucket"}, METRICS[1]]}, "value changed from 'exact' to 'bucket'"),
        ({"metrics": [METRICS[0] | {"match": ['job="a"']}, METRICS[1]]}, 'match changed from none to job="a"'),
        (
            {"metrics": [*METRICS[:1], METRICS[1] | {"labels": ["mode"]}], "sort_key": ["oven"]},
            "sort_key changed from room, oven to oven",
        ),
        ({"family": "ml"}, "table oven: family changed from 'ops' to 'ml'"),
        (
            {"labels": [LABELS[0] | {"identity": "house"}, *LABELS[1:]]},
            "column room: identity changed from 'room' to 'house'",
        ),
        (
            {"labels": [*LABELS[:2], LABELS[2] | {"vocabulary": "moods"}]},
            "column mode: vocabulary changed from 'modes' to 'moods'",
        ),
        ({"labels": [*LABELS[:2], LABELS[2] | {"label": "state"}]}, "column mode: label changed from None to 'state'"),
        ({"labels": [LABELS[1], LABELS[0], LABELS[2]]}, "table oven: label columns stand in another order"),
    ],
)
def test_what_changes_the_meaning_of_published_data_breaks(changes: dict[str, Any], wanted: str) -> None:
    found = told(**changes)

    assert [breaking for text, breaking in found if wanted in text] == [True]


def test_a_renamed_column_is_told_as_renamed() -> None:
    labels = [*LABELS[:2], a_column("program", label="mode", vocabulary="modes")]

    found = told(labels=labels, metrics=[METRICS[0], METRICS[1] | {"labels": ["program"]}])

    assert ("column mode: renamed to program", True) in found
    assert ("metric oven_mode: lost label mode", True) in found


def test_a_removed_column_is_told_as_removed() -> None:
    found = told(labels=LABELS[:2], metrics=[METRICS[0], METRICS[1] | {"labels": ["room"]}])

    assert ("column mode: removed", True) in found


def test_minor_versions_only_add() -> None:
    grown = a_table(version="1.1", metrics=[*METRICS, a_metric("oven_smoke")])
    shrunk = a_table(version="1.2")

    assert check_registry([grown, a_table()]) == []
    assert check_registry([shrunk, grown, a_table()]) == [
        "table oven 1.2 is not compatible with 1.1: metric oven_smoke: removed"
        " (a minor version only adds: undo it, or name the version 2.0)"
    ]


def test_a_major_version_may_change_anything() -> None:
    changed = a_table(version="2.0", metrics=[METRICS[0] | {"unit": "kelvin"}, METRICS[1]])

    assert check_registry([a_table(), changed]) == []


def test_minor_versions_are_ordered_as_numbers() -> None:
    """1.10 comes after 1.9, whatever the file names' order says."""
    ninth, tenth = a_table(version="1.9"), a_table(version="1.10", metrics=[*METRICS, a_metric("oven_smoke")])

    assert check_registry([tenth, ninth]) == []


def test_one_version_stands_once() -> None:
    assert check_registry([a_table(), a_table()]) == ["table oven has version 1.0 twice; wanted each version once"]


def test_the_shipped_versions_are_compatible() -> None:
    assert check_registry(shipped_tables()) == []
