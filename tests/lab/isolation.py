"""Let the lab run where nobody can reach it and nothing of it stays: in namespaces of its own.

Ray and KServe listen on every address and cannot be told otherwise. In a network of its own the loopback is all that
there is; and with the first process of its own process tree, the kernel ends all others, whatever happened to it.
"""

import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.lab import LabUnavailable, last_lines

_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1
_INSIDE = "OPSCOMMONS_LAB_INSIDE"


def plan_isolation(*, root: bool) -> list[str]:
    """Return the beginning of a command that runs in namespaces of its own; who is not root becomes so in there."""
    user = [] if root else ["--user", "--map-root-user"]
    return ["unshare", *user, "--net", "--pid", "--fork", "--kill-child=KILL", "--mount-proc", "--"]


def can_isolate() -> bool:
    """Return whether the kernel allows it here."""
    if shutil.which("unshare") is None:
        return False
    command = [*plan_isolation(root=os.geteuid() == 0), "true"]
    return subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == 0


def is_inside(environment: Mapping[str, str]) -> bool:
    """Return whether this process runs in namespaces of its own."""
    return _INSIDE in environment


def run_inside(module: str, arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a module of ours in namespaces of its own and return its exit code."""
    command = [*plan_isolation(root=os.geteuid() == 0), sys.executable, "-m", module, *arguments]
    return subprocess.run(command, env={**environment, _INSIDE: "1"}, check=False).returncode


def bring_up_loopback() -> None:
    """Switch the loopback of a new network on, which is off at first."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))


def lay_over(upper: Path, target: Path, environment: Mapping[str, str]) -> None:
    """Show the files of a folder in another one as well, in here alone. Raise ``LabUnavailable``."""
    if not is_inside(environment):
        raise LabUnavailable(
            f"its files want to lie in {target}, and this machine gives no namespace to show them there"
        )
    command = ["mount", "-t", "overlay", "overlay", "-o", f"lowerdir={upper}:{target}", str(target)]
    ran = subprocess.run(command, capture_output=True, check=False, timeout=30)
    if ran.returncode:
        raise LabUnavailable(f"its files cannot be shown in {target}: {last_lines(ran.stderr, count=1)}")
