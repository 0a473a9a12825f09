"""Alertmanager of the distribution, which tells a webhook that nobody answers, so that notifications fail."""

import json
from collections.abc import Mapping
from pathlib import Path

from demo.packages import read_version
from demo.servers import find_free_port
from tests.lab.environments import find_package
from tests.lab.isolation import lay_over
from tests.lab.place import Place
from tests.lab.servers import Server, Started
from tests.lab.sources import Source, Target

NAME = "alertmanager"
_TEMPLATES = Path("/usr/share/prometheus/alertmanager")
"""Where the distribution's Alertmanager looks for its templates, and nowhere else."""


def install(home: Path, environment: Mapping[str, str]) -> None:
    """Unpack the distribution's package."""
    find_package(home, "prometheus-alertmanager", "prometheus-alertmanager")


def start(place: Place) -> Started:
    """Start it alone, without a cluster."""
    program, port = find_package(place.home, "prometheus-alertmanager", "prometheus-alertmanager"), find_free_port()
    if not _TEMPLATES.exists():
        lay_over(program.parents[1] / "share", _TEMPLATES.parents[1], place.environment)
    folder = place.work_folder(NAME)
    hook = {"url": f"http://127.0.0.1:{find_free_port()}/", "send_resolved": False}
    route = {"receiver": "nobody", "group_wait": "1s", "group_interval": "5s", "repeat_interval": "10s"}
    config = {"route": route, "receivers": [{"name": "nobody", "webhook_configs": [hook]}]}
    (folder / "alertmanager.yml").write_text(json.dumps(config), "utf-8")
    running = place.start(
        NAME,
        [
            *(program, f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/data"),
            *(f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="),
        ],
    )
    labels = {"instance": "alertmanager.lab.test:9093", "namespace": "monitoring", "pod": "alertmanager-lab-0"}
    target = Target("alertmanager", port, labels=labels)
    source = Source(NAME, "real", read_version(program), (target,), frozenset({"alert"}), ("Alertmanager",))
    return Started(source, lambda: running.wait_for(f"http://127.0.0.1:{port}/-/ready"))


SERVER = Server(NAME, install, start)
