"""The audit report of a built release: written beside it, bound to its bytes, good for a day."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from anonymize.audit.findings import Finding
from anonymize.audit.release import AuditResult, audit_release, read_manifest
from jobs.config import Settings
from jobs.guard import failing_closed
from jobs.registry import registry_of
from jobs.release.heads import CommitHead
from jobs.release.inputs import find_commits, gather_tokens
from jobs.release.words import build_search
from schemas.digest import readable_json
from schemas.errors import PrivacyError
from schemas.registry import read_policy

FRESH: Final = timedelta(days=1)


AtHand = Literal["checked", "not at hand"]


class AuditFinding(BaseModel):
    """A finding as it stands in the report: a place, a code and a count, never a value."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    place: str
    code: str
    count: int


class AuditReport(BaseModel):
    """The outcome of one audit. ``manifest_sha256`` names exactly the bytes that it speaks of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: str = "1.1"
    version: str
    manifest_sha256: str
    audited: datetime
    files: int
    rows: int
    strings: int
    inputs: AtHand = "not at hand"
    """Whether every token was looked up in the raw-scanned files that the release was made from."""
    input_tokens: int = 0
    """Distinct tokens of those files."""
    listed_words: int = 0
    """Words of ``privacy.word_list`` that were searched for."""
    public_words: int = 0
    """Words of it that were not, since the program itself says them."""
    label_values: AtHand = "not at hand"
    """Whether the source was reached, so that its current label values were searched for."""
    findings: tuple[AuditFinding, ...]


def report_path(folder: Path) -> Path:
    """Return where the report of a release lies: beside it, never inside."""
    return folder.with_name(f"{folder.name}.audit.json")


def run_audit(
    settings: Settings, folder: Path, *, now: datetime, commits: Sequence[CommitHead] | None = None
) -> AuditReport:
    """Audit the release in ``folder`` and return the report.

    ``commits`` are what it was made from; without them they are looked for in the staging store.
    """
    policy, tables = read_policy(settings.privacy.policy), registry_of(settings).by_version
    if commits is None:
        commits = find_commits(settings, read_manifest(folder)[0])
    with failing_closed(f"the audit of {folder.name}"):
        inputs = gather_tokens(settings, commits) if commits else None
        words, reached = build_search(settings, policy, now=now)
        result: AuditResult = audit_release(
            folder,
            policy=policy,
            known_tables=tables,
            k=settings.privacy.k_anonymity,
            inputs=inputs,
            words=words,
        )
    return AuditReport(
        version=result.version,
        manifest_sha256=result.manifest_sha256,
        audited=now,
        files=result.files,
        rows=result.rows,
        strings=result.strings,
        inputs=_at_hand(inputs is not None),
        input_tokens=len(inputs) if inputs is not None else 0,
        listed_words=len(words.words),
        public_words=words.public_words,
        label_values=_at_hand(reached),
        findings=tuple(_as_model(finding) for finding in result.findings),
    )


def _at_hand(checked: bool) -> AtHand:
    return "checked" if checked else "not at hand"


def describe_scope(report: AuditReport) -> list[str]:
    """Return in words what an audit could compare with, and what it could not."""
    lines = [
        f"every token occurs in the staged files that were searched for raw values ({report.input_tokens:,} tokens)"
        if report.inputs == "checked" and not report.findings
        else f"tokens were compared with {report.input_tokens:,} of the staged files"
        if report.inputs == "checked"
        else "NOT checked: whether the tokens come from files that were searched for raw values; there is no staging "
        "store with them here, and publish will not take this report"
    ]
    if report.listed_words or report.public_words:
        skipped = f"; {report.public_words} others are words of the program itself" if report.public_words else ""
        lines.append(f"{report.listed_words} words of privacy.word_list were searched for{skipped}")
    if report.label_values != "checked":
        lines.append("not searched for: the current label values of the source, which did not answer")
    return lines


def audit_built(
    settings: Settings, folder: Path, *, now: datetime, commits: Sequence[CommitHead] | None = None
) -> AuditReport:
    """Audit a release in the work folder and write its report; an audit that breaks leaves none, not even the last."""
    report_path(folder).unlink(missing_ok=True)
    report = run_audit(settings, folder, now=now, commits=commits)
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
    if report.inputs != "checked":
        raise PrivacyError(
            f"the audit of {folder.name} did not have the staged files that the release was made from, so its tokens "
            f"are not proven; {hint} where the staging store is at hand"
        )
    if report.manifest_sha256 != manifest_sha256:
        raise PrivacyError(f"release {folder.name} was changed after its audit; {hint}")
    if not timedelta() <= now - report.audited <= FRESH:
        raise PrivacyError(
            f"the audit of {folder.name} is from {report.audited:%FT%TZ}, wanted one of the last day; {hint}"
        )
    return report


def _as_model(finding: Finding) -> AuditFinding:
    return AuditFinding(place=finding.place, code=finding.code, count=finding.count)
