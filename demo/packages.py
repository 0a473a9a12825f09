"""Find Prometheus, promtool and node_exporter, or unpack the distribution's packages into a folder.

Unpacking needs no root and starts no service, unlike an installation. Looks at PROMETHEUS_BIN, then PATH, then at
what an earlier run unpacked, and downloads only what is still missing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from demo.errors import DemoError

_EXPORTER_NAMES = ("prometheus-node-exporter", "node_exporter")
_PACKAGES = ("prometheus", "prometheus-node-exporter")
_DOWNLOAD_SECONDS = 300
_INSTALL_HINT = (
    "install prometheus, promtool and node_exporter on PATH (Debian, Ubuntu: apt-get install prometheus "
    "prometheus-node-exporter; else https://prometheus.io/download/), or set PROMETHEUS_BIN"
)


@dataclass(frozen=True, slots=True)
class Programs:
    """Where the programs are; each has been seen to run."""

    prometheus: Path
    promtool: Path
    node_exporter: Path


def find_programs(folder: Path, *, environment: Mapping[str, str] | None = None) -> Programs:
    """Return the programs, downloaded to ``folder/packages`` if the machine has none."""
    environment = environment or {}
    unpacked = folder.resolve() / "packages"
    found = _look_up(environment, unpacked)
    if None in found:
        missing = [
            package for package, absent in zip(_PACKAGES, (None in found[:2], found[2] is None), strict=True) if absent
        ]
        unpack(missing, unpacked)
        found = _look_up(environment, unpacked)
    prometheus, promtool, node_exporter = found
    if prometheus is None or promtool is None or node_exporter is None:
        raise DemoError(f"found no complete Prometheus in the distribution's packages; {_INSTALL_HINT}")
    programs = Programs(prometheus, promtool, node_exporter)
    for program in found:
        read_version(program or prometheus)
    return programs


def read_version(program: Path) -> str:
    """Return the version that ``program`` gives itself, thereby proving that it runs here."""
    try:
        ran = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise DemoError(f"found {program}, but it does not run here ({error}); {_INSTALL_HINT}") from error
    words = (ran.stdout or ran.stderr).split()
    return words[words.index("version") + 1] if "version" in words[:-1] else "unknown"


def _look_up(environment: Mapping[str, str], unpacked: Path) -> tuple[Path | None, Path | None, Path | None]:
    named = environment.get("PROMETHEUS_BIN")
    if named and not _is_program(Path(named)):
        raise DemoError(f"found no program at PROMETHEUS_BIN={named}, wanted the path of a prometheus binary")
    search = os.pathsep.join((environment.get("PATH", os.defpath), str(unpacked / "usr" / "bin")))
    prometheus = Path(named).resolve() if named else _which(("prometheus",), search)
    beside = prometheus.parent / "promtool" if prometheus else None
    promtool = beside if beside and _is_program(beside) else _which(("promtool",), search)
    return prometheus, promtool, _which(_EXPORTER_NAMES, search)


def _which(names: Sequence[str], search: str) -> Path | None:
    for name in names:
        if found := shutil.which(name, path=search):
            return Path(found).resolve()
    return None


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def unpack(packages: Sequence[str], unpacked: Path) -> None:
    """Download the distribution's packages and unpack them into a folder; what is half done has another name."""
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise DemoError(f"found neither {' nor '.join(packages)}, nor apt-get and dpkg to get them; {_INSTALL_HINT}")
    partial = unpacked.with_name(f"{unpacked.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    print(f"downloading {' and '.join(packages)} from the distribution, to {unpacked} only", flush=True)
    if _run(["apt-get", "download", *packages], partial):
        root = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
        _run([*root, "apt-get", "update"], partial)  # lists may be missing or old
        if complaint := _run(["apt-get", "download", *packages], partial):
            raise DemoError(f"apt-get could not download {' and '.join(packages)} ({complaint}); {_INSTALL_HINT}")
    for archive in sorted(partial.glob("*.deb")):
        if complaint := _run(["dpkg", "-x", archive.name, "."], partial):
            raise DemoError(f"dpkg could not unpack {archive.name} ({complaint}); {_INSTALL_HINT}")
        archive.unlink()
    if unpacked.exists():  # an earlier run needed fewer packages
        shutil.copytree(unpacked, partial, symlinks=True, dirs_exist_ok=True)
        shutil.rmtree(unpacked)
    partial.rename(unpacked)


def _run(command: Sequence[str], folder: Path) -> str:
    """Return "" if ``command`` succeeded, else the last line it said."""
    try:
        ran = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=_DOWNLOAD_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    said = (ran.stderr or ran.stdout).strip().splitlines()
    return "" if ran.returncode == 0 else (said[-1] if said else f"exit code {ran.returncode}")
