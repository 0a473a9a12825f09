"""The retraction: catalog first, then the tombstone, then everything that lies there, then a look from outside.

Every step may be done again, and a run that died at any of them is finished by the next. From the first step on
readers are told; from the second on no publishing brings the release back.
"""

import hashlib
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from anonymize.audit.shapes import find_shapes
from jobs.config import Settings
from jobs.layout import CARD, LICENSE, MANIFEST, SUMS, release_prefix
from jobs.publish.anybody import PublicView, look_at_retracted, store_addresses
from jobs.publish.catalog import announce_retraction, rebuild_catalog
from jobs.publish.erase import erase_release
from jobs.publish.outgoing import AuditedStore, guard_public
from jobs.published import read_retraction, retraction_key
from jobs.release.build import Progress, check_version, release_folder
from jobs.store import WholeStore, open_store
from jobs.store.headers import PUBLIC_MAX_AGE_SECONDS
from schemas.digest import readable_json
from schemas.errors import PrivacyError, StoreError, UsageError
from schemas.manifest import Manifest, Retraction

MOST_CHARACTERS: Final = 500
_UNKNOWN_SHA256: Final = "0" * 64
_ALWAYS: Final = (MANIFEST, SUMS, CARD, LICENSE)
"""What every release has: asked for when nobody knows what else this one had."""


@dataclass
class RetractResult:
    """What was withdrawn, what is left of it, and what could not be told."""

    version: str
    reason: str
    retracted: datetime
    again: bool
    """Whether a run before had withdrawn it already, with the reason that stands here."""
    latest: str | None = None
    objects: int = 0
    hidden: int = 0
    """Old versions, delete markers and unfinished uploads that were removed."""
    asked: int = 0
    """Addresses that somebody without credentials was sent to."""
    problems: list[str] = field(default_factory=list)
    """What is not as it should be: running the command again may mend it."""
    unchecked: list[str] = field(default_factory=list)
    """What could not be looked at, and why."""


def run_retract(
    settings: Settings,
    version: str,
    *,
    reason: str,
    clock: Callable[[], datetime],
    progress: Progress = lambda done, total, what: None,
) -> RetractResult:
    """Withdraw a release; raise ``UsageError`` when there is nothing of it, and before anything is touched.

    What fails along the way is in the result's ``problems``, so that nothing which can still be removed is kept.
    """
    check_version(version)
    reason = check_reason(reason, contact=settings.release.contact)
    public = guard_public(open_store(settings.public, endpoint_url=settings.s3_endpoint_url), settings)
    content = public.get(release_prefix(version) + MANIFEST)
    tombstone = read_retraction(public, version)
    again = tombstone is not None
    if tombstone is None:
        tombstone = _make_tombstone(settings, public, version, content, reason=reason, now=clock())
    result = RetractResult(version, tombstone.reason, tombstone.retracted, again)
    if not again:
        _rehearse(public, tombstone)
        try:
            announce_retraction(public, tombstone)
        except StoreError as error:  # the manifest of another release may be damaged: no reason to keep this one up
            result.problems.append(f"the catalog could not be written first: {error}")
        tombstone = _bury(public, tombstone)
        result.reason, result.retracted = tombstone.reason, tombstone.retracted
    paths = _remember_paths(settings, public, version, content, tombstone)
    try:
        result.latest = rebuild_catalog(public).latest
    except (StoreError, PrivacyError) as error:  # by now nothing may keep the release from being removed
        result.problems.append(f"the catalog could not be written: {error}")
    erased = erase_release(public, version, now=clock(), progress=progress)
    result.objects, result.hidden = erased.objects, erased.hidden
    result.problems += erased.problems
    if not paths:
        result.unchecked.append("the manifest is gone, so only names that every release has were asked for")
    _look(settings, public, result, paths or _ALWAYS, progress)
    return result


def render_retraction(result: RetractResult) -> Iterator[str]:
    """Yield a result for people: what is gone, what is not, and what nobody could tell."""
    when = f"{result.retracted:%FT%TZ}"
    yield (
        f"{result.version} is retracted since {when}: {result.reason}"
        if result.again
        else (f"retracted {result.version}: {result.reason}")
    )
    yield (
        f"removed {result.objects} objects, and {result.hidden} old versions, delete markers and unfinished uploads; "
        f"latest is {result.latest or 'none'}"
    )
    if result.asked:
        yield f"asked for {result.asked} addresses without credentials"
    yield from (f"problem: {problem}" for problem in result.problems)
    yield from (f"not checked: {unchecked}" for unchecked in result.unchecked)
    if not result.problems:
        yield "all of it is gone" if not result.unchecked else "all that could be checked is gone"


def refuse_unfinished(result: RetractResult) -> None:
    """Raise ``StoreError`` when something of the release is left, or may still be read."""
    if result.problems:
        raise StoreError(
            f"{result.version} is retracted, but not gone: {result.problems[0]} ({len(result.problems)} in all)"
        )


