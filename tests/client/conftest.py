"""One store for the tests that only read, a fresh one for those that break it, both over HTTP if asked."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from opscommons import _places
from tests.client.builders import Planted, write_store
from tests.client.server import Server, serve


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that no test changes."""
    root = tmp_path_factory.mktemp("public")
    write_store(root)
    return root


@pytest.fixture
def planted(tmp_path: Path) -> Planted:
    """The one release of a store of the test's own."""
    return write_store(tmp_path / "public")[0]


@pytest.fixture
def server(planted: Planted) -> Iterator[Server]:
    """A server over that store's parent folder, so that the store itself is at ``/public``."""
    with serve(planted.folder.parents[2]) as running:
        yield running


@pytest.fixture
def url(server: Server) -> str:
    return f"{server.url}/public"


@pytest.fixture(autouse=True)
def _own_cache_and_no_pauses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSCOMMONS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("OPSCOMMONS_URL", raising=False)
    monkeypatch.setattr(_places, "FIRST_PAUSE_SECONDS", 0.001)
