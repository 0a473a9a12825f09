"""Whatever an S3 server or the way to it does to a command: it is finished exactly, or it failed clearly."""

import random
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Final

import pytest

from tests.crash.conftest import NewProxiedLife
from tests.crash.life import Life, State
from tests.store.places import FULL
from tests.store.s3_proxy import (
    Fault,
    S3Proxy,
    cut_upload,
    flip,
    flip_upload,
    hang,
    lose,
    refuse,
    truncate,
)

SEED: Final = 20261128
COMMANDS: Final = ("snapshot", "release", "publish", "verify", "retract")
METHODS: Final = {
    "snapshot": "PUT GET",
    "release": "GET",
    "publish": "PUT GET",
    "verify": "GET",
    "retract": "DELETE GET",
}
FAULTS: Final[dict[str, tuple[Fault, str]]] = {
    "500": (refuse(500, "InternalError"), "PUT GET DELETE"),
    "503": (refuse(503, "SlowDown"), "PUT GET DELETE"),
    "no answer": (hang, "PUT GET DELETE"),
    "lost answer": (lose, "PUT GET DELETE"),
    "cut in mid-upload": (cut_upload, "PUT"),
    "truncated download": (truncate, "GET"),
    "flipped bit down": (flip, "GET"),
    "flipped bit up": (flip_upload, "PUT"),
}
"""What happens, and to which calls it may."""
PASSING: Final = {"500", "503", "no answer", "lost answer", "cut in mid-upload", "truncated download"}
"""What is over at the next try; nobody shall notice. Names and XML have no checksum: a flipped bit may be an error."""
ALLOWED: Final[dict[str, set[State]]] = {
    "snapshot": {"without"},
    "release": {"without"},
    "publish": {"without", "published"},
    "verify": {"published"},
    "retract": {"published", "retracted"},
}
QUICK: Final = {"constants": {"jobs.store.s3:_ANSWER_SECONDS": 0.5}, "without_pauses": True}


def plans() -> Iterator[tuple[str, ...]]:
    """Yield which fault hits each command of a life: all eight in two lives, or five lives of each in full."""
    if FULL:
        for name in FAULTS:
            yield from [(name,) * len(COMMANDS)] * 5
        return
    yield ("no answer", "truncated download", "lost answer", "flipped bit down", "503")
    yield ("flipped bit up", "500", "cut in mid-upload", "truncated download", "lost answer")


@pytest.mark.timeout(3600)
def test_a_fault_is_passed_over_or_said_in_one_line_and_never_believed(
    new_proxied_life: NewProxiedLife, tmp_path: Path
) -> None:
    chance = random.Random(SEED)
    life, proxy = new_proxied_life()
    calls = {}
    for command in COMMANDS:
        proxy.numbers.clear()
        life.succeed(command)
        calls[command] = dict(proxy.numbers)
    hit = 0

    for plan in plans():
        life, proxy = new_proxied_life()
        for command, name in zip(COMMANDS, plan, strict=True):
            hit += meet(life, proxy, command, name, calls[command], chance)
            assert life.read_state(tmp_path / "cache") in ALLOWED[command], (command, name)
            life.succeed(command, **QUICK)
        assert life.read_state(tmp_path / "cache") == "retracted"
        life.assert_only_what_counts()

    assert hit >= (150 if FULL else 8)


def meet(life: Life, proxy: S3Proxy, command: str, name: str, calls: dict[str, int], chance: random.Random) -> bool:
    """Run a command that meets a fault at a call it may hit, if there is one; return whether there was."""
    fault, methods = FAULTS[name]
    possible = [method for method in METHODS[command].split() if method in methods and calls.get(method)]
    if not possible:
        return False
    method = chance.choice(possible)
    number = chance.randrange(1, calls[method] + 1)
    proxy.numbers.clear()
    proxy.choose = lambda found, at: fault if (found, at) == (method, number) else None
    ended = life.run(command, **QUICK)
    proxy.choose = lambda _method, _number: None
    context = f"{command}, {name} at {method} {number}: {ended.code} {ended.err}"
    if name in PASSING:
        assert ended.code == 0, context
    elif ended.code:
        assert ended.code in (6, 7), context
        assert ended.line, context
    return True


@pytest.mark.skipif(not FULL, reason="a life each: make test-full")
@pytest.mark.parametrize("fault", ["503", "no answer"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_server_that_stays_ill_is_one_clear_line_and_the_next_run_heals(
    new_proxied_life: NewProxiedLife, tmp_path: Path, command: str, fault: str
) -> None:
    life, proxy = new_proxied_life()
    for each in COMMANDS[: COMMANDS.index(command)]:
        life.succeed(each)
    left = cycle([FAULTS[fault][0]])
    proxy.choose = lambda _method, number: next(left) if number > 3 else None

    ended = life.run(command, **QUICK)

    assert ended.code == 6
    assert "s3://" in ended.line
    proxy.choose = lambda _method, _number: None
    assert life.read_state(tmp_path / "cache") in ALLOWED[command]
    life.succeed(command)
