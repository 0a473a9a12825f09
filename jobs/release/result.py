"""A built and audited release, and what a person and a script want to know of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.release.audited import AuditReport, describe_scope
from schemas.manifest import Manifest
from schemas.windows import Window


@dataclass(frozen=True)
class ReleaseResult:
    """A built and audited release."""

    folder: Path
    manifest: Manifest
    report: AuditReport
    received: int
    """Of the raw samples expected in the span."""
    expected: int
    span: Window
    """When its data really are; the manifest may tell another time."""
    missing: int
    """Windows of the span that a table lacks."""


def release_facts(result: ReleaseResult) -> dict[str, Any]:
    """Return what a script wants to know."""
    totals = result.manifest.totals
    return {
        "version": result.manifest.release.version,
        "folder": str(result.folder),
        "start": f"{result.manifest.start:%FT%TZ}",
        "end": f"{result.manifest.end:%FT%TZ}",
        "time": result.manifest.time,
        "real_start": f"{result.span.start:%FT%TZ}",
        "real_end": f"{result.span.end:%FT%TZ}",
        "windows_missing": result.missing,
        "rows": totals.rows,
        "series": totals.series,
        "tables": len(result.manifest.tables),
        "data_bytes": totals.data_bytes,
        "bytes_per_sample": round(totals.data_bytes / totals.rows, 3),
        "coverage": result.received / result.expected if result.expected else None,
        "audit_findings": len(result.report.findings),
        "strings_audited": result.report.strings,
        "manifest_sha256": result.report.manifest_sha256,
    }


def render_release(result: ReleaseResult) -> Iterator[str]:
    """Yield what a person wants to know."""
    manifest, totals = result.manifest, result.manifest.totals
    rows = f"rows of {totals.series:,} series" if totals.series else "sums over groups"
    coverage = f"{100 * result.received / result.expected:.2f} %" if result.expected else "unknown"
    yield (
        f"built {manifest.release.version}: {totals.rows:,} {rows} in {len(manifest.tables)} tables, "
        f"{totals.data_bytes / totals.rows:.2f} bytes each, coverage {coverage}"
    )
    moved = f", told as {manifest.time} time" if manifest.time != "calendar" else ""
    lacking = f"; {result.missing} windows of it were not collected whole" if result.missing else ""
    yield f"from {result.span.start:%FT%TZ} to {result.span.end:%FT%TZ}{moved}{lacking}"
    yield f"audit: clean, {result.report.files} files and {result.report.strings:,} strings looked at"
    yield from describe_scope(result.report)
    yield f"it lies in {result.folder}"
