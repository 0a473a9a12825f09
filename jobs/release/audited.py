"""The audit report of a built release: written beside it, bound to its bytes, good for a day."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from anonymize.audit.findings import Finding
from anonymize.audit.release import AuditResult, audit_release
from jobs.config import Settings
from jobs.guard import failing_closed
from jobs.registry import registry_of
from schemas.digest import readable_json
from schemas.errors import PrivacyError
from schemas.registry import read_policy

FRESH: Final = timedelta(days=1)


class AuditFinding(BaseModel):
    """A finding as it stands in the report: a place, a code and a count, never a value."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    place: str
    code: str
    count: int


class AuditReport(BaseModel):
    """The outcome of one audit. ``manifest_sha256`` names exactly the bytes that it speaks of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: str = "1.0"
    version: str
    manifest_sha256: str
    audited: datetime
    files: int
    rows: int
    strings: int
    findings: tuple[AuditFinding, ...]


def report_path(folder: Path) -> Path:
    """Return where the report of a release lies: beside it, never inside."""
    return folder.with_name(f"{folder.name}.audit.json")


def run_audit(settings: Settings, folder: Path, *, now: datetime) -> AuditReport:
    """Audit the release in ``folder`` and return the report."""
    policy, tables = read_policy(settings.privacy.policy), registry_of(settings).by_version
    with failing_closed(f"the audit of {folder.name}"):
        result: AuditResult = audit_release(folder, policy=policy, known_tables=tables, k=settings.privacy.k_anonymity)
    return AuditReport(
        version=result.version,
        manifest_sha256=result.manifest_sha256,
        audited=now,
        files=result.files,
        rows=result.rows,
        strings=result.strings,
        findings=tuple(_as_model(finding) for finding in result.findings),
    )


def audit_built(settings: Settings, folder: Path, *, now: datetime) -> AuditReport:
    """Audit a release in the work folder and write its report; an audit that breaks leaves none, not even the last."""
    report_path(folder).unlink(missing_ok=True)
    report = run_audit(settings, folder, now=now)
    write_report(folder, report)
    return report


def refuse_findings(report: AuditReport) -> None:
    """Raise ``PrivacyError`` unless the audit found nothing."""
    if report.findings:
        first = report.findings[0]
        raise PrivacyError(
            f"the audit of {report.version} has {len(report.findings)} findings, the first: "
            f"{first.place}: {first.code} ({first.count}); nothing may be published from it"
        )


def write_report(folder: Path, report: AuditReport) -> None:
    """Write the report beside its release."""
    report_path(folder).write_bytes(readable_json(report))


def read_fresh_report(folder: Path, *, manifest_sha256: str, now: datetime) -> AuditReport:
    """Return the clean report of exactly these bytes; raise ``PrivacyError`` when there is none of the last day."""
    path = report_path(folder)
    hint = f"run 'opspub audit {folder}' again"
    try:
        report = AuditReport.model_validate_json(path.read_bytes())
    except OSError:
        raise PrivacyError(f"release {folder.name} has no audit report; {hint}") from None
    except ValidationError:
        raise PrivacyError(f"{path} is not an audit report; {hint}") from None
    refuse_findings(report)
    if report.manifest_sha256 != manifest_sha256:
        raise PrivacyError(f"release {folder.name} was changed after its audit; {hint}")
    if not timedelta() <= now - report.audited <= FRESH:
        raise PrivacyError(
            f"the audit of {folder.name} is from {report.audited:%FT%TZ}, wanted one of the last day; {hint}"
        )
    return report


def _as_model(finding: Finding) -> AuditFinding:
    return AuditFinding(place=finding.place, code=finding.code, count=finding.count)
