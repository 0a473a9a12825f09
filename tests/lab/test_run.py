"""What the lab starts ends with it, what cannot be had is told, and its environments are locked."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.lab import LabUnavailable
from tests.lab.environments import REQUIREMENTS, find_package, require_java
from tests.lab.isolation import can_isolate, plan_isolation
from tests.lab.place import Place
from tests.lab.publish import Made
from tests.lab.report import Report
from tests.lab.run import SERVERS, start_servers
from tests.lab.servers import Server, Started

ENVIRONMENT = dict(os.environ)  # noqa: TID251 - where programs are
PATIENCE = 10.0


def a_place(folder: Path) -> Place:
    return Place(folder / "home", folder / "run", ENVIRONMENT)


def is_there(pid: int) -> bool:
    """Return whether a process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def eventually(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    return holds()


def test_whatever_happens_the_servers_and_their_children_end(tmp_path: Path) -> None:
    """Ray and JupyterHub start processes that do not end with the one that was started."""
    script = "(trap '' TERM; exec sleep 600) & echo $! > child; exec sleep 600"
    pids = []

    def start_and_fail() -> None:
        with a_place(tmp_path) as place:
            pids.append(place.start("stubborn", ["sh", "-c", script]).process.pid)
            told = place.work_folder("stubborn") / "child"
            assert eventually(lambda: told.exists() and told.read_text().endswith("\n"))
            pids.append(int(told.read_text()))
            assert all(map(is_there, pids))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        start_and_fail()

    assert eventually(lambda: not any(map(is_there, pids)))
    assert len(pids) == 2


def test_a_server_that_ends_at_once_is_told_with_its_last_words(tmp_path: Path) -> None:
    with a_place(tmp_path) as place:
        running = place.start("short", ["sh", "-c", "echo no port is free; exit 3"])

        with pytest.raises(LabUnavailable, match=r"short ended with 3; it said: no port is free"):
            running.wait_for("http://127.0.0.1:1/")


def test_a_server_that_cannot_be_had_is_missing_and_the_others_go_on(tmp_path: Path) -> None:
    def refuse(place: Place) -> Started:
        raise LabUnavailable("its files are elsewhere")

    missing: dict[str, str] = {}
    with a_place(tmp_path) as place:
        sources = start_servers(place, [Server("absent", lambda *_: None, refuse)], missing)

    assert sources == []
    assert missing == {"absent": "its files are elsewhere"}


@pytest.mark.parametrize(
    ("missing", "found", "code"), [({}, [], 0), ({"ray": "no wheel"}, [], 2), ({"ray": "no wheel"}, ["a lie"], 1)]
)
def test_the_exit_code_tells_what_is_wrong_from_what_is_missing(
    missing: Mapping[str, str], found: list[str], code: int
) -> None:
    made = Made(None, Path(), None, {})  # type: ignore[arg-type]  # neither is asked

    assert Report([], [], missing, found, made, 0.0).exit_code == code


def test_environments_are_locked() -> None:
    """What is installed today is installed next year, or the lab compares two things at once."""
    for server in SERVERS:
        path = REQUIREMENTS / f"{server.name}.txt"
        if path.exists():
            assert all("==" in line for line in path.read_text("utf-8").splitlines())
    assert {path.stem for path in REQUIREMENTS.iterdir()} <= {server.name for server in SERVERS}


def test_a_package_that_is_not_to_be_had_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(LabUnavailable, match="nor apt-get and dpkg to get them"):
        find_package(tmp_path, "etcd-server", "etcd")


@pytest.mark.skipif(not can_isolate(), reason="this machine gives no namespaces")
def test_inside_there_is_nothing_but_the_loopback() -> None:
    """Some of the servers listen on every address."""
    script = "print(open('/proc/net/dev').read().count(':')); import os; print(os.getpid())"
    command = [*plan_isolation(root=os.geteuid() == 0), sys.executable, "-c", script]

    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    assert said == ["1", "1"], "one interface, and the first process of a tree of its own"


def test_without_java_spark_says_what_it_lacks(tmp_path: Path) -> None:
    """An empty machine that nobody may install on loses one server, not the lab."""
    with pytest.raises(LabUnavailable, match=r"^default-jre-headless cannot be installed: "):
        require_java(environment={"PATH": str(tmp_path)})
