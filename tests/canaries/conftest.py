"""The source that is full of canaries, started once."""

from collections.abc import Iterator

import pytest

from demo.errors import DemoError
from tests.canaries.server import CanarySource, start_canary_source


@pytest.fixture(scope="session")
def canary_source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CanarySource]:
    """Return a running server with canaries, or skip with the reason."""
    source = start_canary_source(tmp_path_factory.mktemp("canary-source"))
    try:
        opened = source.__enter__()
    except DemoError as error:
        pytest.skip(f"Prometheus not available: {error}")
    yield opened
    source.__exit__(None, None, None)
