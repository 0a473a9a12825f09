"""Whatever instruction a job dies at: readers see the old or the new, and the next run makes it whole and exact."""

import random
from pathlib import Path
from typing import Final

import pytest

from tests.crash.commands import Ended
from tests.crash.conftest import NewLife
from tests.crash.life import COMMANDS, WINDOWS, Life, State
from tests.store.places import FULL

SEED: Final = 20261128
LIVES: Final = 40 if FULL else 3
"""Each has one kill of every command: 320 kills over both stores in full, 24 else."""
ALLOWED: Final[dict[str, set[State]]] = {
    "snapshot": {"without"},
    "release": {"without"},
    "publish": {"without", "published"},
    "retract": {"published", "retracted"},
}


@pytest.mark.timeout(7200)
def test_a_job_that_is_killed_leaves_nothing_half_done_and_the_next_run_finishes(
    new_life: NewLife, tmp_path: Path
) -> None:
    """In full every call to a store of every command is the last one, and random instants between are."""
    chance = random.Random(SEED)
    whole = new_life()
    calls, seconds = {}, {}
    for command in COMMANDS:
        ended = whole.succeed(command)
        calls[command], seconds[command] = len(ended.calls), ended.seconds
    lives = max(LIVES, 1 + max(calls.values())) if FULL else LIVES
    killed = 0

    for number in range(lives):
        life = new_life()
        for command in COMMANDS:
            ended = kill(life, command, number, calls[command], seconds[command], chance)
            killed += ended.killed
            state = life.read_state(tmp_path / "cache")
            assert state in ALLOWED[command], (command, ended.calls)
            life.succeed(command)
            if command == "publish":
                assert life.read_state(tmp_path / "cache") == "published"
                assert life.succeed("verify").result["signed_by"]
        assert life.read_state(tmp_path / "cache") == "retracted"
        assert not list(life.stores.open_public().list("releases/2026.11.0/"))
        assert life.count_commits() == 2 * (WINDOWS + 1)

    # a third of the short form's kills go by the clock, and the machine may be faster now than when it was measured
    wanted = 0.8 if FULL else 0.6
    assert killed >= wanted * lives * len(COMMANDS), "too few kills met a running job: the test has shown little"


def kill(life: Life, command: str, number: int, calls: int, seconds: float, chance: random.Random) -> Ended:
    """Kill a command in the way that belongs to this life of the long form, or of the short one."""
    if FULL and number <= calls:
        return life.run(command, at=max(number, 1), moment="after" if number else "before")
    if not FULL and number < 2:
        return life.run(command, at=chance.randrange(1, calls + 1), moment=("before", "after")[number])
    return life.run(command, after_seconds=chance.uniform(0, 0.7 * seconds))
