"""The real spans of releases, and what they forbid. A manifest tells the real one only where it tells calendar time.

The span of any other release lies beside it once it is built, and in the staging store before it is public.
"""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from jobs.kept import find_span
from jobs.published import read_published
from jobs.release.beside import path_beside, read_beside
from jobs.store import Store
from schemas.digest import readable_json
from schemas.errors import PrivacyError
from schemas.manifest import Manifest
from schemas.timeline import ReleaseSpan, TimeMode
from schemas.windows import Window, format_duration

_NAME: Final = "span"


@dataclass(frozen=True, slots=True)
class RealSpan:
    """What a release really covers, whatever its manifest says."""

    version: str
    window: Window
    key_id: str
    time: TimeMode
    sources: tuple[str, ...]
    """Tokens."""

    @classmethod
    def of(cls, manifest: Manifest, window: Window) -> "RealSpan":
        """Return that of a release whose data are really in ``window``."""
        return cls(manifest.release.version, window, manifest.key_id, manifest.time, manifest.sources)


def read_spans(public: Store, staging: Store) -> dict[str, RealSpan]:
    """Return the real span of every published release; raise ``PrivacyError`` for one that nobody knows."""
    return {
        version: _real_span(manifest, find_span(staging, version, sha256), where=staging.url)
        for version, (manifest, sha256) in read_published(public).items()
    }


def write_span(folder: Path, manifest: Manifest, real: Window) -> None:
    """Write beside a built release when its data really are, unless its manifest says so; private, like snapshots."""
    path = path_beside(folder, _NAME)
    if manifest.time == "calendar":
        path.unlink(missing_ok=True)
        return
    record = ReleaseSpan(
        version=manifest.release.version,
        manifest_sha256=hashlib.sha256(readable_json(manifest)).hexdigest(),
        key_id=manifest.key_id,
        time=manifest.time,
        start=real.start,
        end=real.end,
    )
    path.write_bytes(readable_json(record))


def read_span(folder: Path, manifest: Manifest, *, manifest_sha256: str) -> tuple[RealSpan, ReleaseSpan | None]:
    """Return the real span of a built release and, unless its manifest tells it, the record to keep of it."""
    record = None
    if manifest.time != "calendar":
        tells = f"when the data of release {folder.name} really are"
        record = read_beside(folder, _NAME, ReleaseSpan, manifest_sha256=manifest_sha256, tells=tells)
    return _real_span(manifest, record, where=str(folder.parent)), record


def refuse_overlap(own: RealSpan, published: Collection[RealSpan]) -> None:
    """Raise ``PrivacyError`` for one span under two keys: it would link the tokens of both by their values."""
    for other in published:
        if other.key_id != own.key_id and other.window.start < own.window.end and own.window.start < other.window.end:
            raise PrivacyError(
                f"release {other.version} covers part of this span under another key; "
                "an erratum keeps the key, any other release must not overlap"
            )


def refuse_mixed_time(own: RealSpan, published: Collection[RealSpan]) -> None:
    """Raise ``PrivacyError`` for two ways to tell time under one key: equal tokens would tell one by the other."""
    for other in published:
        if other.key_id == own.key_id and other.time != own.time:
            raise PrivacyError(
                f"release {other.version} has the same key and tells {other.time} time, this one {own.time}: their "
                f"series can be joined; set privacy.time to {other.time}, or begin another key"
            )


def refuse_young(span: Window, *, hold_back: timedelta, now: datetime) -> None:
    """Raise ``PrivacyError`` for data that are not yet as old as data must be before they are published."""
    if hold_back and span.end > now - hold_back:
        raise PrivacyError(
            f"found data up to {span.end:%FT%TZ}; release.hold_back of {format_duration(hold_back)} wants none after "
            f"{now - hold_back:%FT%TZ}: give an earlier --end, or wait"
        )


def _real_span(manifest: Manifest, record: ReleaseSpan | None, *, where: str) -> RealSpan:
    version, window = manifest.release.version, Window(manifest.start, manifest.end)
    if manifest.time != "calendar":
        if record is None:
            raise PrivacyError(
                f"release {version} tells {manifest.time} time, and {where} does not know when its data really are; "
                "copy releases/ from the staging store that it was made from"
            )
        if (record.key_id, record.time, record.end - record.start) != (
            manifest.key_id,
            manifest.time,
            window.end - window.start,
        ):
            raise PrivacyError(f"what {where} knows of the span of release {version} does not fit its manifest")
        window = Window(record.start, record.end)
    return RealSpan.of(manifest, window)
