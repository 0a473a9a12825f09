"""Make what a server needs: a virtual environment of its own, or packages of the distribution, in the lab's folder.

The servers' packages conflict with each other and with the publisher's, so none of them goes into ``.venv``.
"""

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from demo.errors import DemoError
from demo.packages import unpack
from tests.lab import LabUnavailable, last_lines

REQUIREMENTS = Path(__file__).parent / "requirements"
_AS_ROOT = Path(__file__).parents[2] / "scripts/as_root.sh"
_JAVA = "default-jre-headless"
_INSTALL_SECONDS = 1500  # gigabytes on a slow line


def pinned(name: str, package: str) -> str:
    """Return the version of a package that a server's environment has."""
    for line in (REQUIREMENTS / f"{name}.txt").read_text("utf-8").splitlines():
        found, _, version = line.partition("==")
        if found == package:
            return version
    raise LookupError(f"found no {package} in the requirements of {name}")


def environment_folder(home: Path, name: str) -> Path:
    """Return where the environment of a server lies."""
    return home / "environments" / name


def make_environment(home: Path, name: str, *, environment: Mapping[str, str]) -> None:
    """Install the locked packages of a server; does nothing if they are there. Raise ``LabUnavailable``."""
    wanted = REQUIREMENTS / f"{name}.txt"
    folder = environment_folder(home, name)
    stamp, digest = folder / "installed", f"{sha256(wanted.read_bytes()).hexdigest()} {sys.version}"
    if stamp.exists() and stamp.read_text("utf-8") == digest:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    print(f"installing {name} into {folder}", flush=True)
    pip = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check"]
    for command in ([sys.executable, "-m", "venv", str(folder)], [*pip, "--no-deps", "-r", str(wanted)]):
        _run(command, environment, name)
    stamp.write_text(digest, "utf-8")


def find_package(home: Path, package: str, program: str) -> Path:
    """Return a program of the distribution, from PATH or unpacked into the lab's folder. Raise ``LabUnavailable``."""
    unpacked = home / "packages" / package
    found = shutil.which(program) or shutil.which(program, path=str(unpacked / "usr/bin"))
    if found is None:
        unpacked.parent.mkdir(parents=True, exist_ok=True)
        try:
            unpack([package], unpacked)
        except DemoError as error:
            raise LabUnavailable(str(error)) from error
        found = shutil.which(program, path=str(unpacked / "usr/bin"))
    if found is None:
        raise LabUnavailable(f"the package {package} has no program {program}")
    return Path(found).resolve()


def require_java(*, environment: Mapping[str, str]) -> None:
    """Install the distribution's Java if there is none; it cannot be unpacked elsewhere. Raise ``LabUnavailable``."""
    if shutil.which("java", path=environment.get("PATH")) is None:
        print(f"installing {_JAVA} from the distribution", flush=True)
        apt = ["bash", str(_AS_ROOT), "apt-get", "-qq", "-y"]
        quiet = {**environment, "DEBIAN_FRONTEND": "noninteractive"}
        _run([*apt, "update"], quiet, _JAVA)
        _run([*apt, "install", "--no-install-recommends", _JAVA], quiet, _JAVA)
    _run(["java", "-version"], environment, _JAVA)


def _run(command: Sequence[str], environment: Mapping[str, str], name: str) -> None:
    try:
        ran = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=_INSTALL_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LabUnavailable(f"{name} cannot be installed: {error}") from error
    if ran.returncode:
        raise LabUnavailable(f"{name} cannot be installed: {last_lines(ran.stderr or ran.stdout, count=1)}")
