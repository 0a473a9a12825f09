"""What a table schema may not say, and what a person reads who tries."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from schemas.arrow import data_schema, series_schema, staged_schema
from schemas.errors import UsageError
from schemas.registry import read_table
from tests.schemas.builders import a_column, a_metric, a_table, a_table_file


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"metrics": [a_metric("oven_.*", labels=["room", "oven", "mode"])]}, "String should match pattern"),
        ({"metrics": [a_metric('{__name__=~"oven.+"}')]}, "String should match pattern"),
        (
            {"metrics": [a_metric("oven_heat", labels=["room", "oven", "mode"], value="keep")]},
            "Input should be 'exact'",
        ),
        (
            {"metrics": [a_metric("oven_heat", labels=["room", "oven", "mode"], match=["job=hub"])]},
            "should match pattern",
        ),
        ({"metrics": [a_metric("a", labels=["room", "oven", "mode"]), a_metric("a")]}, "a metric is declared twice"),
        ({"metrics": [a_metric("oven_heat", labels=["room", "oven", "mode", "door"])]}, "name the labels ['door']"),
        ({"metrics": [a_metric("oven_heat", labels=["room", "oven"])]}, "no metric carries the label columns ['mode']"),
        ({"sort_key": ["room", "door"]}, "sort_key names ['door']"),
        ({"version": "1"}, "String should match pattern"),
        ({"owner": "me"}, "Extra inputs are not permitted"),
        ({"description": "No full stop"}, "String should match pattern"),
    ],
)
def test_a_schema_that_says_too_much_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        a_table(**changes)

    assert told in str(refusal.value)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"identity": "room", "vocabulary": "modes"}, "found 2 of identity, vocabulary, number; wanted exactly one"),
        ({}, "found 0 of identity, vocabulary, number; wanted exactly one"),
        ({"number": "float"}, "Input should be 'int32' or 'text'"),
        ({"keep": True}, "Extra inputs are not permitted"),
        ({"identity": "room", "also": ["room"]}, "also names a label twice, or the one that comes first anyway"),
        ({"identity": "room", "also": ["cell", "cell"]}, "also names a label twice"),
        ({"identity": "room", "also": ["cell.*"]}, "String should match pattern"),
    ],
)
def test_a_column_says_in_exactly_one_way_how_it_is_made_safe(fields: dict[str, Any], told: str) -> None:
    """There is no "keep": a label that is neither pseudonym, vocabulary nor number does not leave."""
    with pytest.raises(ValidationError) as refusal:
        a_table(labels=[a_column("room", **fields)])

    assert told in str(refusal.value)


def test_no_label_column_can_take_a_name_of_the_format() -> None:
    """A second column of one name makes a Parquet file that no reader can address."""
    taken = {name for name in series_schema(a_table()).names if name not in a_table().label_names}
    taken |= {name for name in staged_schema(a_table()).names if name not in a_table().label_names}
    taken |= {"date", "source", "table"}

    for name in sorted(taken):
        with pytest.raises(ValidationError, match="the format itself takes that name"):
            a_table(labels=[a_column(name, identity="room")])


def test_a_label_with_a_name_of_the_format_is_published_under_another() -> None:
    column = a_column("heat_unit", label="unit", vocabulary="units")
    table = a_table(labels=[column], sort_key=[], metrics=[a_metric("oven_heat", labels=["heat_unit"])])

    assert table.labels[0].source_label == "unit"
    assert data_schema(table).names == ["timestamp", "series_id", "heat_unit", "value"]


def test_a_column_may_be_made_from_the_first_of_several_labels() -> None:
    """Exporters rename labels, and scrapes prefix them with exported_."""
    column = a_column("room", label="exported_room", also=["room", "chamber"], identity="room")
    table = a_table(labels=[column], sort_key=[], metrics=[a_metric("oven_heat", labels=["room"])])

    assert table.labels[0].source_label == "exported_room"
    assert table.labels[0].source_labels == ("exported_room", "room", "chamber")


def test_a_column_without_other_labels_is_digested_as_before_there_were_any() -> None:
    """Else the locked digest of every released version would change."""
    assert "also" not in a_table().model_dump(mode="json", exclude_defaults=True)["labels"][0]


def test_the_error_names_file_and_field(tmp_path: Path) -> None:
    path = tmp_path / "oven_v1.0.yaml"
    path.write_text(yaml.safe_dump(a_table_file(metrics=[a_metric("oven_.*")])))

    with pytest.raises(UsageError, match=r"^oven_v1\.0\.yaml: metrics\.0\.name: String should match pattern"):
        read_table(path)


def test_a_file_is_named_after_the_table_and_version_in_it(tmp_path: Path) -> None:
    """Else two files could hold the same version, and one would win unseen."""
    path = tmp_path / "oven_v1.1.yaml"
    path.write_text(yaml.safe_dump(a_table_file()))

    with pytest.raises(UsageError, match=r"oven_v1\.1\.yaml holds table oven 1\.0; name the file oven_v1\.0\.yaml"):
        read_table(path)


@pytest.mark.parametrize("text", ["table: [", "table: oven\ntable: stove\n", "? [a]\n: b\n"])
def test_a_file_that_is_not_plain_yaml_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "oven_v1.0.yaml"
    path.write_text(text)

    with pytest.raises(UsageError, match=r"^oven_v1\.0\.yaml"):
        read_table(path)
