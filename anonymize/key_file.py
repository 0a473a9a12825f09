"""A file that holds secrets: who may read it, one writer at a time, and nothing of an old one left behind.

Whoever replaces the file holds a lock on it; a reader always finds the whole old or the whole new text.
"""

import fcntl
import os
import re
import secrets
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from schemas.errors import PrivacyError

_LARGEST: Final = 1 << 20
_READ: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe without a writer must not block


@dataclass(frozen=True)
class SecretKind:
    """What a file of secrets is, and whose commands make and show it: for messages alone."""

    name: str
    commands: str

    @property
    def hint(self) -> str:
        """How to mend a file that is missing or strange."""
        return f"make one with '{self.commands} new'"


RING: Final = SecretKind("key ring", "opspub key")


def find_exposure(status: os.stat_result, folder: os.stat_result, *, user: int, groups: Collection[int]) -> str | None:
    """Return why others than ``user`` could read or replace a file of that status in that folder. Pure.

    A group may read it if ``user`` is in that group: so Kubernetes mounts a Secret for the ``fsGroup`` of a pod.
    """
    mode = stat.S_IMODE(status.st_mode)
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        return (
            f"has mode {mode:04o}; wanted 0600, no access for others: "
            "anyone could have read it, so make a new key unless nothing was published with it"
        )
    if mode & stat.S_IRGRP and status.st_gid not in groups:
        return f"has mode {mode:04o} and the group {status.st_gid}, which is not this user's; wanted 0600"
    if status.st_uid not in (user, 0):
        return f"belongs to user {status.st_uid}; wanted {user}, who reads it, or root: its owner can replace it"
    if folder.st_mode & stat.S_IWOTH and not folder.st_mode & stat.S_ISVTX:
        return "lies in a folder that everybody may write, so anyone could replace it; wanted a folder of your own"
    return None


def read_private(path: Path, kind: SecretKind = RING) -> str:
    """Return the text of a file that only this user can read; raise ``PrivacyError`` for any other."""
    with _translated(path, "read", kind):
        while True:
            descriptor = os.open(path, _READ)
            try:
                content = _read(path, descriptor, kind)
                if os.path.samestat(path.stat(), os.fstat(descriptor)):
                    return _decode(path, content, kind)
            finally:
                os.close(descriptor)  # it was replaced meanwhile, so what we read may be overwritten already


def create_private(path: Path, text: str, kind: SecretKind = RING) -> None:
    """Make a file with mode 0600; raise ``PrivacyError`` where there is one: it may be in use already."""
    with _translated(path, "written", kind):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _write_beside(path, text)
        try:
            path.hardlink_to(temporary)
        except (FileExistsError, FileNotFoundError):  # not found: whoever was first has swept it
            with suppress(FileNotFoundError):
                _shred(temporary)
            raise PrivacyError(f"another call made {path} meanwhile; look at it with '{kind.commands} show'") from None
        temporary.unlink(missing_ok=True)
        _sync(path.parent)


@dataclass(frozen=True)
class HeldFile:
    """A file that nobody else replaces meanwhile. ``path`` is the file itself, whatever links led to it."""

    path: Path
    text: str

    def replace(self, text: str) -> None:
        """Put another text in its place at once, and overwrite the old one where it lies."""
        with _translated(self.path, "written"):
            temporary = _write_beside(self.path, text)
            aside = _beside(self.path)
            aside.hardlink_to(self.path)  # keeps a name, so that a later run can overwrite it if this one dies
            temporary.replace(self.path)
            _sync(self.path.parent)
            with suppress(FileNotFoundError):  # the next writer, who holds the new file, has swept it already
                _shred(aside)


@contextmanager
def hold_private(path: Path) -> Iterator[HeldFile]:
    """Lock a file for as long as the context lasts, and clear away what a writer left that died."""
    with _translated(path, "locked"):
        descriptor, real = _lock(path)
    try:
        with _translated(path, "read"):
            text = _decode(path, _read(path, descriptor))
            _sweep(real, descriptor)
        yield HeldFile(real, text)
    finally:
        os.close(descriptor)


def _lock(path: Path) -> tuple[int, Path]:
    while True:
        real = Path(os.path.realpath(path))
        try:
            descriptor = os.open(real, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)  # NFS locks for writers only
        except PermissionError:
            descriptor = os.open(real, _READ)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.path.sameopenfile(descriptor, other := os.open(real, _READ)):
                os.close(other)
                return descriptor, real
            os.close(other)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # it was replaced while we waited: lock the new one


def _read(path: Path, descriptor: int, kind: SecretKind = RING) -> bytes:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise PrivacyError(f"key file {path} is not a file; {kind.hint}")
    groups = {os.getegid(), *os.getgroups()}
    for folder in {path.parent, Path(os.path.realpath(path)).parent}:  # of the link, and of what it leads to
        if exposure := find_exposure(status, folder.stat(), user=os.geteuid(), groups=groups):
            raise PrivacyError(f"key file {path} {exposure}")
    return os.pread(descriptor, _LARGEST, 0)


def _decode(path: Path, content: bytes, kind: SecretKind = RING) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:  # it would quote the secret
        raise PrivacyError(f"key file {path} is not a {kind.name}; {kind.hint}") from None


def _write_beside(path: Path, text: str) -> Path:
    temporary = _beside(path)
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        with suppress(OSError):
            _shred(temporary)
        raise
    return temporary


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}")


def _sweep(path: Path, descriptor: int) -> None:
    """Overwrite what stopped writers left: their files bear names that only ``_beside`` gives."""
    ours = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{16}}")
    for left in [left for left in path.parent.iterdir() if ours.fullmatch(left.name)]:
        with suppress(FileNotFoundError):
            if os.path.samestat(left.stat(), os.fstat(descriptor)):
                left.unlink()  # a second name of the file itself
            else:
                _shred(left)


def _shred(path: Path) -> None:
    """Overwrite a file in place and remove it. Copies that the disk or a snapshot keeps are out of reach."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.pwrite(descriptor, os.urandom(os.fstat(descriptor).st_size), 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    path.unlink(missing_ok=True)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _translated(path: Path, what: str, kind: SecretKind = RING) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise PrivacyError(f"found no key file {path}; {kind.hint}") from None
    except OSError as error:
        raise PrivacyError(f"key file {path} cannot be {what}: {error.strerror}") from None
