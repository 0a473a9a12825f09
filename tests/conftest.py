"""What holds for every test, and how tests are shared out between processes."""

import contextlib
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from demo.errors import DemoError
from demo.packages import find_programs

ROOT = Path(__file__).parents[1]
WORLD = "tests/e2e/"
"""The folder whose tests share one whole demo, which takes as long to make as all of them to run."""

# a busy machine is no reason to fail; pytest's own time limit ends what hangs
settings.register_profile("opscommons", deadline=None, database=None)
settings.load_profile("opscommons")


def pytest_configure(config: pytest.Config) -> None:
    """Get the servers' packages before there are several processes that would."""
    if getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput"):
        with contextlib.suppress(DemoError):  # the tests that need them say why they skip
            find_programs(ROOT / ".demo", environment=dict(os.environ))  # noqa: TID251 - where the programs are


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the longest go first, and wait longer for what they share on a busy machine."""
    items.sort(key=lambda item: group_of(item.nodeid) != WORLD)
    for item in items:
        if group_of(item.nodeid) == WORLD:
            item.add_marker(pytest.mark.timeout(1200))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:  # noqa: ANN401 - xdist's own types
    """Give each file, and the whole of the demo's folder, to one process."""
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return ByGroup(config, log)


def group_of(nodeid: str) -> str:
    """Return what the tests of one process have in common."""
    file = nodeid.partition("::")[0]
    return WORLD if file.startswith(WORLD) else file
