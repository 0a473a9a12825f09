"""Copy a release, or a part of it, into a folder: plan first, then fetch what is missing or bad.

The manifest is written last, so a folder that has one was once complete. A part of a release keeps the whole
release's manifest (its digest is what people cite) and a note of which files were wanted.
"""

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from opscommons._documents import ReleaseFile, parse_manifest
from opscommons._errors import BadRequest, CorruptFile, MissingFile, OpsCommonsError, UnknownMetric, UnknownTable
from opscommons._fetch import PARALLEL, PART, Fetch, fetch_all, is_intact
from opscommons._instants import Instant, parse_span
from opscommons._places import NotThere, read_document
from opscommons._selection import Names, as_names

if TYPE_CHECKING:
    from opscommons._release import Release

NOTE = ".opscommons-download.json"
DOCUMENT_ROLES = frozenset(
    {"series", "coverage", "quality", "privacy", "schema", "card", "citation", "license", "metadata"}
)


@dataclass(frozen=True, slots=True)
class DownloadPlan:
    """What belongs into the folder, before anything is looked at."""

    to: Path
    files: tuple[ReleaseFile, ...]
    is_whole: bool

    @property
    def bytes(self) -> int:
        """The size of it all."""
        return sum(file.bytes for file in self.files)

    @property
    def bytes_here(self) -> int:
        """How much of it seems to be in the folder already; sizes only, nothing is hashed for this."""
        found = 0
        for file in self.files:
            for name in (file.path, file.path + PART):
                path = self.to / name
                if path.is_file():
                    found += min(path.stat().st_size, file.bytes)
                    break
        return found


@dataclass(frozen=True, slots=True)
class Download:
    """What was done. ``repaired`` files were there with other bytes; ``kept`` ones were intact."""

    version: str
    to: str
    manifest_sha256: str
    files: int
    bytes: int
    kept: int
    fetched: int
    repaired: tuple[str, ...]


def plan_download(
    release: "Release",
    to: Path,
    *,
    tables: Names | None = None,
    metrics: Names | None = None,
    start: Instant | None = None,
    end: Instant | None = None,
) -> DownloadPlan:
    """Return what belongs into the folder: the whole release, or the data asked for with their documents."""
    if (tables, metrics, start, end) == (None, None, None, None):
        return DownloadPlan(to, release.manifest.files, is_whole=True)
    chosen_tables = None if tables is None else as_names(tables)
    chosen_metrics = None if metrics is None else as_names(metrics)
    for table in chosen_tables or ():
        if table not in release.tables:
            raise UnknownTable(table, known=release.tables, where=f"release {release.version}")
    for metric in chosen_metrics or ():
        known = (*release.metrics(), *release.native_metrics())
        if metric not in known:
            raise UnknownMetric(metric, known=known, where=f"release {release.version}")
    span = parse_span(start, end)
    data = release.data_files(metrics=chosen_metrics, tables=chosen_tables, span=span)
    data += release.data_files(metrics=chosen_metrics, tables=chosen_tables, span=span, native=True)
    if not data:
        raise BadRequest(
            f"release {release.version} has no such data in that span;"
            f" it covers {release.start.isoformat()} to {release.end.isoformat()}"
        )
    concerned = {None, *(file.table for file in data)}
    documents = [file for file in release.manifest.files if file.role in DOCUMENT_ROLES and file.table in concerned]
    return DownloadPlan(to, (*documents, *data), is_whole=False)


def download(
    release: "Release", plan: DownloadPlan, *, on_bytes: Callable[[int], None] = lambda count: None
) -> Download:
    """Make the folder hold what was planned; a second run fetches only what is missing or bad."""
    _check_folder(release, plan.to)
    plan.to.mkdir(parents=True, exist_ok=True)
    sums = _read_sums(release)
    with ThreadPoolExecutor(PARALLEL) as pool:
        intact = list(pool.map(lambda file: is_intact(plan.to / file.path, file), plan.files))
    wanted = [file for file, good in zip(plan.files, intact, strict=True) if not good]
    repaired = tuple(file.path for file in wanted if (plan.to / file.path).exists())
    if wanted:  # until all is well again, the folder must not look complete
        (plan.to / "manifest.json").unlink(missing_ok=True)
    fetches = [Fetch(file, plan.to / file.path, plan.to / (file.path + PART)) for file in wanted]
    fetch_all(release.place, fetches, on_bytes=on_bytes)
    _write_note(plan)
    _write_whole(plan.to / "SHA256SUMS", sums)
    _write_whole(plan.to / "manifest.json", release.manifest_content)
    return Download(
        version=release.version,
        to=str(plan.to),
        manifest_sha256=release.manifest_sha256,
        files=len(plan.files),
        bytes=plan.bytes,
        kept=len(plan.files) - len(wanted),
        fetched=len(wanted),
        repaired=repaired,
    )


def read_note(folder: Path) -> frozenset[str] | None:
    """Return the paths that were wanted of a release; ``None`` if it was all of them."""
    try:
        return frozenset(json.loads((folder / NOTE).read_bytes())["paths"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise BadRequest(f"{folder / NOTE} is no note of a download; delete it") from error


def parse_sums(content: bytes) -> dict[str, str]:
    """Return path to digest from the lines of a SHA256SUMS file."""
    sums: dict[str, str] = {}
    for line in content.decode("utf-8", "replace").splitlines():
        digest, _, path = line.partition(" ")
        if path:
            sums[path.strip().removeprefix("*")] = digest.lower()
    return sums


def compare_sums(release: "Release", content: bytes) -> list[str]:
    """Return the paths of which SHA256SUMS and the manifest do not say the same."""
    wanted = {file.path: file.sha256 for file in release.manifest.files}
    wanted["manifest.json"] = release.manifest_sha256
    found = parse_sums(content)
    return sorted(path for path in wanted.keys() | found.keys() if wanted.get(path) != found.get(path))


def _read_sums(release: "Release") -> bytes:
    try:
        content = read_document(release.place, "SHA256SUMS")
    except NotThere as error:
        raise MissingFile(f"SHA256SUMS is not at {release.place.name}", paths=["SHA256SUMS"]) from error
    if differing := compare_sums(release, content):
        shown = ", ".join(differing[:3])
        raise CorruptFile(
            f"SHA256SUMS at {release.place.name} contradicts the manifest about {len(differing)} files ({shown})",
            paths=["SHA256SUMS"],
        )
    return content


def _check_folder(release: "Release", to: Path) -> None:
    if release.place.folder is not None and release.place.folder.resolve() == to.resolve():
        raise BadRequest(f"{to} is the release itself; name another folder, or the store that it came from")
    try:
        held = parse_manifest((to / "manifest.json").read_bytes(), name=str(to / "manifest.json"))
    except (FileNotFoundError, OpsCommonsError):
        return
    if held.version != release.version:
        raise BadRequest(f"{to} holds release {held.version}, wanted a folder for {release.version}")


def _write_note(plan: DownloadPlan) -> None:
    before = read_note(plan.to)
    if plan.is_whole:
        (plan.to / NOTE).unlink(missing_ok=True)
        return
    if before is None and (plan.to / "SHA256SUMS").exists():
        return  # the folder holds the whole release already
    paths = sorted((before or frozenset()) | {file.path for file in plan.files})
    _write_whole(plan.to / NOTE, json.dumps({"paths": paths}, indent=1).encode())


def _write_whole(path: Path, content: bytes) -> None:
    part = path.with_name(path.name + PART)
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
