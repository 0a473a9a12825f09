"""Who knows one name and its token: which other tokens follow from it, and how much of the release lies open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from attacks.dictionary import public_texts
from attacks.knowledge import Name
from attacks.published import TOKEN, Published
from attacks.recipes import list_recipes, spell
from schemas.attacks import KnownPair


def attack_others(release: Published, pairs: Mapping[str, Name], candidates: Sequence[Name]) -> KnownPair:
    """Return what each pair of token and name gives away by itself.

    A recipe that turns the known name into the known token is applied to all candidates.
    """
    recipes = list_recipes(public_texts(release))
    others, named = 0, 0
    for token, name in pairs.items():
        match = TOKEN.fullmatch(token)
        body = match["body"] if match else ""
        fitting = [recipe for recipe in recipes if (made := recipe.digest(name)) and body in spell(made)]
        rest = release.tokens - {token}
        found = {
            f"{other.prefix}_{spelled}"
            for recipe in fitting[:1]
            for other in candidates
            if (made := recipe.digest(other))
            for spelled in spell(made)
        }
        others += len(rest)
        named += len(found & rest)
    return KnownPair(pairs=len(pairs), others=others, named=named, series=median(_shares(release, pairs)))


def _shares(release: Published, pairs: Mapping[str, Name]) -> list[float]:
    """Return for each pair which share of all series carries its token: known as soon as the token is."""
    total = 0
    carrying = dict.fromkeys(pairs, 0)
    for table in release.tables:
        index = release.series(table)
        total += len(index)
        for column in release.identities(table):
            for word in index.column(column).to_pylist():
                if word in carrying:
                    carrying[word] += 1
    return [count / max(1, total) for count in carrying.values()]
