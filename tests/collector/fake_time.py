"""A clock for tests that neither wait nor measure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from collector.pace import Timing


@dataclass
class FakeTime:
    """A clock that only moves when somebody sleeps or a test says so, and remembers who slept how long."""

    now: float = 0.0
    end: float = math.inf
    draw: float = 0.0
    slept: list[float] = field(default_factory=list)

    @property
    def timing(self) -> Timing:
        """What is handed to the code under test."""
        return Timing(lambda: self.end - self.now, lambda: self.now, self.sleep, lambda: self.draw)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.slept.append(seconds)
        self.now += seconds
