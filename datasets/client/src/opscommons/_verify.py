"""Read a release again and say what that proves: every byte against the manifest, that against citation and key."""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from opscommons._documents import ReleaseFile
from opscommons._download import NOTE, compare_sums, read_note
from opscommons._fetch import PARALLEL
from opscommons._places import NotThere, Place, patiently, read_document
from opscommons._signed import check_signature, find_signatures

if TYPE_CHECKING:
    from opscommons._release import Release

OWN = frozenset({"manifest.json", "SHA256SUMS", NOTE})
READ_BY_GLOB = ("data/", "series/")
"""Where a file that nobody listed would be read together with those of the release."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is not as the manifest says."""

    path: str
    kind: Literal["missing", "corrupt", "extra", "sums", "cited", "unsigned"]
    message: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What was read and what that proves."""

    version: str
    place: str
    manifest_sha256: str
    files: int
    bytes: int
    problems: tuple[Problem, ...]
    extra: tuple[str, ...]
    """Files beside the release that no manifest lists: harmless notes, or a problem below data/ and series/."""
    extra_checked: bool
    not_downloaded: int
    matches_cited: bool | None
    signed_by: str | None = None
    """The id of the key that was asked for, if it signed this manifest."""
    signatures: tuple[str, ...] = ()
    """Ids of keys whose signatures the store names, where no key was given: not checked, so they prove nothing."""

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.problems

    @property
    def proven(self) -> str:
        """What may be said of the release now."""
        kinds = {problem.kind for problem in self.problems}
        if kinds - {"cited", "unsigned"}:
            return "not consistent with its manifest"
        said = "consistent with its manifest"
        if self.not_downloaded:
            said = f"what was downloaded is {said} ({self.not_downloaded} files were not asked for)"
        if self.matches_cited is not None:
            said += (
                ", and matches the cited manifest"
                if self.matches_cited
                else "; but the manifest found differs from the cited digest"
            )
        if self.signed_by:
            said += f", and is signed by {self.signed_by}"
        if "unsigned" in kinds:
            said += "; but the given key did not sign it"
        return said


def verify(
    release: "Release",
    *,
    manifest_sha256: str | None = None,
    public_key: Path | None = None,
    store: Place | None = None,
    on_bytes: Callable[[int], None] = lambda count: None,
) -> Verification:
    """Read every byte of a release again. Finds all problems, not just the first.

    With ``public_key``, the signature of that key is asked for in ``store``, where the release is published; without
    one, which signatures there are.
    """
    signed_by, unsigned = None, None
    if public_key and store:
        signed_by, path, wrong = check_signature(store, release, public_key)
        unsigned = Problem(path, "unsigned", f"{path} {wrong}") if wrong else None
    folder = release.place.folder
    wanted = None if folder is None else read_note(folder)
    files = [file for file in release.manifest.files if wanted is None or file.path in wanted]
    with ThreadPoolExecutor(PARALLEL) as pool:
        found = list(pool.map(lambda file: _check_file(release.place, file, on_bytes=on_bytes), files))
    problems = [problem for problem in found if problem is not None]
    problems += _check_sums(release)
    extra = () if folder is None else _extra_files(folder, release)
    problems += [
        Problem(path, "extra", f"{path} is not in the manifest, but would be read with the data")
        for path in extra
        if path.startswith(READ_BY_GLOB)
    ]
    matches = None
    if manifest_sha256 is not None:
        matches = manifest_sha256.lower() == release.manifest_sha256
        if not matches:
            message = f"manifest.json has the SHA-256 {release.manifest_sha256}, cited was {manifest_sha256.lower()}"
            problems.append(Problem("manifest.json", "cited", message))
    problems += [unsigned] if unsigned else []
    return Verification(
        version=release.version,
        place=release.place.name,
        manifest_sha256=release.manifest_sha256,
        files=len(files),
        bytes=sum(file.bytes for file in files),
        problems=tuple(problems),
        extra=extra,
        extra_checked=folder is not None,
        not_downloaded=len(release.manifest.files) - len(files),
        matches_cited=matches,
        signed_by=None if unsigned else signed_by,
        signatures=find_signatures(store, release.version) if store and not public_key else (),
    )


def _check_file(place: Place, file: ReleaseFile, *, on_bytes: Callable[[int], None]) -> Problem | None:
    def attempt() -> tuple[int, str]:
        digest, count = hashlib.sha256(), 0
        with place.open(file.path) as stream:
            for chunk in stream.chunks:
                digest.update(chunk)
                count += len(chunk)
                on_bytes(len(chunk))
        return count, digest.hexdigest()

    try:
        count, digest = patiently(attempt, what=f"{place.name}/{file.path}")
    except NotThere:
        return Problem(file.path, "missing", f"{file.path} is not there")
    if count != file.bytes:
        return Problem(file.path, "corrupt", f"{file.path} has {count} bytes, wanted {file.bytes}")
    if digest != file.sha256:
        return Problem(file.path, "corrupt", f"{file.path} has the SHA-256 {digest}, wanted {file.sha256}")
    return None


def _check_sums(release: "Release") -> list[Problem]:
    try:
        content = read_document(release.place, "SHA256SUMS")
    except NotThere:
        return [Problem("SHA256SUMS", "missing", "SHA256SUMS is not there")]
    return [
        Problem("SHA256SUMS", "sums", f"SHA256SUMS and the manifest do not say the same of {path}")
        for path in compare_sums(release, content)
    ]


def _extra_files(folder: Path, release: "Release") -> tuple[str, ...]:
    listed = OWN | {file.path for file in release.manifest.files}
    present = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return tuple(sorted(set(present) - listed))
