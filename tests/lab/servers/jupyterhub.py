"""JupyterHub with one user, whose notebook server has a kernel and a terminal.

The hub serves its own metrics, and none of the tables is about the proxy, so the lab's proxy only remembers its
routes: it spares Node and the packages of npm.
"""

import secrets
import time
from collections.abc import Mapping
from pathlib import Path

from demo.servers import find_free_port
from tests.lab import LabUnavailable
from tests.lab.environments import environment_folder, make_environment, pinned
from tests.lab.place import Place, call, call_json
from tests.lab.servers import PROGRAMS, Server, Started
from tests.lab.sources import Source, Target

NAME = "jupyterhub"
USER = "made-up"
_FINISH_SECONDS = 240.0


def install(home: Path, environment: Mapping[str, str]) -> None:
    """Install the hub and its users' notebook server."""
    make_environment(home, NAME, environment=environment)


def start(place: Place) -> Started:
    """Start the hub; users' servers are its children."""
    token, (hub, proxy, user) = secrets.token_hex(16), (find_free_port() for _ in range(3))
    folder = environment_folder(place.home, NAME) / "bin"
    running = place.start(
        NAME,
        [folder / "jupyterhub", "-f", PROGRAMS / "jupyterhub_config.py"],
        environment={
            "LAB_TOKEN": token,
            "LAB_PORTS": f"{hub} {proxy} {user}",
            "PATH": f"{folder}:{place.environment['PATH']}",
            "HOME": str(place.work_folder(NAME)),
        },
    )
    api, headers = f"http://127.0.0.1:{hub}/hub/api", {"Authorization": f"token {token}"}
    server = f"http://127.0.0.1:{user}/user/{USER}"

    def finish() -> None:
        running.wait_for(f"{api}/")
        call(f"{api}/users/{USER}", {}, headers=headers)
        call(f"{api}/users/{USER}/server", {}, headers=headers)
        deadline = time.monotonic() + _FINISH_SECONDS
        while not call_json(f"{api}/users/{USER}", headers=headers)["servers"].get("", {}).get("ready"):
            if time.monotonic() > deadline:
                raise LabUnavailable(f"the user's server was not ready in {_FINISH_SECONDS:g} s; see {running.log}")
            time.sleep(0.5)
        for kind in ("kernels", "terminals"):
            call(f"{server}/api/{kind}", {}, headers=headers)
        running.wait_for(f"{server}/metrics", "kernel_currently_running_total{")

    labels = {"namespace": "lab-hub", "pod": "hub-0"}
    of_user = {"namespace": "lab-hub", "pod": f"jupyter-{USER}"}
    targets = (
        Target("hub", hub, "/hub/metrics", {"instance": "hub.lab.test:8081", **labels}),
        Target("notebook", user, f"/user/{USER}/metrics", {"instance": "notebook.lab.test:8888", **of_user}),
    )
    tables = frozenset({"notebook_hub", "notebook"})
    version = f"{pinned(NAME, 'jupyterhub')}, jupyter_server {pinned(NAME, 'jupyter_server')}"
    return Started(
        Source(NAME, "real", version, targets, tables, ("JupyterHub", "jupyter_server", "jupyter-resource-usage")),
        finish,
    )


SERVER = Server(NAME, install, start)
