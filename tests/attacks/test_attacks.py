"""The attacks by hand-made material: each finds what is there, and nothing where there is nothing."""

import hashlib

import numpy as np
import pyarrow as pa
import pytest

from attacks.capacities import count_alone as count_capacities
from attacks.curves import CPU, MEMORY, Curve, Entity
from attacks.knowledge import Name
from attacks.recipes import list_recipes, spell
from attacks.relink import attack_by_shape, attack_continuing, attack_overlap
from attacks.row_order import correlate_order
from attacks.scrape_phase import attack_phases
from attacks.start_times import count_alone as count_starts

MINUTE_MS = 60_000


def a_name(own: str) -> Name:
    return Name("ns", "namespace", ("east", own))


@pytest.mark.parametrize(
    ("body", "made_as"),
    [
        (hashlib.md5(b"team-a", usedforsecurity=False).hexdigest(), "a container's address in a published trace"),
        (hashlib.sha256(b"team-a").hexdigest()[:16], "sixteen characters of hex"),
        (hashlib.sha256(b"namespace:team-a").hexdigest()[:24], "behind its kind"),
    ],
)
def test_what_others_published_would_be_guessed(body: str, made_as: str) -> None:
    """The recipes hold the ways in which real releases were broken."""
    made = {text for recipe in list_recipes() if (digest := recipe.digest(a_name("team-a"))) for text in spell(digest)}

    assert body in made, made_as


def test_every_recipe_says_what_it_is_once() -> None:
    says = [recipe.says for recipe in list_recipes([b"2026.1.0"])]

    assert len(says) == len(set(says)) > 100


def test_phases_tell_targets_whose_moments_differ() -> None:
    steps = np.arange(40, dtype=np.int64) * 15_000
    apart = {"a": steps + 17, "b": steps + 9_200, "c": steps + 9_201}

    assert attack_phases(apart, interval_ms=15_000).told == 3
    assert attack_phases({**apart, "d": steps + 17}, interval_ms=15_000).told == 2


def test_order_is_compared_within_each_scope() -> None:
    """Rows sorted by name within each namespace leak, whatever the order of the namespaces."""
    names = {
        f"pod_{scope}{at:02d}": Name("pod", "pod", ("east", scope, f"web-{at:02d}"))
        for scope in "ab"
        for at in range(20)
    }
    tokens = sorted(names)
    backwards = tokens[20:] + tokens[:20]

    found = correlate_order(pa.chunked_array([pa.array(backwards)]), names)

    assert found is not None
    assert (round(found[0], 9), found[1]) == (1.0, 40)
    assert correlate_order(pa.chunked_array([pa.array(tokens[:5])]), names) is None


def test_whoever_is_alone_is_counted() -> None:
    starts: dict[Entity, int] = {("a",): 0, ("b",): 59_000, ("c",): 61_000, ("d",): 7_200_000}

    found = count_starts(starts, {("a",): 5, ("b",): 5})

    assert (found.unique_by_second, found.unique_by_minute, found.unique_by_hour) == (4, 2, 1)
    assert (found.arrivals, found.unique_arrivals) == (2, 0)
    assert count_capacities({"x": frozenset(), "y": frozenset(), "z": frozenset({("memory", 1.0)})}).unique == 1


def curves(level: float, *, start: int = 0, seed: int = 0) -> dict[str, Curve]:
    """Return five hours of a made-up container that uses ``level`` cores."""
    noise = np.random.default_rng(seed)
    times = (start + np.arange(600, dtype=np.int64)) * 30_000
    used = level * 30 * (start + np.arange(600)) + noise.uniform(0, level, 600)
    return {CPU: Curve(times, used), MEMORY: Curve(times, level * 2e9 * (1 + noise.uniform(0, 0.1, 600)))}


LEVELS: dict[Entity, float] = {(f"w{number}",): 0.05 * 2**number for number in range(8)}
SAME: dict[Entity, Entity] = {name: ("new", *name) for name in LEVELS}
FIRST: dict[Entity, dict[str, Curve]] = {
    name: curves(level, seed=number) for number, (name, level) in enumerate(LEVELS.items())
}
SECOND: dict[Entity, dict[str, Curve]] = {
    ("new", *name): curves(level, start=600, seed=99 + number) for number, (name, level) in enumerate(LEVELS.items())
}


def test_workloads_that_differ_are_found_again() -> None:
    (shape,) = attack_by_shape(FIRST, SECOND, SAME, (0,))
    (continuing,) = attack_continuing(FIRST, SECOND, SAME)

    assert (shape.population, shape.top1, continuing.top1) == (8, 1.0, 1.0)


def test_workloads_that_are_alike_are_not() -> None:
    """Eight of one kind: a guess is right by chance, and ties count against the attacker."""
    alike: dict[Entity, dict[str, Curve]] = {name: curves(1.0) for name in LEVELS}
    others: dict[Entity, dict[str, Curve]] = {("new", *name): curves(1.0, start=600) for name in LEVELS}

    (shape,) = attack_by_shape(alike, others, SAME, (0,))

    assert shape.top1 == 0.0
    assert shape.top10 == 1.0


def test_samples_that_two_releases_hold_link_everything() -> None:
    renamed: dict[Entity, dict[str, Curve]] = {("new", *name): FIRST[name] for name in FIRST}

    (overlap,) = attack_overlap(FIRST, renamed, SAME, start_ms=0, end_ms=20 * MINUTE_MS)
    nothing = attack_overlap(FIRST, SECOND, SAME, start_ms=0, end_ms=20 * MINUTE_MS)

    assert overlap.top1 == 1.0
    assert nothing == []
