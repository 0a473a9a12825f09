"""Where finished things are kept: one small interface, a folder or an S3 bucket behind it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

from schemas.errors import StoreError, UsageError

INCOMING: Final = ".incoming"
"""Where a folder keeps what is still being written: no store has keys there."""
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]+")


class Store(Protocol):
    """Objects under keys such as ``a/b.json``. Whoever reads an object reads all of it or nothing."""

    url: str

    def put_new(self, key: str, content: bytes | Path) -> bool:
        """Write an object that must not exist; return whether this call made it. At most one caller ever wins."""
        ...

    def put(self, key: str, content: bytes | Path) -> None:
        """Write an object, replacing what was there."""
        ...

    def get(self, key: str) -> bytes | None:
        """Return an object's bytes, or ``None`` when there is no such object."""
        ...

    def fetch(self, key: str, path: Path) -> None:
        """Copy an object to a local file that is complete once it exists; raise ``StoreError`` without one."""
        ...

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the keys that begin with ``prefix``, sorted."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object; one that is gone already is no error."""
        ...


def check_key(key: str) -> str:
    """Return a key that means the same in every store; raise ``StoreError`` for any other."""
    parts = key.split("/")
    if not {"", ".", ".."}.isdisjoint(parts) or parts[0] == INCOMING or "\0" in key:
        raise StoreError(f"found the key {key!r}; wanted a relative path inside the store")
    return key


def check_prefix(prefix: str) -> str:
    """Return a beginning that keys may have; raise ``StoreError`` for any other."""
    folders = prefix.split("/")[:-1]
    if not {"", ".", ".."}.isdisjoint(folders) or "\0" in prefix:
        raise StoreError(f"found the prefix {prefix!r}; wanted one inside the store")
    return prefix


def open_store(url: str, *, endpoint_url: str | None = None) -> Store:
    """Return the store that ``file:<folder>`` or ``s3://<bucket>/<prefix>`` names."""
    scheme, _, rest = url.partition(":")
    if scheme == "file" and rest:
        from jobs.store.folder import FolderStore

        return FolderStore(Path(rest.removeprefix("//")))
    if scheme == "s3" and rest.startswith("//") and rest.strip("/"):
        from jobs.store.s3 import S3Store

        bucket, _, prefix = rest.strip("/").partition("/")
        if not _BUCKET.fullmatch(bucket):  # never shown: people write keys and secrets there
            raise UsageError("found an s3:// store without a plain bucket name; wanted s3://<bucket>/<prefix>")
        return S3Store(bucket, prefix, endpoint_url=endpoint_url)
    raise UsageError(f"found the store {url!r}; wanted file:<folder> or s3://<bucket>/<prefix>")
