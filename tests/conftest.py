"""What holds for every test, and how tests are shared out between processes."""

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import settings

from demo.errors import DemoError
from demo.packages import find_programs

ROOT = Path(__file__).parents[1]
WORLD = "e2e"
"""The folder whose tests share one whole demo, which takes as long to make as all of them to run."""

# a busy machine is no reason to fail; pytest's own time limit ends what hangs
settings.register_profile("opscommons", deadline=None, database=None)
settings.load_profile("opscommons")


def pytest_configure(config: pytest.Config) -> None:
    """Get the servers' packages before there are several processes that would."""
    if getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput"):
        with contextlib.suppress(DemoError):  # the tests that need them say why they skip
            find_programs(ROOT / ".demo", environment=dict(os.environ))  # noqa: TID251 - where the programs are


@pytest.hookimpl(tryfirst=True)  # xdist reads the marks in this hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each file, and the whole of the demo's folder, to one process; the longest goes first."""

    def group_of(item: pytest.Item) -> str:
        path = item.path.relative_to(ROOT)
        return WORLD if WORLD in path.parts else path.as_posix()

    for item in items:
        item.add_marker(pytest.mark.xdist_group(group_of(item)))
    items.sort(key=lambda item: group_of(item) != WORLD)