def check_reason(text: str, *, contact: str) -> str:
    """Return a reason that may be published; raise ``PrivacyError`` when it repeats what should not be told."""
    reason = " ".join(text.split())
    if not reason or len(reason) > MOST_CHARACTERS or not reason.isprintable():
        raise UsageError(f"found a --reason of {len(reason)} characters; wanted 1 to {MOST_CHARACTERS} printable ones")
    if shapes := find_shapes(reason, allowed=(contact,)):
        raise PrivacyError(
            f"the reason holds what looks like an {', '.join(sorted(shapes))}; it becomes public: say it without"
        )
    return reason


def _make_tombstone(
    settings: Settings, public: WholeStore, version: str, content: bytes | None, *, reason: str, now: datetime
) -> Retraction:
    """Return the tombstone, from whatever manifest there is; publishing may have died before it wrote one."""
    prefix = release_prefix(version)
    if content is None and not any(public.list(prefix)) and not any(public.survey(prefix, now=now)):
        raise UsageError(f"{public.url} has no release {version}; 'opscommons list' shows what there is")
    known = _parse(content) or _parse(_read(release_folder(settings, version) / MANIFEST))
    sha256 = hashlib.sha256(content).hexdigest() if content is not None else _UNKNOWN_SHA256
    return Retraction(
        version=version,
        reason=reason,
        retracted=now,
        created=known.created if known else now,
        manifest_sha256=sha256,
        provenance=known.provenance if known else settings.source.provenance,
        time=known.time if known else "calendar",
        bytes=known.totals.bytes if known else 0,
        rows=known.totals.rows if known else 0,
    )


def _rehearse(public: AuditedStore, tombstone: Retraction) -> None:
    """Let all that will be written pass its audit, before any of it is."""
    draft = public.draft()
    draft.put_new(retraction_key(tombstone.version), readable_json(tombstone))
    with suppress(StoreError):  # of a damaged store the catalog cannot be made, and what is withdrawn goes all the same
        announce_retraction(draft, tombstone)


def _bury(public: WholeStore, tombstone: Retraction) -> Retraction:
    """Write the tombstone, or return the one that another run wrote first."""
    public.put_new(retraction_key(tombstone.version), readable_json(tombstone))
    found = read_retraction(public, tombstone.version)
    if found is None:
        raise StoreError(f"{retraction_key(tombstone.version)} was just written to {public.url} and is gone")
    return found


def _remember_paths(
    settings: Settings, public: WholeStore, version: str, content: bytes | None, tombstone: Retraction
) -> tuple[str, ...]:
    """Return every path that the release has or had, none when nothing tells any more.

    Its manifest is kept here: a later run shall ask for all of them, too, though nothing of it is left there.
    """
    kept = settings.work_dir / "retractions" / f"{version}.manifest.json"
    if content is not None:
        temporary = kept.with_name(f".{kept.name}.{secrets.token_hex(4)}")
        with suppress(OSError):  # withdrawing goes first; a later run then asks for fewer addresses, and says so
            kept.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(content)
            temporary.replace(kept)
    prefix = release_prefix(version)
    paths: set[str] = set()
    with suppress(StoreError):  # removing meets the same error, and says so
        paths |= {key.removeprefix(prefix) for key in public.list(prefix)}
    for candidate in (content, _read(kept), _read(release_folder(settings, version) / MANIFEST)):
        manifest = _parse(candidate)
        sha256 = hashlib.sha256(candidate or b"").hexdigest()
        if manifest is not None and tombstone.manifest_sha256 in (_UNKNOWN_SHA256, sha256):
            return tuple(sorted(paths | {file.path for file in manifest.files} | {MANIFEST, SUMS}))
    return tuple(sorted(paths))


def _look(
    settings: Settings, public: WholeStore, result: RetractResult, paths: Sequence[str], progress: Progress
) -> None:
    """Ask for everything as anybody would, and add what was seen to the result."""
    addresses = store_addresses(public, settings.publish.url)
    if not addresses:
        result.unchecked.append(
            "no address is known at which readers reach this folder; publish.url in the configuration names it"
        )
    for address in addresses:
        view = look_at_retracted(address, result.version, paths, progress=progress)
        result.asked += view.asked
        _judge(view, result)


def _judge(view: PublicView, result: RetractResult) -> None:
    caches = f"caches may keep it for {PUBLIC_MAX_AGE_SECONDS} s: empty them or wait, then run this again"
    if view.readable:
        result.problems.append(
            f"{len(view.readable)} of {view.asked} addresses can still be read, the first: {view.readable[0]}; {caches}"
        )
    if view.stale_catalog:
        result.problems.append(f"the catalog at {view.address} does not know of the retraction; {caches}")
    if view.doubt:
        result.unchecked.append(view.doubt)
    elif view.unanswered:
        result.unchecked.append(f"{view.unanswered} of {view.asked} addresses at {view.address} gave no answer")


def _parse(content: bytes | None) -> Manifest | None:
    try:
        return None if content is None else Manifest.model_validate_json(content)
    except ValidationError:
        return None


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
