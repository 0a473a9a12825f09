"""No raw identifier is anywhere in what was written: an independent search for the names that were planted."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import ahocorasick
import pytest

from schemas.registry import latest_tables
from tests.canaries.scan import decode_parquet
from tests.e2e.world import World

ROOT = Path(__file__).parents[2]
TOKEN = re.compile(r"\b[a-z]{1,8}_[a-z2-7]{16}\b")
LOOKS_LIKE_TOKEN = re.compile(r"[a-z2-7]{5,8}")


def decoded(path: Path) -> Iterator[str]:
    """Yield all text of a file: its bytes, and for Parquet every cell, dictionary entry, statistic and footer."""
    content = path.read_bytes()
    yield content.decode("latin-1")
    if path.suffix == ".parquet":
        yield from decode_parquet(path)


def test_the_planted_list_is_long(planted: frozenset[str]) -> None:
    """A short list would prove nothing."""
    assert len(planted) >= 500, f"only {len(planted)} planted values"


def test_no_planted_value_is_in_anything_that_was_written(
    world: World, planted: frozenset[str], record_property: pytest.FixtureRequest
) -> None:
    """Staging, public store, built releases and every line of output: bytes as they lie and as they decode."""
    automaton = ahocorasick.Automaton()
    for name in planted:
        automaton.add_word(name, name)
    automaton.make_automaton()
    files = [
        path
        for folder in ("staging", "public", ".opspub")
        for path in (world.root / folder).rglob("*")
        if path.is_file()
    ]
    assert len(files) > 100
    found: dict[str, set[str]] = {}

    own_address = world.state["url"].removeprefix("http://")  # the demo tells its reader where its server is
    for path in [*files, world.root / "output.txt"]:
        relative = path.relative_to(world.root).as_posix()
        for text in (relative, *decoded(path)):
            text = text.replace(own_address, "") if path.name == "output.txt" else text
            for _, name in automaton.iter(text):
                # sixteen random characters may hold a short name by chance: only outside tokens does that count
                if not LOOKS_LIKE_TOKEN.fullmatch(name) or name in TOKEN.sub("", text):
                    found.setdefault(relative, set()).add(name)

    assert not found, f"{sum(map(len, found.values()))} of {len(planted)} planted values occur in {sorted(found)[:5]}"


def test_the_search_finds_what_is_there(world: World, planted: frozenset[str], tmp_path: Path) -> None:
    """The oracle is proven: the source's own blocks are full of planted values."""
    index = next((world.root / ".demo/tsdb").rglob("index")).read_bytes().decode("latin-1")

    assert sum(1 for name in planted if name in index) > 100


def test_logs_at_their_most_talkative_hold_no_planted_value(
    world: World, planted: frozenset[str], tmp_path: Path
) -> None:
    """Logs are shared more freely than data; every event of a run and of a failing run is looked at."""
    overrides = {"OPSPUB_STAGING": f"file:{tmp_path}/staging", "OPSPUB_WORK_DIR": str(tmp_path / "work")}
    start = world.manifest(world.releases["simulated"])["start"]
    end = (datetime.fromisoformat(start) + timedelta(hours=1)).isoformat()
    span = ("snapshot", "--start", start, "--end", end)

    done = world.opspub("sim", "--verbose", "--log", "json", *span, **overrides)
    failed = world.opspub("sim", "--verbose", *span, OPSPUB_SOURCE__MATCH='{cluster: "this-machine"}', **overrides)

    said = "".join((done.stdout, done.stderr, failed.stdout, failed.stderr))
    assert done.returncode == 0
    assert done.stderr.count("window committed") == len(latest_tables())
    assert [name for name in planted if name in said.replace(world.state["url"], "")] == []
