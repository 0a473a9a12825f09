"""A store in a folder. ``link`` makes an object appear whole and at most once; a rename would replace silently."""

import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from jobs.store import INCOMING, ContentChanged, Remains, check_key, check_prefix
from schemas.errors import StoreError

_TRIES = 5  # to make a name in a folder that somebody else removes, since it was empty


class FolderStore:
    """Objects as files below a folder. Files that are still being written lie in ``.incoming``, never listed.

    Unlike in a bucket, no object can have the name of a folder of others: beside ``a/b`` there is no ``a``.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.url = f"file:{root}"

    def put_new(self, key: str, content: bytes | Path, *, sha256: str | None = None) -> bool:
        """See ``Store``."""
        target = self._path(key)
        with self._translated("write", key):
            if target.exists():
                return False
            with self._written(key, content, sha256) as temporary:
                try:
                    self._appear(target, lambda: os.link(temporary, target))
                except FileExistsError:
                    return False
        return True

    def put(self, key: str, content: bytes | Path) -> None:
        """See ``Store``."""
        target = self._path(key)
        with self._translated("write", key), self._written(key, content, None) as temporary:
            self._appear(target, lambda: temporary.replace(target))

    def get(self, key: str) -> bytes | None:
        """See ``Store``."""
        with self._translated("read", key):
            try:
                return self._path(key).read_bytes()
            except (FileNotFoundError, IsADirectoryError):
                return None

    def get_range(self, key: str, start: int, length: int) -> bytes | None:
        """See ``WholeStore``."""
        with self._translated("read", key):
            try:
                with self._path(key).open("rb") as file:
                    file.seek(start)
                    return file.read(length)
            except (FileNotFoundError, IsADirectoryError):
                return None

    def fetch(self, key: str, path: Path) -> None:
        """See ``Store``."""
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        with self._translated("read", key):
            try:
                shutil.copyfile(self._path(key), temporary)
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)

    def list(self, prefix: str) -> Iterator[str]:
        """See ``Store``."""
        folder = self.root / check_prefix(prefix).rpartition("/")[0]
        with self._translated("list", prefix):
            if self.root.is_dir() and not folder.is_dir():
                return
            found = sorted(path.relative_to(self.root).as_posix() for path in _walk(folder))
        for key in found:
            if key.startswith(prefix) and not key.startswith(f"{INCOMING}/"):
                yield key

    def delete(self, key: str) -> None:
        """See ``Store``."""
        path = self._path(key)
        with self._translated("delete", key):
            if not path.is_dir():  # the beginning of other keys is no object
                path.unlink(missing_ok=True)
                self._prune(path.parent)

    def survey(self, prefix: str, *, now: datetime) -> Iterator[Remains]:
        """See ``WholeStore``. What lies in ``.incoming`` is an unfinished upload."""
        folder = self.root / check_prefix(prefix).rpartition("/")[0]
        with self._translated("list", prefix):
            found = sorted(_walk(folder)) if folder.is_dir() else []
            for path in found:
                key = path.relative_to(self.root).as_posix()
                try:
                    status = path.lstat()
                except FileNotFoundError:  # gone meanwhile
                    continue
                if key.startswith(prefix):
                    age = now - datetime.fromtimestamp(status.st_mtime, UTC)
                    unfinished = key.startswith(f"{INCOMING}/")
                    yield Remains(key, "unfinished upload" if unfinished else "object", age, status.st_size)

    def erase(self, remains: Remains) -> None:
        """See ``WholeStore``."""
        with self._translated("delete", remains.key):
            path = self.root / remains.key
            path.unlink(missing_ok=True)
            self._prune(path.parent)

    def address(self, key: str) -> str | None:
        """See ``WholeStore``: nobody reads a folder by a URL."""
        return None

    def _path(self, key: str) -> Path:
        return self.root / check_key(key)

    @contextmanager
    def _written(self, key: str, content: bytes | Path, sha256: str | None) -> Iterator[Path]:
        """Yield a finished temporary file; raise ``ContentChanged`` when it has other bytes than wanted."""
        folder = self.root / INCOMING
        self._make_folders(folder)
        temporary = folder / secrets.token_hex(16)
        digest = hashlib.sha256() if sha256 else None
        try:
            with temporary.open("xb") as file:
                for block in (content,) if isinstance(content, bytes) else _blocks(content):
                    file.write(block)
                    if digest:
                        digest.update(block)
                file.flush()
                os.fsync(file.fileno())
            if digest and digest.hexdigest() != sha256:
                raise ContentChanged(f"cannot write {key!r} in {self.url}: the local file has other bytes by now")
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)

    def _appear(self, target: Path, move: Callable[[], object]) -> None:
        """Give a finished file its name, durably."""
        for last in (*(False,) * (_TRIES - 1), True):
            try:
                self._make_folders(target.parent)
                move()
                break
            except FileNotFoundError:  # the folder was empty until now, and somebody removed it
                if last:
                    raise
        _sync_folder(target.parent)

    def _prune(self, folder: Path) -> None:
        """Remove folders that hold nothing any more: names of folders tell, too."""
        while self.root in folder.parents and folder != self.root / INCOMING:
            try:
                folder.rmdir()
            except OSError:  # not empty, or gone
                return
            folder = folder.parent

    def _make_folders(self, folder: Path) -> None:
        """Make missing folders durable one by one: a synced file in a lost folder is lost too."""
        missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
        for parent in reversed(missing):
            parent.mkdir(exist_ok=True)
            _sync_folder(parent.parent)

    @contextmanager
    def _translated(self, what: str, key: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(f"cannot {what} {key!r} in {self.url}: {error.strerror}") from error


def _walk(folder: Path) -> Iterator[Path]:
    """Yield every file below a folder. One that cannot be read is an error: it may hold what nobody then sees."""

    def refuse(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # not made yet
            raise error

    for place, _, names in os.walk(folder, onerror=refuse):
        for name in names:
            yield Path(place, name)


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            yield block


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
