"""What a process has taken so far, as Linux tells it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_RESET_PEAK: Final = "5"


def read_cpu_seconds(pid: int) -> float:
    """Return the user and system time of a process and all its threads."""
    fields = _read_stat(str(pid))
    return (int(fields[11]) + int(fields[12])) / _TICKS


def read_age_seconds() -> float:
    """Return how long ago this process began."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(_read_stat("self")[19]) / _TICKS


def read_peak_mib(pid: str) -> float:
    """Return the peak of resident memory. Unlike getrusage's, it doesn't begin at the parent's after an exec."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("this system doesn't tell the peak memory of a process, or it has ended")


def reset_peak(pid: int) -> None:
    """Let the peak of resident memory begin anew."""
    Path(f"/proc/{pid}/clear_refs").write_text(_RESET_PEAK)


def _read_stat(pid: str) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
