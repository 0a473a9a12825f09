"""Install and start a real S3 server, Ceph RADOS Gateway, on loopback. It knows nothing of the publisher.

``python -m tests.lab.rgw install`` installs Ceph where that is possible, and says what is skipped where not.
"""

import argparse
import http.client
import json
import os
import random
import secrets
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab import LabUnavailable, last_lines
from tests.lab.ceph_conf import CAPABILITIES, Layout, Store, render_conf, render_keyring
from tests.lab.ceph_packages import SYSTEM_PATH, install_ceph, is_installed, missing_programs

__all__ = ["Gateway", "install_ceph", "is_installed", "main", "start_rgw"]

# Not inherited: CEPH_ARGS or PYTHONPATH of the caller would change what the programs do.
CLEAN_ENVIRON = {"PATH": SYSTEM_PATH, "LC_ALL": "C.UTF-8"}


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running S3 server with one user, empty at first."""

    endpoint_url: str
    access_key: str
    secret_key: str = field(repr=False)
    region: str = "us-east-1"
    _cleanup: ExitStack = field(default_factory=ExitStack, repr=False, compare=False)

    def stop(self) -> None:
        """End the daemons, newest first; a second call does nothing."""
        self._cleanup.close()

    def __enter__(self) -> "Gateway":
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()


def start_rgw(folder: Path, *, access_key: str, secret_key: str, store: Store = "memstore") -> Gateway:
    """Start a new, empty gateway in ``folder`` (made here, or empty) and return it when it answers.

    Call it from a thread that lives as long as the gateway: the kernel ends the daemons with that thread,
    so that a killed test run leaves nothing behind.
    """
    if missing := missing_programs(path=SYSTEM_PATH):
        raise LabUnavailable(f"{missing[0]} is missing (to install it: python -m tests.lab.rgw install)")
    with ExitStack() as cleanup:
        sockets = Path(tempfile.mkdtemp(prefix="rgw-"))
        cleanup.callback(shutil.rmtree, sockets, ignore_errors=True)
        mon_port, rgw_port = _free_ports(2)
        layout = Layout(uuid.uuid4(), folder.resolve(), sockets, rgw_port=rgw_port, mon_port=mon_port)
        _write_files(layout, store=store)
        _start_daemons(layout, cleanup, access_key=access_key, secret_key=secret_key)
        daemons = cleanup.pop_all()
    return Gateway(f"http://127.0.0.1:{rgw_port}", access_key, secret_key, _cleanup=daemons)


def _write_files(layout: Layout, *, store: Store) -> None:
    layout.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(layout.folder.iterdir()):
        raise FileExistsError(f"{layout.folder} is not empty")  # a caller's mistake, no reason to skip
    for name in ("mon", "mgr", "mgr-modules", "osd", "rgw", "crash", "log"):
        layout.data(name).mkdir()
    layout.conf.write_text(render_conf(layout, store=store))
    layout.keyring.touch(mode=0o600)
    layout.keyring.write_text(render_keyring({daemon: secrets.token_bytes(16) for daemon in CAPABILITIES}))


def _start_daemons(layout: Layout, cleanup: ExitStack, *, access_key: str, secret_key: str) -> None:
    osd = str(uuid.uuid4())
    monmap = str(layout.data("monmap"))
    cluster = ("--fsid", str(layout.fsid), "--addv", "a", layout.mon_address)
    _run(layout, "monmaptool", "--create", *cluster, monmap)
    _run(layout, "ceph-mon", "-i", "a", "--mkfs", "--monmap", monmap, "--keyring", str(layout.keyring))
    _start(layout, cleanup, "mon.a", lambda: _state(layout, "mon.a", "mon_status") == "leader")
    _start(layout, cleanup, "mgr.x", lambda: True)
    _run(layout, "ceph", "osd", "new", osd)
    _run(layout, "ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
    _start(layout, cleanup, "osd.0", lambda: _state(layout, "osd.0", "status") == "active")
    user = ("user", "create", "--uid=test", "--display-name=test")
    keys = (f"--access-key={access_key}", f"--secret-key={secret_key}")
    _run(layout, "radosgw-admin", "-n", "client.rgw.a", *user, *keys)
    _start(layout, cleanup, "client.rgw.a", lambda: _answers(layout.rgw_port))


def _run(layout: Layout, program: str, *arguments: str, seconds: float = 30) -> None:
    command = [program, "-c", str(layout.conf), *arguments]
    try:
        subprocess.run(
            command,
            env=CLEAN_ENVIRON,
            cwd=layout.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            check=True,
        )
    except subprocess.TimeoutExpired as error:
        raise LabUnavailable(f"{program} did not end within {seconds:.0f} s") from error
    except subprocess.CalledProcessError as error:
        reason = last_lines(error.stderr or error.stdout)
        raise LabUnavailable(f"{program} ended with {error.returncode}: {reason}") from error


def _start(
    layout: Layout, cleanup: ExitStack, daemon: str, is_ready: Callable[[], bool], *, seconds: float = 30
) -> None:
    kind, _, number = daemon.rpartition(".")
    program = ["radosgw", "-n", daemon] if kind == "client.rgw" else [f"ceph-{kind}", "-i", number]
    with (layout.logs / f"{daemon}.out").open("wb") as output:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *program, "-f", "-c", str(layout.conf)],
            env=CLEAN_ENVIRON,
            cwd=layout.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches the tests alone; they stop the daemons in order
        )
    cleanup.callback(_end, process)
    deadline = time.monotonic() + seconds
    while not is_ready():
        late = time.monotonic() > deadline
        if late or process.poll() is not None:
            found = f"was not ready after {seconds:.0f} s" if late else f"ended with {process.returncode}"
            raise LabUnavailable(f"{program[0]} {found}: {_log_tail(layout, daemon)}")
        time.sleep(0.02)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Stop a child. Its id cannot belong to another process: it is ours until ``wait`` has collected it."""
    process.terminate()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _state(layout: Layout, daemon: str, command: str) -> str | None:
    """Ask a daemon for its state on its admin socket: a JSON line in, a length and JSON out."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        try:
            connection.connect(str(layout.sockets / f"{daemon}.asok"))
            connection.sendall(json.dumps({"prefix": command}).encode() + b"\0")
            with connection.makefile("rb") as answer:
                (size,) = struct.unpack(">I", answer.read(4))
                state = json.loads(answer.read(size)).get("state")
        except (OSError, struct.error, ValueError):  # not there yet, or not answering yet
            return None
    return str(state)


def _answers(port: int) -> bool:
    """Tell whether the gateway lists the buckets of an anonymous caller: none, with status 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _free_ports(count: int) -> list[int]:
    """Return ports below the range that the kernel gives to outgoing connections, so that none takes them."""
    ports: list[int] = []
    for port in random.sample(range(20_000, 32_000), k=200):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        ports.append(port)
        if len(ports) == count:
            return ports
    raise LabUnavailable("no free ports between 20000 and 32000")


def _log_tail(layout: Layout, daemon: str) -> str:
    files = [layout.logs / f"{daemon}.out", layout.logs / f"{daemon}.log"]
    lines = b"".join(file.read_bytes() for file in files if file.exists()).splitlines(keepends=True)
    return last_lines(b"".join(line for line in lines if b"admin socket" not in line))  # our own questions


def main(argv: Sequence[str], *, environ: Mapping[str, str]) -> int:
    """Install Ceph and say in one line what became of it; tests that need it are skipped without it."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.rgw", description=__doc__)
    parser.add_argument("command", choices=["install"])
    parser.parse_args(argv)
    try:
        install_ceph(environ=environ)
    except LabUnavailable as error:
        sys.stdout.write(f"Tests against a real S3 server (Ceph RADOS Gateway) will be skipped: {error}\n")
    else:
        sys.stdout.write("Ceph RADOS Gateway is installed\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], environ=os.environ))  # noqa: TID251  # what apt-get needs: PATH and proxies
