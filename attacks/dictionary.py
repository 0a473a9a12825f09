"""Guess names: compute what every recipe makes of every candidate, and look whether the release has it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attacks.knowledge import Name
from attacks.published import TOKEN, Published
from attacks.recipes import Recipe, list_recipes, spell
from schemas.attacks import Dictionary

DECOYS = 2_000


def attack_names(release: Published, candidates: Sequence[Name], recipes: Sequence[Recipe] | None = None) -> Dictionary:
    """Return how many tokens of ``release`` the candidates give away.

    A body counts whatever its prefix: a digest of the bare name is the same for a pod and a namespace.
    """
    bodies = {match["body"] for token in release.tokens if (match := TOKEN.fullmatch(token))}
    recipes = list_recipes(public_texts(release)) if recipes is None else recipes
    digests = 0
    hits: set[str] = set()
    for name in candidates:
        for recipe in recipes:
            digest = recipe.digest(name)
            if digest is not None:
                digests += 1
                hits.update(body for body in spell(digest) if body in bodies)
    return Dictionary(candidates=len(candidates), digests=digests, tokens=len(bodies), hits=len(hits))


def public_texts(release: Published) -> list[bytes]:
    """Return texts of a release that a careless publisher may have taken for the key."""
    manifest = release.manifest
    texts = [manifest["key_id"], manifest["policy_digest"], manifest["release"]["version"], manifest["created"]]
    return [str(text).encode() for text in (*texts, *manifest["sources"])]


def add_decoys(names: Iterable[Name], count: int = DECOYS) -> list[Name]:
    """Return the candidates: the true names among conventional ones, since no attacker knows only true names."""
    names = list(names)
    kinds = {(name.prefix, name.domain): name for name in names if len(name.parts) <= 3}
    words = ("dev", "prod", "test", "team", "ml", "data", "web", "api", "gpu", "node")
    made = [
        Name(prefix, domain, (*example.parts[:-1], f"{words[number % len(words)]}-{number}"))
        for number in range(count)
        for (prefix, domain), example in (list(kinds.items())[number % len(kinds)],)
    ]
    return [*names, *made]
