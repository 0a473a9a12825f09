"""One whole demo for all end-to-end tests: real Prometheus, two releases, below a temporary folder."""

import os
import shutil
from collections.abc import Iterator

import pytest

from demo.errors import DemoError
from demo.packages import find_programs
from demo.run import ROOT, main
from demo.source import main as bring_source
from tests.e2e.names import find_planted
from tests.e2e.world import World

HOURS = 26 if os.environ.get("OPSCOMMONS_TEST_FULL") else 8  # noqa: TID251 - tests may look


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[World]:
    """The demo, run once: stores, logs and a server that still answers."""
    root = tmp_path_factory.mktemp("world")
    environment = dict(os.environ)  # noqa: TID251
    environment.pop("PROMETHEUS_URL", None)
    try:
        programs = find_programs(ROOT / ".demo", environment=environment)
    except DemoError as error:
        pytest.skip(f"Prometheus not available: {error}")
    environment["PATH"] = f"{programs.prometheus.parent}{os.pathsep}{environment['PATH']}"
    (root / "demo").mkdir()
    shutil.copy(ROOT / "demo/attacks.json", root / "demo")
    for name in ("real.yaml", "sim.yaml"):
        text = (ROOT / "demo" / name).read_text("utf-8")
        # two windows of the live machine in half a minute instead of two
        (root / "demo" / name).write_text(text.replace("window: 1m", "window: 15s"), "utf-8")
    capture = request.config.pluginmanager.getplugin("capturemanager")
    assert capture is not None
    log = root / "output.txt"
    with log.open("w") as file, capture.global_and_fixture_disabled(), _redirected(file.fileno()):
        code = main(environment, root=root, hours=HOURS)
    try:
        assert code == 0, log.read_text("utf-8")
        yield World(root, environment)
    finally:
        bring_source(["down", "--folder", str(root / ".demo")], environment=environment, now=0.0)
        shutil.rmtree(root / ".demo", ignore_errors=True)


@pytest.fixture(scope="session")
def planted(world: World) -> frozenset[str]:
    """What must be nowhere: every name that was planted."""
    return find_planted(world)


class _redirected:
    """Send this process's and its children's output to a file, where tests can search it."""

    def __init__(self, target: int) -> None:
        self.target = target

    def __enter__(self) -> None:
        self.saved = [os.dup(1), os.dup(2)]
        os.dup2(self.target, 1)
        os.dup2(self.target, 2)

    def __exit__(self, *exception: object) -> None:
        import sys

        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, saved in zip((1, 2), self.saved, strict=True):
            os.dup2(saved, descriptor)
            os.close(saved)
