"""A slice of ``make lab``: Prometheus scrapes captured pages and itself, and a release is held to what it then has.

What node_exporter gives is released and compared by the end-to-end tests; the servers that have to be installed are
started by ``make lab`` alone.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import pytest

from demo.errors import DemoError
from demo.packages import find_programs
from demo.servers import find_free_port
from tests.lab.check import check_drift, check_release, check_sources, describe_tables
from tests.lab.facts import Facts
from tests.lab.pages import ROOT, find_folder, read_pages
from tests.lab.publish import Made, Timing, await_facts, make_release, start_scraping
from tests.lab.run import NO_PAGES, start_basics
from tests.lab.sources import Source

OF_MACHINE = ("alert", "scrape")
OF_PAGES = ("notebook", "pod", "workload")
"""Tables that the slice collects; ``make lab`` collects all."""
LARGE = 1 << 20
"""Bytes of a page that only ``make lab`` serves."""
ENVIRONMENT = dict(os.environ)  # noqa: TID251 - where the programs and the pages are


@dataclass(frozen=True)
class Slice:
    """What was scraped, and the release of it."""

    sources: Sequence[Source]
    made: Made
    pages: bool

    @property
    def facts(self) -> Facts:
        """What Prometheus said."""
        return self.made.facts


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slice]:
    """One release of what was scraped for two windows of a few seconds."""
    folder, timing = (
        tmp_path_factory.mktemp("lab"),
        Timing(interval=2, window=4),
    )  # a shorter scrape times out on a busy machine
    try:
        programs = find_programs(ROOT / ".demo", environment=ENVIRONMENT)
    except DemoError as error:
        pytest.skip(f"Prometheus not available: {error}")
    found = find_folder(ENVIRONMENT)
    pages = {name: page for name, page in read_pages(found).items() if len(page) < LARGE} if found else {}
    with ExitStack() as stack:
        sources = start_basics(stack, programs, folder, pages, port := find_free_port())
        server = start_scraping(programs, folder / "prometheus", sources, timing=timing, port=port)
        stack.enter_context(server)
        only = (*OF_MACHINE, *(OF_PAGES if pages else ()))
        facts = await_facts(server.url, sources, timing=timing, only=only)
        made = make_release(folder / "publisher", server.url, facts, timing=timing, environment=ENVIRONMENT)
        yield Slice(sources, made, bool(pages))


def test_what_prometheus_has_is_released_equal_typed_and_documented(lab: Slice) -> None:
    """Real exporters spell names, types and labels as they like; what they say must come out at the other end."""
    assert check_release(lab.facts, lab.made.release) == []
    assert {row.table for row in describe_tables(lab.facts, lab.made.release) if row.rows} >= set(OF_MACHINE)


def test_every_source_feeds_the_tables_that_it_is_known_to_feed(lab: Slice) -> None:
    """A server that is up and tells nothing we know would pass all else."""
    ours = [replace(source, feeds=source.feeds & lab.facts.tables.keys()) for source in lab.sources]

    assert check_sources(lab.facts, ours) == []
    assert check_drift(lab.made.results["snapshot"]["drift"]) == []
    assert check_drift({"new labels": 2, "type unknown": 3}) == ["the snapshot noticed new labels: 2"]


def test_captured_pages_fill_their_tables(lab: Slice) -> None:
    """Kubernetes and Jupyter as they really speak, through Prometheus into a release."""
    if not lab.pages:
        pytest.skip(NO_PAGES)
    rows = {row.table: row for row in describe_tables(lab.facts, lab.made.release)}

    assert {table for table in OF_PAGES if rows[table].rows} == set(OF_PAGES)
    assert rows["workload"].series > lab.facts.fed["kube_pod_info"].values.total(), "one of each pod, and sums of them"


def _other_values(facts: Facts) -> Facts:
    fed = facts.fed["up"]
    others = Counter({fingerprint + b"!": count for fingerprint, count in fed.values.items()})
    return replace(facts, fed={**facts.fed, "up": replace(fed, values=others)})


def _one_metric_less(facts: Facts) -> Facts:
    return replace(facts, fed={name: fed for name, fed in facts.fed.items() if name != "up"})


def _other_type(facts: Facts) -> Facts:
    fed = facts.fed["up"]
    return replace(facts, fed={**facts.fed, "up": replace(fed, said="counter")})


def _other_column(facts: Facts) -> Facts:
    table = facts.tables["scrape"]
    labels = [{**label, "number": "int32"} if label["name"] == "scrape_job" else label for label in table["labels"]]
    return replace(facts, tables={**facts.tables, "scrape": {**table, "labels": labels}})


def _nothing_fed(facts: Facts) -> Facts:
    return replace(facts, fed={})


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (_other_values, "up: "),
        (_one_metric_less, "the release has up, which nothing feeds"),
        (_other_type, "up is a counter by "),
        (_other_column, "up: the columns scrape_job are not typed as declared"),
        (_nothing_fed, "nothing feeds the table scrape, and no reason is known"),
    ],
)
def test_the_lab_notices_what_is_wrong(lab: Slice, change: Callable[[Facts], Facts], wanted: str) -> None:
    """A check that cannot fail says nothing."""
    assert check_release(lab.facts, lab.made.release) == []
    assert any(found.startswith(wanted) for found in check_release(change(lab.facts), lab.made.release))


def test_the_lab_notices_a_server_that_does_not_do_what_it_should(lab: Slice) -> None:
    """A renamed metric, a table without its server, an excuse that no longer holds and a target that is down."""
    absent = {"scrape_duration_seconds": "gone"}
    itself = replace(lab.sources[1], feeds=frozenset({"gpu"}), exporters=("Prometheus",), absent=absent)
    facts = replace(_one_metric_less(lab.facts), down=["spark: refused"])

    found = check_sources(facts, [itself])

    assert any(one.startswith("prometheus ") and one.endswith("feeds nothing to the table gpu") for one in found)
    assert any("does not offer up, which our tables say is its own" in one for one in found)
    assert any("offers scrape_duration_seconds; it was said to be absent" in one for one in found)
    assert "a target is down, spark: refused" in found
