"""What succeeds tells as little as what breaks: from source to public store, no canary is in anything written."""

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from schemas.derived import is_derived
from schemas.registry import latest_tables
from tests.canaries.test_breaking import HTTP, VERSION, Place, breaker, place
from tests.store.places import FULL

__all__ = ["breaker", "place"]  # pytest finds them here

LOOKING = (("plan",), ("doctor", "--json"))
PUBLISHING = (
    ("release", VERSION),
    ("audit", f"work/releases/{VERSION}"),
    ("publish", VERSION),
    ("verify", VERSION),
    ("gc", "--json"),
    ("key", "show"),
)


def commits(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in folder.glob("staging/commits/**/*.json")]


@pytest.mark.parametrize(
    ("read", "tables", "others"),
    [("remote-read", "all", LOOKING), (HTTP, ["pod", "node"], (*LOOKING, *PUBLISHING))]
    if not FULL
    else [(read, "all", (*LOOKING, *PUBLISHING)) for read in ("remote-read", HTTP)],
)
@pytest.mark.parametrize("log", ["text", "json"] if FULL else ["text"])
def test_no_canary_is_in_anything_that_a_successful_run_writes_or_says(
    place: Place, read: str, tables: Sequence[str] | str, others: Sequence[tuple[str, ...]], log: str
) -> None:
    """One for every label of every metric of every table, and for every other channel of a source."""
    place.configure(read, tables=tables)
    run = place.root / "run"
    told = ""
    for command in (("snapshot", *place.source.span), *others):
        argument = [str(run / part) if part.startswith("work/") else part for part in command]
        code = place.run(*argument, log=log)
        assert code == 0 or (command[0] == "doctor" and code == 3), place.told
        told += place.told

    assert not place.source.scanner.find(told.encode())
    assert place.leaks() == {}
    written = run.glob(f"public/releases/{VERSION}/data/**/*.parquet" if len(others) > 2 else "staging/data/**/*")
    assert len(list(written)) > 20
    read_metrics = {each["metric"] for record in commits(run) for each in record["coverage"] if each["series"]}
    declared = {
        metric.name
        for name, table in latest_tables().items()
        for metric in table.metrics
        if not is_derived(metric.name) and (tables == "all" or name in tables)
    }
    assert declared - read_metrics == set(), "its canaries were not even read"


def test_every_canary_was_there_to_be_found(place: Place) -> None:
    """The scanner finds each of them in what the server itself says; an absent one would prove nothing."""
    source, scanner = place.source, place.source.scanner
    begin, end = (f"{at:%FT%TZ}" for at in (source.end - timedelta(hours=1), source.end))
    status, said = source.server.get(f"/api/v1/series?match[]=%7B__name__%21%3D%22%22%7D&start={begin}&end={end}")

    assert status == 200
    planted = [each for each in source.planted.aviary.canaries if each.channel in ("label", "undeclared label")]
    hidden = [each for each in planted if each in scanner.find(each.text.encode())]  # others are public words
    assert len(hidden) > 1_000
    found = scanner.find(said)
    assert [each.where for each in hidden if each not in found] == []
