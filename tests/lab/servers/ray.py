"""A driver of Ray that runs tasks, an actor and a placement group on a head of its own, whose agent exports metrics."""

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
    """Start the driver, which starts the head."""
    python = environment_folder(place.home, NAME) / "bin/python"
    metrics, dashboard = find_free_port(), find_free_port()
    running = place.start(
        NAME,
        [python, PROGRAMS / "ray_work.py", metrics, dashboard, place.short_folder(NAME)],
        environment={
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_raylet_start_wait_time_s": "240",  # a machine that others use is slow to start so many processes
            "HOME": str(place.work_folder(NAME)),
        },
    )
    page = f"http://127.0.0.1:{metrics}/metrics"

    def finish() -> None:
        for metric in (
            "ray_node_cpu_count",
            "ray_gcs_placement_group_count{",
            "ray_tasks{",
            "ray_object_store_memory{",
        ):
            running.wait_for(page, metric)

    labels = {"instance": "ray.lab.test:8080", "namespace": "lab-ray", "pod": "lab-ray-head"}
    target = Target("ray", metrics, labels=labels)
    absent = {"ray_node_gpus_utilization": "the machine has no GPU"}
    source = Source(NAME, "real", pinned(NAME, "ray"), (target,), frozenset({"ray"}), ("Ray",), absent)
    return Started(source, finish)


SERVER = Server(NAME, install, start, listens_widely=True)
