"""A place of each kind for every test of the contract."""

from pathlib import Path

import pytest

from jobs.store import WholeStore
from tests.lab.fixtures import gateway
from tests.lab.rgw import Gateway
from tests.store.places import BucketPlace, FolderPlace, Place, use_credentials

__all__ = ["gateway"]


@pytest.fixture
def bucket_place(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> BucketPlace:
    """Return a new bucket on the real server, with credentials that may use it."""
    use_credentials(monkeypatch, gateway.access_key, gateway.secret_key)
    return BucketPlace(gateway)


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Return an empty place of each kind."""
    if request.param == "folder":
        return FolderPlace(tmp_path / "store")
    found: BucketPlace = request.getfixturevalue("bucket_place")
    return found


@pytest.fixture
def store(place: Place) -> WholeStore:
    """Return a store object on the empty place."""
    return place.open()
