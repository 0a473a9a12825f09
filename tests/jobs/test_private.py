"""What is not scanned yet lies in a folder that nobody else may read, and that goes with its run, however that ends."""

import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from jobs.snapshot.private import private_folder
from jobs.snapshot.runs import RunWriter, begin_run
from schemas.errors import UsageError
from tests.jobs.builders import a_node_schema

HOLDER = """
    import sys, time
    from pathlib import Path
    from jobs.snapshot.private import private_folder
    with private_folder(Path(sys.argv[1])) as folder:
        (folder / "run-0.parquet").write_text("unscanned")
        print(folder.name, flush=True)
        time.sleep(600)
"""


@pytest.fixture
def open_umask() -> Iterator[None]:
    """The most careless of all."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_umask")
def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    with private_folder(tmp_path / "work") as folder, RunWriter(folder, a_node_schema()) as writer:
        writer.begin(begin_run("node_load1", most_rows=1, values=np.zeros(1)))

        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert [stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()] == [0o600]


def test_it_is_gone_when_the_work_fails(tmp_path: Path) -> None:
    def work() -> None:
        with private_folder(tmp_path / "work") as folder:
            (folder / "run-0.parquet").write_text("unscanned")
            raise KeyError

    with pytest.raises(KeyError):
        work()

    assert not list((tmp_path / "work").iterdir())


@contextmanager
def holding(work: Path) -> "Iterator[tuple[subprocess.Popen[str], str]]":
    """Have a process that has a folder; yield it and the folder's name."""
    command = [sys.executable, "-c", textwrap.dedent(HOLDER), str(work)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def test_the_next_run_removes_what_a_killed_one_left_and_nobody_elses(tmp_path: Path) -> None:
    """Two runs may share a work folder: the lock tells whose owner lives, and a clock or a process id could not."""
    work = tmp_path / "work"
    with holding(work) as (killed, dead), holding(work) as (_, held):
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        (work / "releases").mkdir()
        assert (work / dead / "run-0.parquet").exists()

        with private_folder(work) as own:
            assert sorted(path.name for path in work.iterdir()) == sorted([held, own.name, "releases"])
        assert (work / held / "run-0.parquet").exists()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """Whoever may write to the work folder could else have anything removed."""
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/file").touch()
    (tmp_path / "work").mkdir()
    (tmp_path / "work/snapshot-link").symlink_to(tmp_path / "precious")

    with private_folder(tmp_path / "work"):
        pass

    assert (tmp_path / "precious/file").exists()


def test_without_locks_nothing_is_taken_for_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some network file systems have none; there, gc lists what is old."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)
    (tmp_path / "snapshot-somebody").mkdir()

    with private_folder(tmp_path):
        pass

    assert [path.name for path in tmp_path.iterdir()] == ["snapshot-somebody"]


def test_a_work_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "work").touch()

    with (
        pytest.raises(UsageError, match=r"work_dir .* cannot be written: File exists"),
        private_folder(tmp_path / "work"),
    ):
        pass
