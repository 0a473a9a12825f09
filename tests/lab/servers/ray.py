"""A Ray head with a driver that runs tasks, an actor and a placement group, and whose agent exports metrics."""

from collections.abc import Mapping
from pathlib import Path

from demo.servers import find_free_port
from tests.lab.environments import environment_folder, make_environment, pinned
from tests.lab.place import Place
from tests.lab.servers import PROGRAMS, Server, Started
from tests.lab.sources import Source, Target

NAME = "ray"


def install(home: Path, environment: Mapping[str, str]) -> None:
    """Install Ray with its dashboard, whose agent exports the metrics."""
    make_environment(home, NAME, environment=environment)


def start(place: Place) -> Started:
    """Start the head."""
    folder = environment_folder(place.home, NAME) / "bin"
    head, metrics, dashboard = (find_free_port() for _ in range(3))
    quiet = {"RAY_USAGE_STATS_ENABLED": "0", "HOME": str(place.work_folder(NAME))}
    command: list[str | Path] = [folder / "ray", "start", "--head", "--block", "--disable-usage-stats"]
    command += ["--node-ip-address=127.0.0.1", f"--port={head}", f"--metrics-export-port={metrics}"]
    command += ["--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}", f"--temp-dir={place.short_folder(NAME)}"]
    command += ["--num-cpus=2", "--object-store-memory=100000000"]
    running = place.start(NAME, command, environment=quiet)
    page = f"http://127.0.0.1:{metrics}/metrics"

    def finish() -> None:
        running.wait_for(page, "ray_node_cpu_count")
        driver = [str(folder / "python"), str(PROGRAMS / "ray_work.py"), f"127.0.0.1:{head}"]
        place.start("ray-work", driver, environment=quiet)
        running.wait_for(page, "ray_gcs_placement_group_count{")
        running.wait_for(page, "ray_tasks{")

    labels = {"instance": "ray.lab.test:8080", "namespace": "lab-ray", "pod": "lab-ray-head"}
    target = Target("ray", metrics, labels=labels)
    absent = {"ray_node_gpus_utilization": "the machine has no GPU"}
    source = Source(NAME, "real", pinned(NAME, "ray"), (target,), frozenset({"ray"}), ("Ray",), absent)
    return Started(source, finish)


SERVER = Server(NAME, install, start, listens_widely=True)
