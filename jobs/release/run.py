"""The release job: choose the span, build, audit, and leave an audited release in the work folder."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime

from jobs.config import Settings
from jobs.release.audited import audit_built, refuse_findings
from jobs.release.build import Progress, build_release, check_version, count_missing, whole_days
from jobs.release.heads import CommitHead
from jobs.release.hidden import write_hidden
from jobs.release.result import ReleaseResult
from jobs.release.spans import RealSpan, read_spans, refuse_mixed_time, refuse_overlap, refuse_young, write_span
from jobs.store import open_store
from schemas.errors import PrivacyError, UsageError
from schemas.windows import Window, format_duration, snap_outward


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
    staging = open_store(settings.staging, endpoint_url=settings.s3_endpoint_url)
    published = read_spans(public, staging)
    if version in published or public.get(f"retractions/{version}.json") is not None:
        raise UsageError(f"version {version} is published or withdrawn; a version is never used twice: take the next")
    now = clock()

    def choose_span(commits: Sequence[CommitHead]) -> Window:
        span = _choose_span(settings, commits, published.values(), start, end, now=now)
        for key_id in {record.key_id for record in commits if span.start <= record.window.start < span.end}:
            own = RealSpan(version, span, key_id, settings.privacy.time, ())
            refuse_mixed_time(own, published.values())  # before a shift is drawn that nobody will need
        return span

    built = build_release(settings, version, choose_span=choose_span, progress=progress)
    write_hidden(built.folder, built.hidden)
    write_span(built.folder, built.manifest, built.span)
    refuse_overlap(RealSpan.of(built.manifest, built.span), published.values())
    report = audit_built(settings, built.folder, now=clock(), commits=built.commits)
    refuse_findings(report)
    return ReleaseResult(
        built.folder,
        built.manifest,
        report,
        received=built.facts.expected - built.facts.missing,
        expected=built.facts.expected,
        span=built.span,
        missing=count_missing(built.commits, built.span, settings.collection.window),
    )


def _choose_span(
    settings: Settings,
    commits: Sequence[CommitHead],
    published: Collection[RealSpan],
    start: datetime | None,
    end: datetime | None,
    *,
    now: datetime,
) -> Window:
    """Return the span given by hand, snapped outward; or what was committed since this source's last release.

    Where no end is given, windows that are too young for ``release.hold_back`` are left out; a younger end is refused.
    """
    hold_back = settings.release.hold_back
    if end is None and hold_back:
        old = [record for record in commits if record.window.end <= now - hold_back]
        if commits and not old:
            raise PrivacyError(
                f"no snapshot is older than release.hold_back of {format_duration(hold_back)}; the oldest begins at "
                f"{min(r.window.start for r in commits):%FT%TZ}: wait"
            )
        commits = old
    tokens = {record.source_token for record in commits}
    since = max((other.window.end for other in published if tokens & set(other.sources)), default=None)
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
    span = snap_outward(first, last, settings.collection.window)
    refuse_young(span, hold_back=hold_back, now=now)
    return span
