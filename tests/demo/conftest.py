"""What the tests of the quick start share: one simulated day, and the programs unpacked once per checkout."""

from __future__ import annotations

import os

import pytest

from demo.cluster import Series, build_series
from demo.errors import DemoError
from demo.packages import Programs, find_programs
from tests.demo.builders import DAY_SPAN, REPOSITORY, SEED


@pytest.fixture(scope="session")
def day() -> list[Series]:
    """All series of 26 hours."""
    return build_series(SEED, DAY_SPAN)


@pytest.fixture(scope="session")
def programs() -> Programs:
    """Prometheus, promtool and node_exporter; PROMETHEUS_BIN chooses another Prometheus."""
    environment = dict(os.environ)  # noqa: TID251 - the tests' one reading of the environment
    try:
        return find_programs(REPOSITORY / ".demo", environment=environment)
    except DemoError as error:
        pytest.skip(str(error))
