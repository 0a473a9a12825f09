"""A job that is told to stop, a disk that is full or read-only, a clock that goes back: clear, and whole afterwards."""

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from jobs.clock import read_clock
from tests.crash.conftest import NewLife
from tests.crash.life import COMMANDS, WINDOWS, Life
from tests.crash.test_kills import ALLOWED
from tests.store.places import FULL

SEED: Final = 20261128
STOPS: Final = 10 if FULL else 1


@pytest.mark.timeout(3600)
def test_a_job_that_is_told_to_stop_does_so_cleanly_and_the_next_run_goes_on(
    new_folder_life: NewLife, tmp_path: Path
) -> None:
    """A pod has half a minute; one that has kept what it finished loses nothing when its node goes away."""
    chance = random.Random(SEED)
    whole = new_folder_life()
    calls = {command: len(whole.succeed(command).calls) for command in COMMANDS}

    for _ in range(STOPS):
        life = new_folder_life()
        for command in COMMANDS:
            ended = life.run(command, at=chance.randrange(2, calls[command] - 1), signal="TERM", timeout=10)
            assert ended.code == 8, ended.err
            assert "told to stop; " in ended.line
            assert not [path for path in (life.folder / "work").rglob(".*") if path.is_dir()], "half a release is left"
            assert not list(life.folder.glob("*/.incoming/*"))
            assert life.read_state(tmp_path / "cache") in ALLOWED[command]
            life.succeed(command)
        assert life.read_state(tmp_path / "cache") == "retracted"


def test_a_backfill_that_is_told_to_stop_keeps_its_progress_and_goes_on(new_folder_life: NewLife) -> None:
    """It is the command that runs for days; what its windows have committed is never collected again."""
    chance = random.Random(SEED)
    calls = len(new_folder_life().succeed("backfill").calls)
    life = new_folder_life()
    begun = life.count_commits()

    kept = [begun]
    for at in sorted(chance.sample(range(2, calls - 1), STOPS)):
        ended = life.run("backfill", at=at, signal="TERM", timeout=10)
        kept.append(life.count_commits())
        assert ended.code == 8 or (ended.code, kept[-1]) == (0, begun + 2 * WINDOWS), ended.err
        assert ended.code == 0 or f"told to stop; {kept[-1] - kept[-2]} of " in ended.line
        assert not list(life.folder.glob("*/.incoming/*"))
    rest = life.succeed("backfill").result["commits"]

    assert kept == sorted(kept)
    assert kept[-1] + rest == life.count_commits() == begun + 2 * WINDOWS
    life.assert_only_what_counts()


@contextmanager
def small_disk(folder: Path, *, room: int) -> Iterator[Path]:
    """Put a folder on a file system of its own that has ``room`` bytes left, or skip where this is not allowed."""
    kept = folder.with_name(f"{folder.name}-before")
    folder.mkdir(exist_ok=True)
    used = 4096 + sum(4096 * (1 + (path.stat().st_size - 1) // 4096) for path in folder.rglob("*") if path.is_file())
    folder.rename(kept)
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={used + room},mode=755", "opscommons-test", str(folder)]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        folder.rmdir()
        kept.rename(folder)
        pytest.skip("file systems cannot be mounted here")
    try:
        shutil.copytree(kept, folder, dirs_exist_ok=True)
        if not room:
            (folder / "ballast").write_bytes(bytes(shutil.disk_usage(folder).free))
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


FULL_DISKS: Final = [
    ("snapshot", "staging", 28 << 10, 6),
    ("snapshot", "work", 0, 6),  # one page holds a staged file, and there is one at a time
    ("release", "work", 12 << 10, 2),
    ("publish", "public", 28 << 10, 6),
]


@pytest.mark.parametrize(("command", "place", "room", "code"), FULL_DISKS if FULL else FULL_DISKS[::3])
def test_a_full_disk_is_one_clear_line_and_all_is_whole_when_it_has_room_again(
    new_folder_life: NewLife, tmp_path: Path, command: str, place: str, room: int, code: int
) -> None:
    life = new_folder_life()
    life.reach(command)
    with small_disk(life.folder / place, room=room) as disk:
        ended = life.run(command)

        assert ended.code == code, ended.err
        assert "No space left on device" in ended.line
        assert life.read_state(tmp_path / "cache") == "without"
        remount(disk, "size=64m")
        finish(life, command, tmp_path)


READ_ONLY: Final = [
    ("snapshot", "staging", 6),
    ("snapshot", "work", 2),
    ("release", "work", 2),
    ("publish", "public", 6),
    ("retract", "public", 6),
]


@pytest.mark.parametrize(("command", "place", "code"), READ_ONLY if FULL else READ_ONLY[-1:])
def test_a_read_only_disk_is_one_clear_line_and_all_is_whole_when_it_is_not_any_more(
    new_folder_life: NewLife, tmp_path: Path, command: str, place: str, code: int
) -> None:
    life = new_folder_life()
    life.reach(command)
    with small_disk(life.folder / place, room=64 << 20) as disk:
        before = life.read_state(tmp_path / "cache")
        remount(disk, "ro")

        ended = life.run(command)

        assert ended.code == code, ended.err
        assert "Read-only file system" in ended.line
        assert life.read_state(tmp_path / "cache") == before
        remount(disk, "rw")
        finish(life, command, tmp_path)


def finish(life: Life, command: str, tmp_path: Path) -> None:
    """Run everything from a command on that makes a release public, and assert that it is exact."""
    for each in COMMANDS[COMMANDS.index(command) :]:
        if each == "retract":
            assert life.read_state(tmp_path / "cache") == "published"
        life.succeed(each)
    assert life.read_state(tmp_path / "cache") == "retracted"


def test_a_clock_that_goes_back_within_and_between_runs_loses_and_doubles_nothing(
    new_folder_life: NewLife, tmp_path: Path
) -> None:
    life, now = new_folder_life(), new_folder_life().planted.now
    back = tuple((now - step * timedelta(minutes=7)).isoformat() for step in range(4))

    assert life.succeed("snapshot", clock=back).result["commits"] == 6
    assert life.succeed("snapshot", clock=back[3:]).result["due"] == 2  # an older window, due by that clock
    life.succeed("release", clock=back)
    early = life.run("publish", clock=back[3:])
    assert early.code == 5
    assert "wanted one of the last day" in early.line
    life.succeed("publish", clock=back)

    assert life.read_state(tmp_path / "cache") == "published"


def test_a_clock_that_is_ahead_gives_no_hour_away(new_folder_life: NewLife, tmp_path: Path) -> None:
    """Windows that are yet to come have no series, and a commit that says so would stay when the clock is set."""
    life = new_folder_life()
    life.configure(collection={"max_catch_up": "2h"})
    clock = (read_clock() + timedelta(hours=2)).isoformat()

    due = life.succeed("snapshot", clock=(clock,)).result["due"]

    assert due
    assert max(commits_of(life)) < f"{read_clock():%Y%m%dT%H%M%SZ}"


def commits_of(life: Life) -> list[str]:
    """Return the starts of committed windows, as keys name them."""
    names = (key.rpartition("/")[2] for key in life.stores.open_staging().list("commits/"))
    return sorted(name.removesuffix(".json") for name in names)
