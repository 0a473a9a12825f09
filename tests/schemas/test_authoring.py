"""A new table begins refused, a new version begins as a copy, and a difference is told with what it takes."""

import pytest
import yaml

from schemas.authoring import render_next_minor, render_template, tell_difference
from schemas.registry import TABLES, find_table, latest_tables
from schemas.table import TableSchema
from tests.schemas.builders import a_column, a_metric, a_table, a_table_file

METRICS = a_table_file()["metrics"]


def test_a_template_is_refused_until_somebody_has_looked() -> None:
    """It publishes nothing by being saved."""
    content = yaml.safe_load(render_template("acme"))

    with pytest.raises(ValueError, match="marked unreviewed, so nothing of it may be published"):
        TableSchema.model_validate(content)

    del content["unreviewed"]
    assert TableSchema.model_validate(content).table == "acme"


@pytest.mark.parametrize("name", latest_tables())
def test_the_next_minor_version_is_a_copy(name: str) -> None:
    newest = find_table(name)
    text = (TABLES / f"{name}_v{newest.version}.yaml").read_text("utf-8")

    made = TableSchema.model_validate(yaml.safe_load(render_next_minor(newest, text)))

    assert made.version == f"{newest.major}.{newest.minor + 1}"
    assert made.model_copy(update={"version": newest.version}) == newest


def renamed() -> TableSchema:
    labels = [a_column("room", identity="room"), a_column("stove", label="oven", identity="oven"),
              a_column("mode", vocabulary="modes")]  # fmt: skip
    metrics = [METRICS[0] | {"labels": ["room", "stove"]}, METRICS[1]]
    return a_table(labels=labels, sort_key=["room", "stove"], metrics=metrics)


@pytest.mark.parametrize(
    ("newer", "told", "allowed"),
    [
        (a_table(metrics=[*METRICS, a_metric("oven_smoke")]), "metric oven_smoke: added", "a minor version may"),
        (a_table(metrics=[METRICS[0] | {"unit": "kelvin"}, METRICS[1]]),
         "breaks readers: metric oven_heat_celsius: unit changed from 'celsius' to 'kelvin'", "only a new major"),
        (a_table(metrics=[METRICS[0] | {"type": "counter"}, METRICS[1]]),
         "breaks readers: metric oven_heat_celsius: type changed from 'gauge' to 'counter'", "only a new major"),
        (a_table(labels=a_table_file()["labels"][:2], metrics=METRICS[:1]),
         "breaks readers: metric oven_mode: removed", "only a new major"),
        (renamed(), "breaks readers: column oven: renamed to stove", "only a new major"),
    ],
)  # fmt: skip
def test_a_difference_is_told_with_the_version_that_it_takes(newer: TableSchema, told: str, allowed: str) -> None:
    lines = list(tell_difference(a_table(), newer))

    assert told in lines
    assert lines[-1].startswith(allowed)
