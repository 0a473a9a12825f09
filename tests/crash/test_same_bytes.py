"""The same commits give the same bytes, wherever, by whom and in which order they are read."""

import json
import os
import random
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from tests.crash.commands import as_text
from tests.crash.conftest import NewLife
from tests.crash.life import VERSION, Life, in_folder
from tests.jobs.bench import OPSPUB

SEED: Final = 20261128
ELSEWHERE: Final = {"TZ": "Asia/Kathmandu", "LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8", "PYTHONHASHSEED": "4711"}


def released(life: Life) -> Mapping[str, bytes]:
    root = life.folder / "work/releases" / VERSION
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def moved(life: Life, folder: Path) -> Life:
    """Copy an installation, its files made in another order."""
    paths = [path for path in life.folder.rglob("*") if path.is_file() and "work" not in path.parts]
    random.Random(SEED).shuffle(paths)
    for path in paths:
        target = folder / path.relative_to(life.folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return replace(life, folder=folder, stores=in_folder(folder)).configure()


def shuffle_runs(life: Life) -> int:
    """Name the files of every commit in another order; return the largest number of files that one has."""
    chance, most = random.Random(SEED), 0
    for path in (life.folder / "staging/commits").rglob("*.json"):
        record = json.loads(path.read_text())
        chance.shuffle(record["files"])
        most = max(most, len(record["files"]))
        path.write_text(json.dumps(record))
    return most


def test_two_builds_on_two_folders_are_the_same_bytes(new_folder_life: NewLife, tmp_path: Path) -> None:
    """Whoever has the snapshots can prove that a release was made from them, on any machine, in any language."""
    life = new_folder_life()
    life.configure(limits={"max_series_per_read": 1})  # many small runs of each metric
    life.succeed("snapshot")
    life.succeed("release")
    wanted = released(life)

    again = moved(life, tmp_path / "elsewhere")
    assert shuffle_runs(again) > 1
    start, end = life.planted.now - life.windows * life.width, life.planted.now
    subprocess.run(
        [OPSPUB, *again.program(), "release", VERSION, "--start", as_text(start), "--end", as_text(end)],
        env={**os.environ, **ELSEWHERE},  # noqa: TID251 - as a person elsewhere would have it
        umask=0o077,
        check=True,
        capture_output=True,
    )

    assert released(again) == wanted
    assert len(wanted) > 10
