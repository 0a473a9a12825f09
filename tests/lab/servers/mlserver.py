"""MLServer, which Seldon serves models with, and a model that doubles numbers and sometimes cannot."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError

from demo.servers import find_free_port
from tests.lab.environments import environment_folder, make_environment, pinned
from tests.lab.place import Place, call
from tests.lab.servers import PROGRAMS, Server, Started
from tests.lab.sources import Source, Target

NAME = "mlserver"
MODEL = "lab-model"


def install(home: Path, environment: Mapping[str, str]) -> None:
    """Install MLServer without any of its runtimes."""
    make_environment(home, NAME, environment=environment)


def start(place: Place) -> Started:
    """Start the server with one model."""
    http, grpc, metrics = (find_free_port() for _ in range(3))
    folder = place.work_folder(NAME)
    settings = {
        "host": "127.0.0.1",
        **{"http_port": http, "grpc_port": grpc, "metrics_port": metrics},
        "parallel_workers": 0,
        "metrics_dir": str(place.work_folder(f"{NAME}-metrics")),
    }
    (folder / "settings.json").write_text(json.dumps(settings), "utf-8")
    model = {"name": MODEL, "implementation": "mlserver_model.Doubling"}
    (folder / "model-settings.json").write_text(json.dumps(model), "utf-8")
    running = place.start(
        NAME,
        [environment_folder(place.home, NAME) / "bin/mlserver", "start", folder],
        environment={"PYTHONPATH": str(PROGRAMS)},
    )

    def finish() -> None:
        running.wait_for(f"http://127.0.0.1:{http}/v2/models/{MODEL}/ready")
        for data in ([1.0, 2.0], [3.0, 4.0], ["no number", "nor this"]):
            inputs = [{"name": "given", "shape": [2], "datatype": "FP64", "data": data}]
            with suppress(HTTPError):  # the last one fails on purpose
                call(f"http://127.0.0.1:{http}/v2/models/{MODEL}/infer", {"inputs": inputs})

    labels = {"instance": "mlserver.lab.test:8082", "namespace": "lab-models", "pod": "lab-model-0"}
    target = Target("mlserver", metrics, labels=labels)
    source = Source(NAME, "real", pinned(NAME, "mlserver"), (target,), frozenset({"seldon"}), ("MLServer",))
    return Started(source, finish)


SERVER = Server(NAME, install, start)
