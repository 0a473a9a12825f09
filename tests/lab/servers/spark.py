"""A Spark application with two executors, whose driver tells of both, and Spark's Prometheus servlet beside it.

The servlet puts the application's id into every name of a metric: none of them may leave.
"""

from collections.abc import Mapping
from pathlib import Path

from demo.servers import find_free_port
from tests.lab.environments import environment_folder, make_environment, pinned, require_java
from tests.lab.place import Place
from tests.lab.servers import PROGRAMS, Server, Started
from tests.lab.sources import Source, Target

NAME = "spark"
OLD_NAMES = (
    *("totalCores_Count", "activeTasks_Count", "completedTasks_Count", "failedTasks_Count", "totalGCTime_Value"),
    *("totalInputBytes_Count", "totalShuffleRead_Count", "totalShuffleWrite_Count", "memoryUsed_Count"),
)


def install(home: Path, environment: Mapping[str, str]) -> None:
    """Install PySpark, which brings Spark; Java must be there."""
    require_java(environment=environment)
    make_environment(home, NAME, environment=environment)


def start(place: Place) -> Started:
    """Start the application."""
    port = find_free_port()
    python = environment_folder(place.home, NAME) / "bin/python"
    running = place.start(
        NAME,
        [python, PROGRAMS / "spark_work.py", port],
        environment={"SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": str(python)},
    )
    page = "/metrics/executors/prometheus/"

    def finish() -> None:
        running.wait_for(f"http://127.0.0.1:{port}{page}", 'executor_id="1"')

    labels = {"namespace": "lab-spark", "pod": "lab-application-driver"}
    targets = (
        Target("spark", port, page, {"instance": "spark.lab.test:4040", **labels}),
        Target("spark-servlet", port, "/metrics/prometheus/", {"instance": "spark.lab.test:4040", **labels}),
    )
    absent = {f"metrics_executor_{name}": "a name of older versions" for name in OLD_NAMES}
    source = Source(NAME, "real", pinned(NAME, "pyspark"), targets, frozenset({"spark"}), ("Spark",), absent)
    return Started(source, finish)


SERVER = Server(NAME, install, start)
