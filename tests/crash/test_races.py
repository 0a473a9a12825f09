"""Eight runs started at one moment over the same windows: each window has one commit, and nothing else counts."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from tests.crash.commands import Request, WarmProcess
from tests.crash.life import TABLES, VERSION, Buckets, Life, in_folder
from tests.crash.planted import Planted
from tests.store.places import FULL

RUNS: Final = 8
WIDTH, WINDOWS = (timedelta(hours=1), 24) if FULL else (timedelta(minutes=10), 4)


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_of_eight_runs_at_once_one_commits_each_window(
    planted: Planted, warm: WarmProcess, tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    """Two CronJobs that overlap, a backfill beside them, a person at a keyboard: the store alone decides."""
    folder = tmp_path / "life"
    if kind == "folder":
        stores = in_folder(folder)
    else:
        buckets: Buckets = request.getfixturevalue("buckets")
        stores = buckets.stores(f"race-{tmp_path.name}")
    life = Life(planted, warm, folder, stores, windows=WINDOWS, width=WIDTH).configure()
    for group in ("key", "signing"):
        assert warm.run(Request((*life.program(), group, "new"), clock=(planted.now.isoformat(),))).code == 0

    ended = warm.run_all(life.request("snapshot", "--log", "json", "--verbose", count=RUNS, timeout=280))

    events = [[json.loads(line) for line in each.err.splitlines() if line.startswith("{")] for each in ended]
    won = [[event for event in said if event["event"] == "window committed"] for said in events]
    lost = [[event for event in said if event["event"] == "table not committed"] for said in events]
    assert sum(map(len, won)) == life.count_commits() == WINDOWS * len(TABLES)
    assert {each.code for each in ended} <= {0, 7}
    assert [bool(some) for some in lost] == [each.code == 7 for each in ended]
    assert any(lost), "no two runs met: the test has shown nothing"
    life.assert_only_what_counts()
    assert life.succeed("snapshot").result["due"] == 0
    life.succeed("release")
    life.succeed("publish")
    life.assert_exact(VERSION, tmp_path / "cache")
