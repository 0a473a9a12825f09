"""The folder against its manifest: nothing more, nothing less, nothing changed, and nothing that is no plain file."""

import hashlib
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

from anonymize.audit.findings import Finding
from anonymize.audit.subject import MANIFEST, ROWS, SUMS, Subject
from schemas.aggregate import AGGREGATE
from schemas.manifest import ReleaseFile

_PATHS: Final = {
    "coverage": r"coverage\.parquet",
    "quality": r"quality\.json",
    "privacy": r"privacy\.json",
    "card": r"README\.md",
    "citation": r"CITATION\.cff",
    "license": r"LICENSE",
    "schema": r"schemas/[a-z][a-z0-9_]*\.json",
    "series": r"series/[a-z][a-z0-9_]*\.parquet",
    "native": r"data/[a-z][a-z0-9_]*_nh/metric=[A-Za-z0-9_%]+/date=\d{4}-\d\d-\d\d/part-\d+\.parquet",
    "aggregate": r"aggregates/[a-z][a-z0-9_]*/metric=[A-Za-z0-9_%]+/date=\d{4}-\d\d-\d\d/part-0\.parquet",
    "data": r"data/[a-z][a-z0-9_]*/metric=[A-Za-z0-9_%]+/date=\d{4}-\d\d-\d\d/part-\d+\.parquet",
}


def check_listing(subject: Subject) -> Iterator[Finding]:
    """Yield what of the folder differs from the manifest, and paths that are not where their role belongs."""
    listed = {file.path: file.sha256 for file in subject.manifest.files}
    if len(listed) != len(subject.manifest.files):
        yield Finding(MANIFEST, "listed-twice", len(subject.manifest.files) - len(listed))
    present = {path.relative_to(subject.folder).as_posix() for path in _leaves(subject.folder)}
    if missing := listed.keys() - present:
        yield Finding("folder", "missing-file", len(missing))
    if extra := present - listed.keys() - {MANIFEST, SUMS}:
        yield Finding("folder", "unlisted-file", len(extra))
    if strange := sum(1 for path in present if not _is_plain(subject.folder / path)):
        yield Finding("folder", "not-a-plain-file", strange)
    yield from _check_sums(subject, listed)
    for file in subject.manifest.files:
        yield from _check_file(subject, file)


def _leaves(folder: Path) -> Iterator[Path]:
    """Yield everything below a folder that holds nothing itself: files, links, and folders that are empty."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink() and any(path.iterdir()):
            yield from _leaves(path)
        else:
            yield path


def _is_plain(path: Path) -> bool:
    """Return whether a path is a file of its own: a second name of it would be somebody else's door to its bytes."""
    status = path.lstat()
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1


def _check_sums(subject: Subject, listed: dict[str, str]) -> Iterator[Finding]:
    try:
        found = (subject.folder / SUMS).read_bytes()
        listed |= {MANIFEST: hashlib.sha256((subject.folder / MANIFEST).read_bytes()).hexdigest()}
    except OSError:
        found = b""
    if found != "".join(f"{sha256}  {path}\n" for path, sha256 in sorted(listed.items())).encode():
        yield Finding(SUMS, "differs-from-manifest")


def _check_file(subject: Subject, file: ReleaseFile) -> Iterator[Finding]:
    if not re.fullmatch(_PATHS.get(file.role, r"(?!)"), file.path):
        yield Finding("file of a role", "path-not-in-grammar")  # neither role nor path: either may hold a name
        return
    if not _says_what_it_holds(file):
        yield Finding(f"file of role {file.role}", "path-differs-from-manifest")
    if path := subject.path(file):
        with path.open("rb") as opened:
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
        if (sha256, path.stat().st_size) != (file.sha256, file.bytes):
            yield Finding(file.path, "changed-file")


def _says_what_it_holds(file: ReleaseFile) -> bool:
    if file.role in ROWS or file.role == AGGREGATE:
        root = "aggregates" if file.role == AGGREGATE else "data"
        place = f"{root}/{file.table}/metric={quote(file.metric or '', safe='')}/date={file.date}/"
        return re.fullmatch(re.escape(place) + r"part-\d+\.parquet", file.path) is not None
    if (file.metric, file.date) != (None, None):
        return False
    return file.table == (Path(file.path).stem if file.role == "series" else None)
