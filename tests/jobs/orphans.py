"""Staged files with and without commits, old and young, and what a clean-up tells of them."""

import hashlib
import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from jobs.clock import read_clock
from jobs.config import Settings
from jobs.gc import Orphan, run_gc
from jobs.snapshot.commits import commit, data_key, put_files
from jobs.store import WholeStore
from schemas.commit import CommitFile, RawScan
from schemas.windows import Window
from tests.jobs.builders import a_commit_record, a_node_schema

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
DAY = 24 * HOUR
START = datetime(2026, 11, 1, tzinfo=UTC)
NODE = a_node_schema()


def window(hour: int) -> Window:
    return Window(START + hour * HOUR, START + (hour + 1) * HOUR)


def stage(store: WholeStore, folder: Path, content: bytes, hour: int, source: str = "lab") -> CommitFile:
    """Write a staged file under its content name, as a snapshot does before its commit."""
    sha256 = hashlib.sha256(content).hexdigest()
    path = folder / sha256
    path.write_bytes(content)
    key = data_key(source, NODE, window(hour), sha256)
    put_files(store, {key: path})
    return CommitFile(path=key, sha256=sha256, bytes=len(content), rows=1, raw_scan=RawScan(searched=1, hits=0))


def commit_files(store: WholeStore, hour: int, *files: CommitFile, source: str = "lab") -> None:
    commit(
        store,
        a_commit_record(window(hour).start, run="run-1", source=source, files=files, created=START),
    )


def grow_old(folder: Path, *patterns: str, by: timedelta = 2 * DAY) -> None:
    """Let files look as if they had been written long ago."""
    then = (read_clock() - by).timestamp()
    for pattern in patterns or ("**/*",):
        for path in sorted(folder.glob(pattern), reverse=True):
            with suppress(FileNotFoundError):  # somebody sweeps
                os.utime(path, (then, then), follow_symlinks=False)


def clean(
    settings: Settings, *, grace: timedelta = DAY, apply: bool = True, now: datetime | None = None
) -> list[Orphan]:
    return run_gc(settings, grace=grace, apply=apply, now=now or read_clock()).orphans


def told(orphans: list[Orphan]) -> list[tuple[str, str]]:
    return sorted((orphan.key, orphan.what) for orphan in orphans)
