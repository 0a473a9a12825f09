"""Which names were planted, without those that anybody may read: the independent list that tests search for."""

from datetime import datetime
from pathlib import Path

import ahocorasick
import yaml

from demo.cluster import planted_names
from tests.e2e.world import World

ROOT = Path(__file__).parents[2]
SHORTEST = 5


def published_labels() -> frozenset[str]:
    """Return the labels whose values are a vocabulary or a number wherever a schema declares them."""
    columns = [
        column
        for path in (ROOT / "schemas/tables").glob("*.yaml")
        for column in yaml.safe_load(path.read_text("utf-8"))["labels"]
    ]
    pseudonyms = {column.get("label", column["name"]) for column in columns if column.get("identity")}
    return frozenset(column.get("label", column["name"]) for column in columns) - pseudonyms


def public_text() -> str:
    """Return every word that the project itself ships in schemas, policy, card, page and client."""
    patterns = (
        "schemas/**/*.yaml",
        "jobs/**/*.j2",
        "jobs/release/*.py",
        "jobs/card/*.py",
        "jobs/publish/*.py",
        "demo/*.yaml",
        "jobs/cli*.py",
    )
    return "\n".join(path.read_text("utf-8") for pattern in patterns for path in ROOT.glob(pattern))


def find_planted(world: World) -> frozenset[str]:
    """Return the generator's own names and the server's label values, less what is public by declaration."""
    state, published = world.state, published_labels() | {"__name__"}
    start, end = (int(datetime.fromisoformat(state["backfill"][k]).timestamp()) for k in ("start", "end"))
    names = set(planted_names(state["seed"], start, end))
    for label in world.ask("labels"):
        if label not in published:
            names.update(world.ask(f"label/{label}/values"))
    names = {name for name in names if len(name) >= SHORTEST}
    automaton = ahocorasick.Automaton()
    for name in names:
        automaton.add_word(name, name)
    automaton.make_automaton()
    return frozenset(names - {name for _, name in automaton.iter(public_text())})
