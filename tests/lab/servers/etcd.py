"""etcd of the distribution, a cluster of one member that is written to."""

import base64
import subprocess
from collections.abc import Mapping
from pathlib import Path

from demo.servers import find_free_port
from tests.lab.environments import find_package
from tests.lab.place import Place, call
from tests.lab.servers import Server, Started
from tests.lab.sources import Source, Target

NAME = "etcd"


def install(home: Path, environment: Mapping[str, str]) -> None:
    """Unpack the distribution's package."""
    find_package(home, "etcd-server", "etcd")


def start(place: Place) -> Started:
    """Start the member."""
    program, client, peer = find_package(place.home, "etcd-server", "etcd"), find_free_port(), find_free_port()
    urls = {"client": f"http://127.0.0.1:{client}", "peer": f"http://127.0.0.1:{peer}"}
    running = place.start(
        NAME,
        [
            *(program, "--name", "lab", "--data-dir", place.work_folder("etcd-data")),
            *("--listen-client-urls", urls["client"], "--advertise-client-urls", urls["client"]),
            *("--listen-peer-urls", urls["peer"], "--initial-advertise-peer-urls", urls["peer"]),
            *("--initial-cluster", f"lab={urls['peer']}"),
        ],
    )

    def finish() -> None:
        running.wait_for(f"{urls['client']}/health", "true")
        for number in range(20):
            key, value = (base64.b64encode(text.encode()).decode() for text in (f"key-{number}", "value"))
            call(f"{urls['client']}/v3/kv/put", {"key": key, "value": value})

    labels = {"instance": "etcd.lab.test:2381", "namespace": "kube-system", "pod": "etcd-lab"}
    target = Target("etcd", client, labels=labels)
    source = Source(NAME, "real", _read_version(program), (target,), frozenset({"control_plane"}), ("etcd",))
    return Started(source, finish)


def _read_version(program: Path) -> str:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    return said.partition("\n")[0].rpartition(" ")[2]


SERVER = Server(NAME, install, start)
