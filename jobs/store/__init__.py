"""Where finished things are kept: one small interface, a folder or an S3 bucket behind it.

There is no conditional replacing: what is replaced (the catalog) is a function of what is written once, so it is
rebuilt until it fits. Not every server compares before it replaces; every one that may hold commits has ``put_new``.
"""

import hashlib
import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Literal, Protocol

from schemas.errors import StoreError, UsageError

INCOMING: Final = ".incoming"
"""Where a folder keeps what is still being written: no store has keys there."""
BLOCK_BYTES: Final = 16 << 20
"""How much of an object is in memory while it is hashed."""
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]+")


class AccessRefused(StoreError):
    """Whoever asked may not do that; without the right to list, that is what a bucket says of a missing object, too."""


class ContentChanged(StoreError):
    """A local file no longer has the bytes that were to be written; nothing of it was."""


@dataclass(frozen=True, slots=True)
class Remains:
    """One thing that takes room in a store, whether readers see it or not."""

    key: str
    kind: Literal["object", "old version", "delete marker", "unfinished upload"]
    age: timedelta
    """Since it was written, by the store's own clock where that is behind ours; negative when clocks disagree."""
    bytes: int
    handle: str = ""
    """What the store calls it: the id of a version or of an upload."""


class Store(Protocol):
    """Objects under keys such as ``a/b.json``. Whoever reads an object reads all of it or nothing.

    This much the commit protocol and the building of releases rely on.
    """

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
        """Remove an object from the sight of readers; one that is gone already is no error."""
        ...


class WholeStore(Store, Protocol):
    """A store with what publishing, withdrawing and clean-up need besides."""

    def put_new(self, key: str, content: bytes | Path, *, sha256: str | None = None) -> bool:
        """See ``Store``. With ``sha256``, write exactly those bytes or raise ``ContentChanged``."""
        ...

    def get_range(self, key: str, start: int, length: int) -> bytes | None:
        """Return at most ``length`` bytes from ``start`` on, none past the end; ``None`` without such an object."""
        ...

    def survey(self, prefix: str, *, now: datetime) -> Iterator[Remains]:
        """Yield everything whose key begins with ``prefix``: old versions and unfinished uploads, too."""
        ...

    def erase(self, remains: Remains) -> None:
        """Remove one thing of a survey for good; one that is gone already is no error."""
        ...

    def address(self, key: str) -> str | None:
        """Return the URL at which the store itself serves an object, to whoever may; ``None`` for a folder."""
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


def has_digest(store: WholeStore, key: str, sha256: str) -> bool | None:
    """Return whether an object has this SHA-256; ``None`` when there is no such object.

    What differs is read once more before it is said to: ranges have no checksum, and a bit may topple on the way.
    """
    found: str | None = None
    for _ in range(2):
        found = hash_object(store, key)
        if found in (None, sha256):
            break
    return None if found is None else found == sha256


def fetch_hashed(store: Store, key: str, path: Path, sha256: str) -> str:
    """Copy an object to a local file and return its SHA-256, which the caller compares with the wanted one.

    What differs is copied once more: large objects come in ranges, and those have no checksum.
    """
    found = ""
    for _ in range(2):
        store.fetch(key, path)
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found == sha256:
            break
    return found


def hash_object(store: WholeStore, key: str, *, block_bytes: int = BLOCK_BYTES) -> str | None:
    """Return the SHA-256 of an object, read block by block; ``None`` when there is no such object."""
    digest, start = hashlib.sha256(), 0
    while True:
        block = store.get_range(key, start, block_bytes)
        if block is None:
            return None
        digest.update(block)
        start += len(block)
        if len(block) < block_bytes:
            return digest.hexdigest()


def refuse_unguarded(store: Store) -> None:
    """Raise ``StoreError`` when a store lets a second ``put_new`` of one key win: two runs could both commit.

    Writes a small object below ``probe/`` twice, and removes it.
    """
    key = f"probe/{secrets.token_hex(8)}"
    try:
        first = store.put_new(key, b"1") or store.get(key) == b"1"  # the answer to our own first try may be lost
        second = store.put_new(key, b"2")
    except StoreError:
        with suppress(StoreError):  # what could not be written cannot be removed either; the first error says why
            store.delete(key)
        raise
    store.delete(key)
    if not first or second:
        raise StoreError(f"{store.url} ignores If-None-Match: two runs could commit one window; use another server")


def open_store(url: str, *, endpoint_url: str | None = None, anonymous: bool = False) -> WholeStore:
    """Return the store that ``file:<folder>`` or ``s3://<bucket>/<prefix>`` names.

    An endpoint such as ``https://{bucket}.s3.example.org`` asks for addresses with the bucket in the host's name;
    ``anonymous`` asks a bucket without credentials, as readers do.
    """
    scheme, _, rest = url.partition(":")
    if scheme == "file" and rest:
        from jobs.store.folder import FolderStore

        return FolderStore(Path(rest.removeprefix("//")))
    if scheme == "s3" and rest.startswith("//") and rest.strip("/"):
        from jobs.store.s3 import S3Store

        bucket, _, prefix = rest.strip("/").partition("/")
        if not _BUCKET.fullmatch(bucket):  # never shown: people write keys and secrets there
            raise UsageError("found an s3:// store without a plain bucket name; wanted s3://<bucket>/<prefix>")
        return S3Store(bucket, prefix, endpoint_url=endpoint_url, anonymous=anonymous)
    raise UsageError(f"found the store {url!r}; wanted file:<folder> or s3://<bucket>/<prefix>")
