"""The release job: choose the span, build, audit, and leave an audited release in the work folder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from jobs.config import Settings
from jobs.publish.catalog import read_manifests
from jobs.release.audited import AuditReport, refuse_findings, run_audit, write_report
from jobs.release.build import Progress, build_release, check_version, count_missing, whole_days
from jobs.release.hidden import write_hidden
from jobs.store import open_store
from schemas.commit import CommitRecord
from schemas.errors import PrivacyError, UsageError
from schemas.manifest import Manifest
from schemas.windows import Window, snap_outward


@dataclass(frozen=True)
class ReleaseResult:
    """A built and audited release."""

    folder: Path
    manifest: Manifest
    report: AuditReport
    received: int
    """Of the raw samples expected in the span."""
    expected: int
    missing: int
    """Windows of the span that a table lacks."""


def run_release(
    settings: Settings,
    version: str,
    *,
    clock: Callable[[], datetime],
    start: datetime | None = None,
    end: datetime | None = None,
    progress: Progress = lambda done, total, what: None,
) -> ReleaseResult:
    """Build ``version`` from committed snapshots and audit it; raise ``PrivacyError`` when the audit finds anything."""
    check_version(version)
    if settings.collection.timestamps == "raw":
        raise PrivacyError(
            "the snapshots hold the times of the scrapes (collection.timestamps is raw), which tell whose target a "
            "series is; nothing is released from them: collect with timestamps: grid into a staging store of its own"
        )
    public = open_store(settings.public, endpoint_url=settings.s3_endpoint_url)
    published = read_manifests(public)
    if version in published or public.get(f"retractions/{version}.json") is not None:
        raise UsageError(f"version {version} is published or withdrawn; a version is never used twice: take the next")

    def choose_span(commits: Sequence[CommitRecord]) -> Window:
        return _choose_span(settings, commits, list(published.values()), start, end)

    built = build_release(settings, version, choose_span=choose_span, progress=progress)
    write_hidden(built.folder, built.hidden)
    refuse_overlap(built.manifest, list(published.values()))
    report = run_audit(settings, built.folder, now=clock())
    write_report(built.folder, report)
    refuse_findings(report)
    return ReleaseResult(
        built.folder,
        built.manifest,
        report,
        received=built.facts.expected - built.facts.missing,
        expected=built.facts.expected,
        missing=count_missing(
            built.commits, Window(built.manifest.start, built.manifest.end), settings.collection.window
        ),
    )


def _choose_span(
    settings: Settings,
    commits: Sequence[CommitRecord],
    published: Sequence[Manifest],
    start: datetime | None,
    end: datetime | None,
) -> Window:
    """Return the span given by hand, snapped outward; or what was committed since this source's last release."""
    tokens = {record.source_token for record in commits}
    since = max((manifest.end for manifest in published if tokens & set(manifest.sources)), default=None)
    if start is None and end is None:
        span = whole_days(commits, since)
        if missing := count_missing(commits, span, settings.collection.window):
            raise UsageError(
                f"{missing} windows of {span} are not committed; run 'opspub snapshot' first, or name the span with "
                "--start and --end to release it with its gaps"
            )
        return span
    if not commits:
        raise UsageError("there are no committed snapshots of this source; run 'opspub snapshot' first")
    oldest, newest = min(r.window.start for r in commits), max(r.window.end for r in commits)
    first, last = start or since or oldest, end or newest
    if first >= last:
        raise UsageError(f"found a span from {first:%FT%TZ} to {last:%FT%TZ}; wanted --start before --end")
    if first >= newest or last <= oldest:
        raise UsageError(
            f"no snapshot is committed in {Window(first, last)}; there are some in {Window(oldest, newest)}"
        )
    first = max(first, oldest)
    last = min(last, newest)  # a release does not claim what nobody collected
    return snap_outward(first, last, settings.collection.window)


def refuse_overlap(manifest: Manifest, published: Sequence[Manifest]) -> None:
    """Raise ``PrivacyError`` for one span under two keys: it would link the tokens of both by their values."""
    for other in published:
        if other.key_id != manifest.key_id and other.start < manifest.end and manifest.start < other.end:
            raise PrivacyError(
                f"release {other.release.version} covers part of this span under another key; "
                "an erratum keeps the key, any other release must not overlap"
            )
