"""A real Prometheus as a fixture. A ``conftest.py`` takes it by importing it; all of them share one server."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from demo.errors import DemoError
from demo.packages import find_programs
from demo.servers import start_prometheus
from tests.prometheus.server import CONFIG, RealPrometheus

_FOUND = pytest.StashKey[RealPrometheus | str]()  # the server of this run, or why there is none
_REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def prometheus(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> RealPrometheus:
    """Return the Prometheus of this run, or skip with the reason. PROMETHEUS_BIN chooses another binary."""
    # pytest would start one server for each conftest that imports this; the stash makes it one for all.
    if _FOUND not in pytestconfig.stash:
        pytestconfig.stash[_FOUND] = _start(pytestconfig, tmp_path_factory)
    found = pytestconfig.stash[_FOUND]
    if isinstance(found, str):
        pytest.skip(f"Prometheus not available: {found}")
    return found


def _start(config: pytest.Config, folders: pytest.TempPathFactory) -> RealPrometheus | str:
    environment = dict(os.environ)  # noqa: TID251 - where the programs are
    try:
        programs = find_programs(_REPOSITORY / ".demo", environment=environment)
        server = start_prometheus(
            programs, folders.mktemp("prometheus"), config=CONFIG, flags=["--web.enable-remote-write-receiver"]
        )
    except DemoError as error:
        return str(error)
    config.add_cleanup(server.stop)
    return RealPrometheus(server, programs)
