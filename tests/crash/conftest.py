"""The planted world, the warm process, and installations on a folder and on a real S3 server."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.crash.commands import WarmProcess
from tests.crash.life import Buckets, Life, Stores, in_folder, make_first
from tests.crash.planted import Planted, plant
from tests.lab.fixtures import gateway
from tests.lab.rgw import Gateway
from tests.prometheus.fixtures import prometheus
from tests.prometheus.server import RealPrometheus
from tests.store.places import use_credentials
from tests.store.s3_proxy import S3Proxy, s3_proxy

__all__ = ["gateway", "prometheus"]

NewLife = Callable[[], Life]
NewProxiedLife = Callable[[], tuple[Life, S3Proxy]]


@pytest.fixture(scope="session")
def planted(prometheus: RealPrometheus) -> Planted:
    """The shared server with a day that is known."""
    return plant(prometheus)


@pytest.fixture(scope="session")
def warm() -> Iterator[WarmProcess]:
    """The process whose children run commands."""
    started = WarmProcess()
    yield started
    started.stop()


@pytest.fixture(scope="session")
def first(planted: Planted, warm: WarmProcess, tmp_path_factory: pytest.TempPathFactory) -> Life:
    """An installation that has published one release; lives begin as copies of it."""
    return make_first(planted, warm, tmp_path_factory.mktemp("first") / "life")


@pytest.fixture(scope="session")
def credentials(gateway: Gateway) -> Iterator[Gateway]:
    """The gateway, with its keys in the environment of this process."""
    with pytest.MonkeyPatch.context() as patch:
        use_credentials(patch, gateway.access_key, gateway.secret_key)
        yield gateway


@pytest.fixture(scope="session")
def buckets(credentials: Gateway) -> Buckets:
    """A private and a public bucket for all lives."""
    return Buckets.make(credentials)


@pytest.fixture
def new_folder_life(first: Life, tmp_path: Path) -> NewLife:
    """Begin a life in a folder."""
    numbers = count()

    def begin() -> Life:
        folder = tmp_path / f"life-{next(numbers)}"
        return _copy(first, folder, in_folder(folder))

    return begin


@pytest.fixture
def new_bucket_life(first: Life, tmp_path: Path, buckets: Buckets) -> NewLife:
    """Begin a life on the real S3 server."""
    numbers = count()

    def begin() -> Life:
        folder = tmp_path / f"life-{next(numbers)}"
        return _copy(first, folder, buckets.stores(f"{tmp_path.name}-{folder.name}"))

    return begin


@pytest.fixture
def new_proxied_life(first: Life, tmp_path: Path, buckets: Buckets) -> Iterator[NewProxiedLife]:
    """Begin a life whose commands reach the real S3 server through a proxy; its readers go past that."""
    numbers = count()

    with s3_proxy(buckets.public.endpoint_url) as proxy:

        def begin() -> tuple[Life, S3Proxy]:
            folder = tmp_path / f"life-{next(numbers)}"
            stores = buckets.stores(f"{tmp_path.name}-{folder.name}", endpoint_url=proxy.endpoint_url)
            proxy.numbers.clear()
            return _copy(first, folder, stores), proxy

        yield begin


@pytest.fixture(params=["folder", "s3"])
def new_life(request: pytest.FixtureRequest) -> NewLife:
    """Begin a life on a store of each kind."""
    name = "new_folder_life" if request.param == "folder" else "new_bucket_life"
    found: NewLife = request.getfixturevalue(name)
    return found


def _copy(first: Life, folder: Path, stores: Stores) -> Life:
    return Life(first.planted, first.warm, folder, stores).begin(first)
