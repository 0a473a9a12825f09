"""A Python model server of KServe that serves one model."""

from collections.abc import Mapping
from pathlib import Path

from demo.servers import find_free_port
from tests.lab.environments import environment_folder, make_environment, pinned
from tests.lab.place import Place, call
from tests.lab.servers import PROGRAMS, Server, Started
from tests.lab.sources import Source, Target

NAME = "kserve"
MODEL = "lab-model"


def install(home: Path, environment: Mapping[str, str]) -> None:
    """Install KServe's library for servers."""
    make_environment(home, NAME, environment=environment)


def start(place: Place) -> Started:
    """Start the server."""
    port = find_free_port()
    running = place.start(
        NAME,
        [
            *(environment_folder(place.home, NAME) / "bin/python", PROGRAMS / "kserve_model.py", MODEL),
            *("--http_port", str(port), "--enable_grpc", "false"),
        ],
    )

    def finish() -> None:
        running.wait_for(f"http://127.0.0.1:{port}/v1/models/{MODEL}")
        for number in range(5):
            call(f"http://127.0.0.1:{port}/v1/models/{MODEL}:predict", {"instances": [number]})
        call(f"http://127.0.0.1:{port}/v1/models/{MODEL}:explain", {"instances": [1]})

    labels = {"instance": "kserve.lab.test:8080", "namespace": "lab-models", "pod": "lab-model-predictor-0"}
    target = Target("kserve", port, labels=labels)
    source = Source(NAME, "real", pinned(NAME, "kserve"), (target,), frozenset({"kserve"}), ("KServe",))
    return Started(source, finish)


SERVER = Server(NAME, install, start, listens_widely=True)
