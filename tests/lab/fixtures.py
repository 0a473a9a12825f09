"""Real servers as fixtures. A ``conftest.py`` takes one by importing it; all of them share one server."""

import pytest

from tests.lab import LabUnavailable
from tests.lab.rgw import Gateway, start_rgw

_FOUND = pytest.StashKey[Gateway | str]()  # the gateway of this run, or why there is none


@pytest.fixture(scope="session")
def gateway(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Gateway:
    """Return the Ceph RADOS Gateway of this run, or skip. It is shared: make a bucket of your own."""
    # pytest would start one server for each conftest that imports this; the stash makes it one for all.
    if _FOUND not in pytestconfig.stash:
        pytestconfig.stash[_FOUND] = _start(pytestconfig, tmp_path_factory)
    found = pytestconfig.stash[_FOUND]
    if isinstance(found, str):
        pytest.skip(f"Ceph RADOS Gateway not available: {found}")
    return found


def _start(config: pytest.Config, folders: pytest.TempPathFactory) -> Gateway | str:
    try:
        started = start_rgw(folders.mktemp("rgw"), access_key="LABACCESSKEY", secret_key="lab-secret-key")
    except LabUnavailable as error:
        return str(error)
    config.add_cleanup(started.stop)
    return started
