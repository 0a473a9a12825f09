"""The real servers of the lab. Each module says how one is installed, started and given something to do."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.lab.place import Place
from tests.lab.sources import Source

PROGRAMS = Path(__file__).parents[1] / "programs"
"""What runs inside the servers' own environments."""


@dataclass(frozen=True, slots=True)
class Started:
    """A server that was started, and what is still to be done until it has something to tell."""

    source: Source
    finish: Callable[[], None]
    """Wait until it answers, and ask it for something. Raises ``LabUnavailable`` or an error of the connection."""


@dataclass(frozen=True, slots=True)
class Server:
    """How to get and to start a server."""

    name: str
    install: Callable[[Path, Mapping[str, str]], None]
    """Takes the lab's home and the environment; raises ``LabUnavailable``."""
    start: Callable[[Place], Started]
    listens_widely: bool = False
    """It cannot be told to listen on the loopback alone."""
