"""The folder in which a window is written before it is scanned: nobody else's to read, and gone with its run.

A run that was killed leaves its folder, unscanned. Each folder is locked by the run that has it, and the kernel ends a
lock with its process: so the next run knows whose are nobody's, whatever the clock or the process ids say.
"""

import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from schemas.errors import UsageError

PREFIX: Final = "snapshot-"

logger = logging.getLogger(__name__)


@contextmanager
def private_folder(work_dir: Path) -> Iterator[Path]:
    """Yield a folder that only this user may enter, gone afterwards; remove those that killed runs have left."""
    try:
        work_dir.mkdir(parents=True, exist_ok=True)
        with _locked(work_dir, wait=True):  # nobody takes a folder for left behind before it is locked
            _remove_left(work_dir)
            folder = Path(tempfile.mkdtemp(dir=work_dir, prefix=PREFIX))  # made with mode 0700
            lock = os.open(folder, os.O_RDONLY)
            with suppress(OSError):  # a file system without locks: nobody removes it, and gc lists it
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise UsageError(f"work_dir {work_dir} cannot be written: {error.strerror}") from None
    try:
        yield folder
    finally:
        _remove(folder)
        os.close(lock)


def make_private(path: Path) -> None:
    """Make an empty file that only this user may read, whatever the umask; who writes to it then leaves that so."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _remove_left(work_dir: Path) -> None:
    for folder in work_dir.glob(f"{PREFIX}*"):
        with _locked(folder, wait=False) as is_ours:
            if is_ours:
                logger.warning("a killed run has left its folder", extra={"folder": folder.name})
                _remove(folder)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        logger.error("folder cannot be removed; do it by hand", extra={"folder": str(folder)})


@contextmanager
def _locked(folder: Path, *, wait: bool) -> Iterator[bool]:
    """Hold the lock of a folder while the block runs; yield whether it could be had."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        yield False
        return
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            held = True
        except OSError:
            held = False
        yield held
    finally:
        os.close(handle)
