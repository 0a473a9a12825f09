"""When a run gives up, and when it goes on although windows fail."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from anonymize.keys import add_key, read_ring
from jobs.config import Settings
from jobs.snapshot.run import _Run
from jobs.source import OpenSource
from jobs.store.folder import FolderStore
from schemas.errors import SourceError
from schemas.registry import find_table, read_policy
from schemas.windows import Window

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


class FailingSource:
    """Every window of it fails; it answers a probe or it does not."""

    def __init__(self, *, answers: bool) -> None:
        self.answers = answers
        self.asked: list[int] = []
        self.server = SimpleNamespace(lookback_includes_edge=True)
        self.reader = SimpleNamespace(api=SimpleNamespace(query=self._query))

    def read_frame(self, grid: Any) -> None:  # noqa: ANN401 - a fake takes what it is given
        self.asked.append(grid.start_ms)
        raise SourceError("kube_node_info: made-up failure")

    def _query(self, promql: str, *, at_ms: int) -> list[dict[str, Any]]:
        if not self.answers:
            raise SourceError("no connection, made up")
        return [{"metric": {}, "value": [at_ms / 1000, "1"]}]


def a_run(folder: Path, source: FailingSource) -> _Run:
    add_key(folder / "ring", now=NOON, valid_from=None)
    settings = Settings.model_validate(
        {"source": {"name": "lab", "url": "http://127.0.0.1:9"}, "work_dir": str(folder / "work")}
    )
    return _Run(
        settings,
        cast("OpenSource", source),
        FolderStore(folder / "staging"),
        read_policy("default"),
        read_ring(folder / "ring"),
        lambda: NOON,
        "0",
    )


def collect_hours(run: _Run, count: int) -> None:
    for number in range(count):
        run.collect_window(Window(NOON + number * HOUR, NOON + (number + 1) * HOUR), [find_table("node")])


def test_windows_that_fail_by_themselves_starve_no_others(tmp_path: Path) -> None:
    """A backlog behind two windows that can never be collected would otherwise be lost to the retention."""
    source = FailingSource(answers=True)
    run = a_run(tmp_path, source)

    collect_hours(run, 5)

    assert len(source.asked) == 5
    assert len(run.result.failures) == 5


def test_a_source_that_is_down_is_not_asked_for_every_window(tmp_path: Path) -> None:
    """A thousand windows of backlog times the time limit of a request would hold the next run up for hours."""
    source = FailingSource(answers=False)

    with pytest.raises(SourceError, match="made-up failure"):
        collect_hours(a_run(tmp_path, source), 5)

    assert len(source.asked) == 2
