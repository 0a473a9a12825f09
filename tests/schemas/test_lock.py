"""A released table version never changes: the lock notices, and tells what changed."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas import lock
from schemas.lock import check_lock, render_lock
from schemas.registry import LOCK, TABLES, read_table, shipped_tables
from schemas.table import TableSchema
from tests.schemas.builders import a_metric, a_table, a_table_file

Edit = Callable[[dict[str, Any]], None]
METRICS = a_table_file()["metrics"]


def changed_copy(folder: Path, name: str, edit: Edit) -> TableSchema:
    """Return a shipped table from a copy of its file after an edit."""
    path = folder / name
    shutil.copy(TABLES / name, path)
    content = yaml.safe_load(path.read_text())
    edit(content)
    path.write_text(yaml.safe_dump(content))
    return read_table(path)


def with_table(table: TableSchema) -> list[TableSchema]:
    """Return the shipped tables, one of them replaced."""
    named = (table.table, table.version)
    return [table if named == (each.table, each.version) else each for each in shipped_tables()]


def test_the_shipped_tables_are_what_was_released() -> None:
    text = LOCK.read_text("utf-8")

    assert check_lock(shipped_tables(), text) == []
    assert render_lock(shipped_tables()) == text


def drop_metric(content: dict[str, Any]) -> None:
    content["metrics"] = [metric for metric in content["metrics"] if metric["name"] != "node_load1"]


def change_unit(content: dict[str, Any]) -> None:
    content["metrics"][0]["unit"] = "milliseconds"


def change_type(content: dict[str, Any]) -> None:
    content["metrics"][1]["type"] = "counter"


def rename_label(content: dict[str, Any]) -> None:
    content["labels"][0]["name"] = content["sort_key"][0] = "machine"
    for metric in content["metrics"]:
        metric["labels"][0] = "machine"


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (drop_metric, "metric node_load1: removed"),
        (change_unit, "metric node_cpu_seconds_total: unit changed from 'seconds' to 'milliseconds'"),
        (change_type, "metric node_load1: type changed from 'gauge' to 'counter'"),
        (rename_label, "column node: renamed to machine"),
    ],
)
def test_a_changed_release_is_told_with_what_changed_and_what_to_do(tmp_path: Path, edit: Edit, told: str) -> None:
    table = changed_copy(tmp_path, "node_v1.0.yaml", edit)

    (message,) = check_lock(with_table(table), LOCK.read_text("utf-8"))

    assert message.startswith("table node 1.0 was released and has changed: ")
    assert told in message
    assert message.endswith("(a released version stays: restore it, add a major version)")


def test_an_addition_wants_only_a_minor_version() -> None:
    grown = a_table(metrics=[*METRICS, a_metric("oven_smoke")])

    assert check_lock([grown], render_lock([a_table()])) == [
        "table oven 1.0 was released and has changed: metric oven_smoke: added"
        " (a released version stays: restore it, add a minor version)"
    ]


def test_even_the_order_of_metrics_is_held() -> None:
    turned = a_table(metrics=METRICS[::-1])

    (message,) = check_lock([turned], render_lock([a_table()]))

    assert "in the order of its metrics" in message


def test_a_new_minor_version_beside_the_released_one_is_only_to_be_locked() -> None:
    grown = a_table(version="1.1", metrics=[*METRICS, a_metric("oven_smoke")])

    assert check_lock([a_table(), grown], render_lock([a_table()])) == [
        "table oven 1.1 is not in tables.lock; run python -m schemas.lock to add it"
    ]


def test_a_released_version_cannot_vanish() -> None:
    """Who downloaded data of that version must still find what its columns mean."""
    assert check_lock([], render_lock([a_table()])) == [
        "table oven 1.0 was released and is gone; restore oven_v1.0.yaml"
    ]


@pytest.mark.parametrize(
    ("break_it", "told"),
    [
        (lambda text: text.replace('"celsius"', '"kelvin"'), "line 1: content, digest and name of oven do not belong"),
        (lambda text: text.replace('"version":"1.0"}', '"version":"1.7"}'), "line 1: content, digest and name of oven"),
        (lambda text: text + text, "line 2: table oven 1.0 stands here for the second time"),
        (lambda text: text + "<<<<<<< HEAD\n", "line 2: the line: Invalid JSON"),
    ],
)
def test_a_lock_that_was_edited_by_hand_is_noticed(break_it: Callable[[str], str], told: str) -> None:
    """Else the change of a table could be hidden by the same change in the lock."""
    found = check_lock([a_table()], break_it(render_lock([a_table()])))

    assert told in found[0]


def test_the_lock_is_the_same_whatever_the_order() -> None:
    assert render_lock(reversed(shipped_tables())) == render_lock(shipped_tables())


def test_locking_adds_new_versions_and_refuses_changed_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tables.lock"
    monkeypatch.setattr(lock, "LOCK", path)
    grown = a_table(version="1.1", metrics=[*METRICS, a_metric("oven_smoke")])

    codes = []
    for shipped in ([a_table()], [a_table(), grown], [a_table(family="ml"), grown]):
        monkeypatch.setattr(lock, "shipped_tables", lambda shipped=shipped: tuple(shipped))
        codes.append(lock.main())

    assert codes == [0, 0, 2]
    assert path.read_text("utf-8") == render_lock([a_table(), grown])
    assert "table oven 1.0 was released and has changed: table oven: family" in capsys.readouterr().err
