"""What every path gets and gives."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from schemas.windows import Window

START: Final = datetime(2026, 1, 1, tzinfo=UTC)


def make_span(hours: int, *, day: int = 0, hour: int = 0) -> Window:
    """Return that many hours from an hour of a day on; days count from ``START``."""
    start = START + timedelta(days=day, hours=hour)
    return Window(start, start + timedelta(hours=hours))


@dataclass(frozen=True)
class Job:
    """Which metrics of which span are taken from where, and where to.

    ``window_hours`` cuts the span into windows taken one after another; 0 takes it as one. ``data`` is the server's
    own folder and ``promtool`` the program, for the path that reads it without the server.
    """

    url: str
    span: Window
    metrics: tuple[str, ...]
    folder: Path
    window_hours: int = 0
    data: Path | None = None
    promtool: Path | None = None


@dataclass(frozen=True)
class Output:
    """How much came out. ``peak_mib`` is that of the program that did the work, where it isn't this process."""

    samples: int
    bytes: int
    peak_mib: float | None = None
