"""A store in a folder. ``link`` makes an object appear whole and at most once; a rename would replace silently."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jobs.store import INCOMING, check_key, check_prefix
from schemas.errors import StoreError


class FolderStore:
    """Objects as files below a folder. Files that are still being written lie in ``.incoming``, never listed.

    Unlike in a bucket, no object can have the name of a folder of others: beside ``a/b`` there is no ``a``.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.url = f"file:{root}"

    def put_new(self, key: str, content: bytes | Path) -> bool:
        """See ``Store``."""
        target = self._path(key)
        with self._translated("write", key):
            if target.exists():
                return False
            with self._written(content) as temporary:
                self._make_folders(target.parent)
                try:
                    os.link(temporary, target)
                except FileExistsError:
                    return False
            _sync_folder(target.parent)
        return True

    def put(self, key: str, content: bytes | Path) -> None:
        """See ``Store``."""
        target = self._path(key)
        with self._translated("write", key), self._written(content) as temporary:
            self._make_folders(target.parent)
            temporary.replace(target)
            _sync_folder(target.parent)

    def get(self, key: str) -> bytes | None:
        """See ``Store``."""
        with self._translated("read", key):
            try:
                return self._path(key).read_bytes()
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

    def _path(self, key: str) -> Path:
        return self.root / check_key(key)

    @contextmanager
    def _written(self, content: bytes | Path) -> Iterator[Path]:
        folder = self.root / INCOMING
        self._make_folders(folder)
        temporary = folder / secrets.token_hex(16)
        try:
            with temporary.open("xb") as file:
                if isinstance(content, Path):
                    with content.open("rb") as source:
                        shutil.copyfileobj(source, file, 1 << 20)
                else:
                    file.write(content)
                file.flush()
                os.fsync(file.fileno())
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)

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


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
