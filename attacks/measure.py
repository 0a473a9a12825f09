"""Run every attack on releases and on their weakened copies, and put what they gave into one report."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from attacks.capacities import attack_capacities
from attacks.capacities import count_alone as count_capacities
from attacks.controls import (
    as_long_as_names,
    families_of,
    hide_rare,
    sorted_before_hiding,
    with_families,
    without_key,
)
from attacks.curves import Curves, Entity, read_curves
from attacks.dictionary import add_decoys, attack_names
from attacks.differencing import attack_hidden_families
from attacks.knowledge import Name, Truth
from attacks.known_pair import attack_others
from attacks.published import Published
from attacks.relink import attack_by_shape, attack_continuing, attack_overlap
from attacks.row_order import attack_order
from attacks.scrape_phase import attack_phases
from attacks.sizes import attack_sizes
from attacks.small_groups import attack_small_groups
from attacks.start_times import attack_starts
from attacks.start_times import count_alone as count_starts
from schemas.attacks import Dictionary, MeasuredOn, Relinked, Relinking, Tried
from schemas.policy import Policy

PAIRS: Final = 20
K: Final = 5
SIZES: Final = (20, 50, 0)
OVERLAP_MINUTES: Final = 20
Times = Mapping[str, npt.NDArray[np.int64]]


@dataclass(frozen=True)
class Known:
    """A release and, to judge guesses by, the truth about it."""

    release: Published
    truth: Truth = field(repr=False)


@dataclass(frozen=True)
class Material:
    """What all attacks together need. The truth is used to judge guesses and to weaken copies."""

    first: Known
    second: Known
    """The next span, under another key."""
    overlapping: Published
    """The end of the first span under the second key, which a publisher refuses to publish."""
    policy: Policy
    starts_ms: Mapping[Entity, int]
    """Raw start of each container's pod, by raw names."""
    capacities: Mapping[str, int]
    """Raw memory of each node."""
    grid_times: Times
    raw_times: Times
    interval_ms: int
    further: tuple[Curves, Curves]
    """Curves of further simulated clusters in both spans, by raw names."""


def measure_names(known: Known, folder: Path) -> dict[str, Tried[Any]]:
    """Return what dictionaries and known pairs give, on the release and without a secret."""
    release, truth = known.release, known.truth
    named = [truth.names[token] for token in sorted(release.tokens) if token in truth.names]
    short = [name for name in named if name.prefix != "s"]
    builds = without_key(release, truth, folder)
    weak = [guess_all(build, names, set(short)) for build, names in builds.values()]
    worst = min(weak, key=lambda found: found.hits / found.tokens)
    tokens = sorted(token for token in release.tokens if token in truth.names and truth.names[token] in set(short))
    chosen = Random(0).sample(tokens, min(PAIRS, len(tokens)))
    build, names = builds["unkeyed sha256"]
    to_weak = {name: token for token, name in names.items()}
    return {
        "dictionary": Tried(
            release=attack_names(release, add_decoys(named)),
            control=worst,
        ),
        "known_pair": Tried(
            release=attack_others(release, {token: truth.names[token] for token in chosen}, short),
            control=attack_others(
                build, {to_weak[truth.names[token]]: truth.names[token] for token in chosen[:3]}, short
            ),
        ),
    }


def guess_all(build: Published, names: Mapping[str, Name], hidden: Collection[Name]) -> Dictionary:
    """Return what the true names give on a build without a secret, out of what it makes of those that are hidden.

    Without the domain in it, a digest of one name is the same for all that bear it: then two tokens are one.
    """
    bodies = {token.partition("_")[2] for token, name in names.items() if name in hidden}
    found = attack_names(build, [name for name in names.values() if name.prefix != "s"])
    return found.model_copy(update={"tokens": len(bodies)})


def measure_channels(material: Material, folder: Path) -> dict[str, Tried[Any]]:
    """Return what times, orders and sizes give away."""
    release, truth = material.first.release, material.first.truth
    long, long_names = as_long_as_names(release, truth, folder)
    return {
        "scrape_phase": Tried(
            release=attack_phases(material.grid_times, interval_ms=material.interval_ms),
            control=attack_phases(material.raw_times, interval_ms=material.interval_ms),
        ),
        "row_order": Tried(
            release=attack_order(release, truth.names),
            control=attack_order(sorted_before_hiding(release, truth, folder), truth.names),
        ),
        "sizes": Tried(
            release=attack_sizes(release, truth.names),
            control=attack_sizes(long, long_names),
        ),
    }


