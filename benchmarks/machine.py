"""On what, and of which commit, a report was made."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path


def describe_machine() -> dict[str, object]:
    """Return what matters of this machine, and nothing that names it."""
    return {"cpus": os.cpu_count(), "architecture": platform.machine(), "python": platform.python_version()}


def read_commit(repository: Path) -> str:
    """Return the short commit of a checkout, with ``-dirty`` when files differ from it."""
    ran = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude=*"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.stdout.strip() or "unknown"
