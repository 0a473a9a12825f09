"""What ``make attack`` measures in full is asserted here on the demo's release, each attack beside its proof.

A release gives nothing to a dictionary, to the times of its rows or to their order; weakened copies give everything.
"""

import hashlib
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from anonymize.keys import read_ring
from attacks.controls import families_of, hide_rare, sorted_before_hiding, with_families
from attacks.dictionary import attack_names
from attacks.differencing import attack_hidden_families
from attacks.knowledge import Name, Truth, learn_truth, pseudonymizer_of
from attacks.known_pair import attack_others
from attacks.published import Published
from attacks.row_order import attack_order
from attacks.scrape_phase import attack_phases
from attacks.weakened import hide_weakly, weak_pseudonymizers
from demo.cluster import CLUSTER
from schemas.registry import latest_tables, read_policy
from tests.e2e.world import World

SOURCE = "demo-cluster"
SCRAPED_EVERY_MS = 30_000
LOOKBACK = timedelta(minutes=5)


@pytest.fixture(scope="module")
def release(world: World) -> Published:
    return Published(world.releases["simulated"])


@pytest.fixture(scope="module")
def truth(world: World, release: Published) -> Truth:
    """Who is who: the server's own label sets under the demo's key."""
    start = datetime.fromisoformat(release.manifest["start"]) - LOOKBACK  # what ended shortly before still counts
    asked = {"match[]": f'{{cluster="{CLUSTER}"}}', "start": start.isoformat(), "end": release.manifest["end"]}
    key = read_ring(world.root / ".demo/opspub.key").find(release.manifest["key_id"]).key
    return learn_truth(
        world.ask("series", **asked),
        tables=latest_tables().values(),
        policy=read_policy("default"),
        pseudonymizer=pseudonymizer_of(key),
        source=SOURCE,
    )


@pytest.fixture(scope="module")
def named(release: Published, truth: Truth) -> list[Name]:
    """Return the true name of every token, but for those of series."""
    return [truth.names[token] for token in sorted(release.tokens & truth.names.keys()) if not token.startswith("s_")]


def test_the_truth_is_whole(release: Published, truth: Truth) -> None:
    """An attack that is handed half of the names proves half as much. Series of workloads are the publisher's own."""
    made = set(release.series("workload").column("series_id").to_pylist())

    assert len(release.tokens) > 3_000
    assert release.tokens - truth.names.keys() <= made


def test_no_name_is_guessed(
    release: Published,
    named: list[Name],
    planted: frozenset[str],
) -> None:
    """Neither a digest of the true names nor one under a key that people think up is in the release."""
    strangers = [Name("ns", "namespace", (SOURCE, name)) for name in sorted(planted)[::8]]

    found = attack_names(release, [*named, *strangers])

    assert found.candidates > 300  # fewer at night, when less runs
    assert found.digests > 100 * found.candidates
    assert found.hits == 0


@pytest.mark.parametrize("build", weak_pseudonymizers())
def test_without_a_secret_every_name_is_guessed(
    release: Published, truth: Truth, named: list[Name], tmp_path: Path, build: str
) -> None:
    """The proof of the attack: the same release without a key, or under a guessable one, lies open."""
    tokens = truth.translate(weak_pseudonymizers()[build])
    weak = hide_weakly(release, tmp_path / "weak", tokens)
    third = set(named[::3])
    sample = {token: name for token, name in truth.names.items() if name in third}

    found = attack_names(weak, list(sample.values()))

    assert found.hits == len({tokens[token].partition("_")[2] for token in sample}) > 100


def test_a_known_pair_names_nobody_else(release: Published, truth: Truth, named: list[Name], tmp_path: Path) -> None:
    tokens = {name: token for token, name in truth.names.items()}
    known = {tokens[name]: name for name in named[:3]}
    weak_tokens = truth.translate(weak_pseudonymizers()["unkeyed sha256"])
    weak = hide_weakly(release, tmp_path / "weak", weak_tokens)

    strong = attack_others(release, known, named)
    broken = attack_others(weak, {weak_tokens[token]: name for token, name in known.items()}, named)

    assert strong.named == 0
    assert broken.named == len(known) * (len(named) - 1)


def test_the_times_of_rows_tell_no_target(release: Published) -> None:
    """All targets share one moment, the grid's; moved to the moments that Prometheus spreads them to, all are told."""
    rows = release.rows("node", "node_load1", ["node", "timestamp"])
    times = np.asarray(rows.column("timestamp").cast(pa.int64()))
    nodes = np.asarray(rows.column("node"))
    by_node = {node: np.sort(times[nodes == node]) for node in sorted(set(nodes.tolist()))}
    moved = {node: each + spread(node) for node, each in by_node.items()}

    on_grid = attack_phases(by_node, interval_ms=SCRAPED_EVERY_MS)
    as_scraped = attack_phases(moved, interval_ms=SCRAPED_EVERY_MS)

    assert (on_grid.targets, on_grid.moments, on_grid.told) == (len(by_node), 1, 0)
    assert as_scraped.told == len(by_node) >= 15


def spread(target: str) -> int:
    """Return a moment within the interval, as a hash of the target gives it."""
    return int.from_bytes(hashlib.sha256(target.encode()).digest()[:8], "big") % SCRAPED_EVERY_MS


def test_the_order_of_rows_says_nothing_of_names(release: Published, truth: Truth, tmp_path: Path) -> None:
    published = attack_order(release, truth.names)
    leaking = attack_order(sorted_before_hiding(release, truth, tmp_path), truth.names)

    assert published.columns >= 5
    assert published.correlation < published.chance
    assert leaking.correlation == pytest.approx(1.0)


def test_a_hidden_family_is_told_by_its_memory(release: Published, truth: Truth, tmp_path: Path) -> None:
    """Hiding the word alone hides nothing from who holds a data sheet: measured, and said on the card."""
    families = families_of(release, truth, read_policy("default"))
    hidden = with_families(release, hide_rare(families, k=5), tmp_path / "hidden")

    found = attack_hidden_families(hidden, truth=families)

    assert set(families.values()) == {"A100", "H200"}
    assert found.hidden == found.told_by_values == sum(family == "H200" for family in families.values()) > 0
