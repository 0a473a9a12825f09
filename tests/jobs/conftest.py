"""What the tests of the command line share: a working source, and a folder of one's own to run in."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.errors import DemoError
from demo.packages import find_programs
from demo.servers import Server, find_free_port, start_prometheus
from tests.jobs.bench import Bench
from tests.jobs.native import native_end, native_server

__all__ = ["native_end", "native_server"]

REPOSITORY = Path(__file__).parents[2]
SCRAPES_ITSELF = """
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: itself
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


@pytest.fixture(scope="session")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real Prometheus that has scraped itself, or a skip."""
    environment = dict(os.environ)  # noqa: TID251 - PROMETHEUS_BIN may name another binary
    port = find_free_port()
    try:
        programs = find_programs(REPOSITORY / ".demo", environment=environment)
        server = start_prometheus(
            programs, tmp_path_factory.mktemp("prometheus"), config=SCRAPES_ITSELF.format(port=port), port=port
        )
    except DemoError as error:
        pytest.skip(str(error))
    with server:
        patience = time.monotonic() + 30
        while b'"value"' not in server.get("/api/v1/query?query=up")[1]:  # it looks for targets every five seconds
            assert time.monotonic() < patience
            time.sleep(0.1)
        yield server


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A folder with a key and a configuration whose source nobody serves."""
    return Bench(tmp_path)
