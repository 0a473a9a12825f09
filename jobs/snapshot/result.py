"""What a run of the snapshot job did, and which of its failures end it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from schemas.errors import PartialResult, PrivacyError, PublisherError, SourceError


@dataclass
class SnapshotResult:
    """What a run did."""

    windows: int = 0
    """Windows of which at least one table was committed."""
    commits: int = 0
    rows: int = 0
    series: int = 0
    bytes: int = 0
    due: int = 0
    failures: list[str] = field(default_factory=list)
    """What was not committed and stays due."""
    drift: dict[str, int] = field(default_factory=dict)
    """What has changed at the source, by kind: how many metrics, or labels. Names are in the commits."""
    gaps: list[str] = field(default_factory=list)
    """Metrics that were left out of committed windows, since no later run could have read them."""


def render_snapshot(result: SnapshotResult, seconds: float) -> Iterator[str]:
    """Yield what a person wants to know of a run that took so long."""
    if result.due:
        yield (
            f"committed {result.commits} of {result.due} due snapshots in {result.windows} windows: "
            f"{result.rows:,} rows, {result.bytes / (1 << 20):.1f} MiB, {seconds:.1f} s"
        )
    else:
        yield "nothing is due"
    if changed := {what: count for what, count in result.drift.items() if what != "type unknown"}:
        told = ", ".join(f"{what}: {count}" for what, count in changed.items())
        yield f"changed at the source: {told}; the commits say which, 'opspub schema coverage' what to do"
    for gap in result.gaps:
        yield f"left out for good: {gap}"


def refuse_failures(errors: Sequence[PublisherError], result: SnapshotResult, *, tables: int) -> None:
    """Raise what forbids, the first error if nothing was committed, or that so many ``tables`` were not committed."""
    if not errors:
        return
    for error in errors:
        if isinstance(error, PrivacyError):
            raise error
    failed = [error for error in errors if isinstance(error, SourceError)]
    if not failed or not result.commits:
        raise (failed or errors)[0]
    raise PartialResult(
        f"{tables} tables were not committed and stay due, {result.commits} were; the first: {result.failures[0]}"
    )