def measure_values(material: Material, folder: Path) -> dict[str, Tried[Any]]:
    """Return what start times, capacities and rare words give away."""
    release, truth = material.first.release, material.first.truth
    families = families_of(release, truth, material.policy)
    hidden = with_families(release, hide_rare(families, k=K), folder / "hidden")
    shown = with_families(release, families, folder / "shown")
    raw = {node: frozenset({("memory", float(size))}) for node, size in material.capacities.items()}
    return {
        "start_times": Tried(release=attack_starts(release), control=count_starts(material.starts_ms, {})),
        "differencing": Tried(
            release=attack_hidden_families(release, truth=families),
            control=attack_hidden_families(hidden, others=[shown], truth=families),
        ),
        "capacities": Tried(release=attack_capacities(release), control=count_capacities(raw)),
        "smallest_groups": Tried(release=attack_small_groups(release), control=attack_small_groups(shown)),
    }


def measure_relinking(material: Material) -> dict[str, Tried[Any]]:
    """Return how many containers are found again under another key."""
    first, second = read_curves(material.first.release), read_curves(material.second.release)
    by_name = {_name(entity, material.second.truth): entity for entity in second}
    names = {entity: _name(entity, material.first.truth) for entity in first}
    same = {entity: by_name[name] for entity, name in names.items() if name in by_name}
    results = [*attack_by_shape(first, second, same, SIZES), *attack_continuing(first, second, same)]
    more_first, more_second = material.further
    if more_first:
        both = {key: key for key in more_first if key in more_second}
        everybody = attack_by_shape({**first, **more_first}, {**second, **more_second}, {**same, **both}, (0,))
        sampled = attack_by_shape(more_first, more_second, both, (200, 1_000, 5_000))
        results += [found.model_copy(update={"further_clusters": True}) for found in (*sampled, *everybody)]
    return {"relinking": Tried(release=_relinking(results), control=_relinking(_control(material, first)))}


def _control(material: Material, first: Curves) -> list[Relinked]:
    """The same release twice, and twenty minutes that two releases hold: whoever cannot link these links nothing."""
    other = read_curves(material.overlapping)
    by_name = {_name(entity, material.second.truth): entity for entity in other}
    names = {entity: _name(entity, material.first.truth) for entity in first}
    same = {entity: by_name[name] for entity, name in names.items() if name in by_name}
    end = max(int(curves[metric].times[-1]) for curves in other.values() for metric in curves) + 1
    start = end - OVERLAP_MINUTES * 60_000
    itself = attack_by_shape(first, first, {entity: entity for entity in first}, (0,))
    return [*itself, *attack_overlap(first, other, same, start_ms=start, end_ms=end)]


def _relinking(results: list[Relinked]) -> Relinking:
    return Relinking(overlap_minutes=OVERLAP_MINUTES, results=tuple(results))


def _name(entity: Entity, truth: Truth) -> Entity:
    """Return the raw names of an entity; words that are published in clear stay."""
    return tuple(truth.names[part].own if part in truth.names else part for part in entity)


def describe_material(material: Material) -> MeasuredOn:
    """Return what was attacked, in numbers."""
    manifest = material.first.release.manifest
    names = [material.first.truth.names[token] for token in material.first.release.tokens if token in _names(material)]
    kinds = [name.domain for name in names]
    span = np.datetime64(manifest["end"].rstrip("Z")) - np.datetime64(manifest["start"].rstrip("Z"))
    return MeasuredOn(
        provenance=manifest["provenance"],
        policy=manifest["policy"],
        policy_version=material.policy.version,
        policy_digest=manifest["policy_digest"],
        releases=2,
        hours=int(span / np.timedelta64(1, "h")),
        rows=manifest["totals"]["rows"],
        series=manifest["totals"]["series"],
        nodes=kinds.count("node"),
        namespaces=kinds.count("namespace"),
        pods=kinds.count("pod"),
    )


def _names(material: Material) -> Mapping[str, object]:
    return material.first.truth.names
