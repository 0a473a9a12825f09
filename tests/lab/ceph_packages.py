"""Install Ceph from the distribution's packages. Knows apt and nothing of what runs afterwards.

No daemon is started: the packages' units need a configuration that is never written. One does not, the crash
reporter; it stays down until the next boot, because systemctl is told to refrain from starting anything.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping

from tests.lab import LabUnavailable, last_lines

PACKAGES = ("ceph-mon", "ceph-osd", "ceph-mgr", "radosgw")
PROGRAMS = (*PACKAGES, "ceph", "monmaptool", "radosgw-admin", "setpriv")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def is_installed() -> bool:
    """Tell whether every program that a gateway needs is here."""
    return not missing_programs(path=SYSTEM_PATH)


def missing_programs(*, path: str) -> tuple[str, ...]:
    """Return the programs that a gateway needs and ``path`` does not have."""
    return tuple(program for program in PROGRAMS if shutil.which(program, path=path) is None)


def install_ceph(*, environ: Mapping[str, str]) -> None:
    """Install the missing programs from the distribution's packages; a second call does nothing."""
    path = environ.get("PATH", SYSTEM_PATH)
    if not missing_programs(path=path):
        return
    if shutil.which("apt-get", path=path) is None:
        raise LabUnavailable(f"no apt-get here; install {' '.join(PACKAGES)} by hand")
    settings = {
        "DEBIAN_FRONTEND": "noninteractive",
        "SYSTEMD_OFFLINE": "1",  # systemctl then ignores what a package script wants started
        "LC_ALL": "C",
    }
    apt = [*_root_prefix(environ, keep=settings), "apt-get", "-q", "-y"]
    apt += ["-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::http::Timeout=30"]
    install = [*apt, "install", "--no-install-recommends", *PACKAGES]
    # No time limit: killing dpkg half-way would leave the machine's package database broken.
    for command in (install, [*apt, "update"], install):  # missing and outdated lists are one case
        result = subprocess.run(
            command, env={**environ, **settings}, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        if command is install and result.returncode == 0:
            break
    else:
        raise LabUnavailable(f"apt-get install failed: {last_lines(result.stdout + result.stderr, count=1)}")
    if missing := missing_programs(path=path):
        raise LabUnavailable(f"installed, but {', '.join(missing)} cannot be found in {path}")


def _root_prefix(environ: Mapping[str, str], *, keep: Mapping[str, str]) -> list[str]:
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo", path=environ.get("PATH", SYSTEM_PATH))
    if sudo is None or subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode != 0:
        raise LabUnavailable(f"installing {' '.join(PACKAGES)} needs root or sudo without a password")
    names = [*keep, *(name for name in ("http_proxy", "https_proxy", "no_proxy") if name in environ)]
    return [sudo, "-n", f"--preserve-env={','.join(names)}"]
