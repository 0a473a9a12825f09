"""Tables of an operator's own are held to every rule of the shipped ones, and take nothing from them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.errors import PublisherError, UsageError
from schemas.lock import extend_lock
from schemas.own_tables import OWN_CLASSES, read_registry
from schemas.registry import LOCK, shipped_registry
from tests.schemas.builders import a_column, a_metric, a_table_file

CLASSES = {
    "exporters": {
        "oven": {
            "about": "Ovens of all rooms.",
            "names": ["oven"],
            "labels": [
                {"class": "tenant", "why": "Somebody named it.", "labels": ["room", "oven"]},
                {"class": "public", "why": "Words of the manual.", "labels": ["mode"]},
                {"class": "person", "why": "Who bakes.", "labels": ["baker"]},
            ],
        }
    }
}


def write(folder: Path, *tables: dict[str, Any], classes: dict[str, Any] | None = CLASSES) -> Path:
    for table in tables:
        (folder / f"{table['table']}_v{table['version']}.yaml").write_text(yaml.safe_dump(table))
    if classes:
        (folder / OWN_CLASSES).write_text(yaml.safe_dump(classes))
    return folder


def test_own_tables_stand_beside_the_shipped_ones(tmp_path: Path) -> None:
    grown = a_table_file(version="1.1", metrics=[*a_table_file()["metrics"], a_metric("oven_smoke", labels=["oven"])])

    registry = read_registry(write(tmp_path, a_table_file(), grown))

    assert registry.own == {"oven"}
    assert registry.find("oven").version == "1.1"
    assert registry.find("oven", "1.0").metrics != registry.find("oven").metrics
    assert {*registry.latest} - {"oven"} == {*shipped_registry().latest}
    assert shipped_registry().own == frozenset()


def shadow(table: dict[str, Any]) -> None:
    table["table"] = "node"


def take_metric(table: dict[str, Any]) -> None:
    table["metrics"][0]["name"] = "node_load1"


def call_it_ours(table: dict[str, Any]) -> None:
    table["metrics"][0]["name"] = "opscommons_heat"


def publish_a_person(table: dict[str, Any]) -> None:
    table["labels"].append(a_column("baker", identity="oven"))
    table["metrics"][0]["labels"].append("baker")


def forget_a_class(table: dict[str, Any]) -> None:
    table["labels"].append(a_column("tint", vocabulary="modes"))
    table["metrics"][0]["labels"].append("tint")


def leave_unreviewed(table: dict[str, Any]) -> None:
    table["unreviewed"] = True


@pytest.mark.parametrize(
    ("edit", "told", "code"),
    [
        (shadow, "there is a shipped table node; choose another name", 2),
        (take_metric, "table oven names node_load1, which table node has", 2),
        (call_it_ours, "names that begin with opscommons_ are those we make", 2),
        (publish_a_person, "label baker of oven is person (Who bakes) and would leave as a pseudonym; it may not", 5),
        (forget_a_class, "label tint of oven has no class", 5),
        (leave_unreviewed, "is marked unreviewed, so nothing of it may be published", 2),
    ],
)
def test_what_may_not_be_is_refused_with_the_reason(
    tmp_path: Path, edit: Callable[[dict[str, Any]], None], told: str, code: int
) -> None:
    """CI holds the shipped tables to the rules; nobody else would hold an operator's."""
    table = a_table_file()
    edit(table)

    with pytest.raises(PublisherError) as refused:
        read_registry(write(tmp_path, table))

    assert told in str(refused.value)
    assert refused.value.exit_code == code


def test_a_minor_version_that_takes_something_away_is_refused(tmp_path: Path) -> None:
    less = a_table_file(version="1.1", metrics=a_table_file()["metrics"][1:])
    less["labels"], less["sort_key"] = less["labels"][2:], []

    with pytest.raises(PublisherError, match=r"table oven 1\.1 is not compatible with 1\.0"):
        read_registry(write(tmp_path, a_table_file(), less))


@pytest.mark.parametrize("name", ["kube-state-metrics", "node_exporter 9"])
def test_an_exporter_that_is_known_cannot_be_classed_anew(tmp_path: Path, name: str) -> None:
    """Else a folder could call a label of users public."""
    entry = CLASSES["exporters"]["oven"] | {"names": [name]}

    with pytest.raises(PublisherError, match="which the shipped catalogue has"):
        read_registry(write(tmp_path, a_table_file(), classes={"exporters": {"oven": entry}}))


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(PublisherError, match="is not a folder"):
        read_registry(tmp_path / "none")


def test_a_locked_version_cannot_change_and_the_next_one_still_can(tmp_path: Path) -> None:
    """Snapshots and releases name it: what its columns mean must not depend on when the folder is read."""
    write(tmp_path, a_table_file())
    (locked,) = extend_lock(tmp_path / LOCK.name, [read_registry(tmp_path).find("oven")])
    grown = a_table_file(version="1.1", metrics=[*a_table_file()["metrics"], a_metric("oven_smoke", labels=["oven"])])
    write(tmp_path, grown)

    assert locked.version == "1.0"
    assert read_registry(tmp_path).find("oven").version == "1.1"
    write(tmp_path, a_table_file(description="Ovens, told in other words."))
    with pytest.raises(UsageError, match=r"table oven 1\.0 was released and has changed: table oven: description"):
        read_registry(tmp_path)
    (tmp_path / "oven_v1.0.yaml").unlink()
    with pytest.raises(UsageError, match=r"table oven 1\.0 was released and is gone; restore oven_v1\.0\.yaml"):
        read_registry(tmp_path)
