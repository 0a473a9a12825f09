"""Bring files of a release to this machine: resumed, hashed whole, then renamed to their name.

A file under its own name is therefore always whole. What is under way lies beside it with the suffix
``.part`` and is continued by the next run.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from opscommons._documents import ReleaseFile, looks_like_html
from opscommons._errors import CorruptFile, Damaged, MissingFile
from opscommons._places import NotThere, Place, patiently

PARALLEL = 8
PART = ".part"

OnBytes = Callable[[int], None]


def _ignore(count: int) -> None:
    """Nobody watches."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """One file that is wanted here; ``part`` is where it grows."""

    file: ReleaseFile
    target: Path
    part: Path


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_intact(path: Path, file: ReleaseFile) -> bool:
    """Tell whether the file here has exactly the bytes that the manifest says."""
    return path.is_file() and path.stat().st_size == file.bytes and sha256_of(path) == file.sha256


def fetch_all(place: Place, fetches: Iterable[Fetch], *, on_bytes: OnBytes = _ignore) -> None:
    """Fetch side by side. A damaged file doesn't stop the others; all of them are named at the end."""
    damaged: list[Damaged] = []
    pool = ThreadPoolExecutor(PARALLEL, thread_name_prefix="opscommons")
    try:
        futures = [pool.submit(fetch_file, place, fetch, on_bytes=on_bytes) for fetch in fetches]
        for future in as_completed(futures):
            try:
                future.result()
            except Damaged as error:
                damaged.append(error)
    finally:
        pool.shutdown(cancel_futures=True)
    if len(damaged) == 1:
        raise damaged[0]
    if damaged:
        paths = sorted(path for error in damaged for path in error.paths)
        raise CorruptFile(f"{len(paths)} files are damaged at {place.name}: {', '.join(paths)}", paths=paths)


def fetch_file(place: Place, fetch: Fetch, *, on_bytes: OnBytes = _ignore) -> None:
    """Fetch one file: continue its part, hash the whole, rename. Bad bytes get one more try from zero."""
    file, part = fetch.file, fetch.part
    part.parent.mkdir(parents=True, exist_ok=True)
    for start_over in (False, True):
        if start_over:
            part.unlink(missing_ok=True)
        patiently(
            lambda: _continue_part(place, file, part, on_bytes=on_bytes),
            what=f"{place.name}/{file.path}",
            progress=lambda: _size(part),
        )
        if is_intact(part, file):
            fetch.target.parent.mkdir(parents=True, exist_ok=True)
            part.replace(fetch.target)
            return
    reason = _what_came(part, file)
    part.unlink(missing_ok=True)
    raise CorruptFile(f"{file.path} from {place.name} {reason}; nothing of it was kept", paths=[file.path])


def _continue_part(place: Place, file: ReleaseFile, part: Path, *, on_bytes: OnBytes) -> None:
    if _size(part) > file.bytes:
        part.unlink()
    have = _size(part)
    if have == file.bytes and part.exists():
        return
    try:
        with place.open(file.path, offset=have) as stream, part.open("r+b" if part.exists() else "wb") as out:
            out.seek(stream.start)
            out.truncate()
            written = stream.start
            for chunk in _at_most(stream.chunks, file.bytes + 1 - written):
                out.write(chunk)
                on_bytes(len(chunk))
            out.flush()
            os.fsync(out.fileno())
    except NotThere as error:
        raise MissingFile(
            f"{file.path} is in the manifest but not at {place.name} ({error})", paths=[file.path]
        ) from error


def _at_most(chunks: Iterable[bytes], count: int) -> Iterator[bytes]:
    """Yield at most so many bytes: a server that answers with too much must not fill the disk."""
    for chunk in chunks:
        if len(chunk) >= count:
            yield chunk[:count]
            return
        count -= len(chunk)
        yield chunk


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _what_came(part: Path, file: ReleaseFile) -> str:
    with part.open("rb") as opened:
        head = opened.read(64)
    if looks_like_html(head) and not file.path.endswith((".html", ".xml", ".svg")):
        return f"is a web page or an error message, wanted {file.bytes} bytes of {file.role}"
    if _size(part) != file.bytes:
        shown = f"more than {file.bytes}" if _size(part) > file.bytes else str(_size(part))
        return f"has {shown} bytes, wanted {file.bytes}"
    return f"has the SHA-256 {sha256_of(part)[:16]}..., wanted {file.sha256[:16]}..."
