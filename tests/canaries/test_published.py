"""What succeeds tells as little as what breaks: from source to public store, no canary is in anything written."""

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from jobs.snapshot.series import NO_TREATMENT
from schemas.derived import is_derived
from schemas.registry import latest_tables
from schemas.table import Metric
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


def declared(tables: Sequence[str] | str) -> dict[str, Metric]:
    """Return the metrics of some tables, or of all, that come from a source."""
    return {
        metric.name: metric
        for name, table in latest_tables().items()
        for metric in table.metrics
        if not is_derived(metric.name) and (tables == "all" or name in tables)
    }


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
    assert declared(tables).keys() - read_metrics == set(), "its canaries were not even read"


@pytest.mark.parametrize(("tables", "others"), [("all", PUBLISHING) if FULL else (["container", "gpu"], ())])
def test_no_canary_is_in_native_histograms_nor_in_what_is_said_of_them(
    place: Place, tables: Sequence[str] | str, others: Sequence[tuple[str, ...]]
) -> None:
    """From source to public store, or to staging, where raw names end: published ones, and dropped ones."""
    place.configure("remote-read", tables=tables, native=True)
    run = place.root / "run"
    told = ""
    for command in (("snapshot", *place.source.span), *others):
        argument = [str(run / part) if part.startswith("work/") else part for part in command]
        assert place.run(*argument) == 0, place.told
        told += place.told

    assert not place.source.scanner.find(told.encode())
    assert place.leaks() == {}
    assert not others or list(run.glob(f"public/releases/{VERSION}/data/container_nh/metric=*/**/*.parquet"))
    read = {each["metric"]: each for record in commits(run) for each in record["coverage"]}
    planted = {
        labels["__name__"] for labels, samples in place.source.planted.native if not isinstance(samples[-1][1], int)
    }
    treatments = {name: metric.value for name, metric in declared(tables).items() if name in planted}
    assert {"exact", "blank_to_null"} <= set(treatments.values())
    for name, treatment in treatments.items():
        published, dropped = read[name]["native_rows"] > 0, read[name]["skipped"]
        assert (published, dropped) == ((True, {}) if treatment == "exact" else (False, {NO_TREATMENT: 1})), name


def test_native_histograms_that_the_query_api_shows_are_refused_without_a_word_of_them(place: Place) -> None:
    """It can be asked for floats alone, so the table fails, and the server's answer is not repeated."""
    place.configure(HTTP, tables=["container"], native=True)

    code = place.run("snapshot", *place.source.span, log="json")

    assert (code, "native histograms" in place.told) == (3, True)
    assert place.leaks() == {}
    assert not list((place.root / "run").glob("staging/data/**/*.parquet"))


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
