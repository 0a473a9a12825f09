"""The release that lies in the work folder: exactly the bytes that were audited, and who approved them."""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from jobs.config import Settings
from jobs.layout import MANIFEST, SUMS
from jobs.release.audited import AuditReport, read_fresh_report
from jobs.release.build import check_version, release_folder
from schemas.digest import digest, readable_json
from schemas.errors import PrivacyError, UsageError
from schemas.manifest import Manifest
from schemas.registry import read_policy

APPROVER: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,38}")


class Approval(BaseModel):
    """One person's word for exactly the bytes that a manifest names. It becomes public with the release."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: str = "1.0"
    version: str
    manifest_sha256: str
    approver: str
    approved: datetime


@dataclass(frozen=True)
class AuditedRelease:
    """A built release with the clean report of the last day that speaks of its bytes."""

    folder: Path
    manifest: Manifest
    content: bytes
    """Of ``manifest.json``."""
    report: AuditReport

    @property
    def manifest_sha256(self) -> str:
        """What names all bytes of the release."""
        return self.report.manifest_sha256


def read_audited(settings: Settings, version: str, *, now: datetime) -> AuditedRelease:
    """Return the built release ``version``; raise ``PrivacyError`` unless it was audited as it is and as we are.

    The policy of today must be the one that it was made under: a narrower one was made for a reason.
    """
    check_version(version)
    folder = release_folder(settings, version)
    try:
        content = (folder / MANIFEST).read_bytes()
    except OSError:
        raise UsageError(f"release {version} is not built here; run 'opspub release {version}' first") from None
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError:
        raise PrivacyError(f"{folder / MANIFEST} is not a manifest any more; build the release again") from None
    if manifest.release.version != version:
        raise PrivacyError(f"{folder} holds release {manifest.release.version}; build {version} again")
    report = read_fresh_report(folder, manifest_sha256=hashlib.sha256(content).hexdigest(), now=now)
    if manifest.policy_digest != digest(read_policy(settings.privacy.policy)):
        raise PrivacyError(
            f"release {version} was made under another policy than the configured one; audit it again and see"
        )
    return AuditedRelease(folder, manifest, content, report)


def read_sums(release: AuditedRelease) -> str:
    """Return the hash of SHA256SUMS once it is known to say what the manifest says."""
    listed = {file.path: file.sha256 for file in release.manifest.files} | {MANIFEST: release.manifest_sha256}
    wanted = "".join(f"{listed[path]}  {path}\n" for path in sorted(listed)).encode()
    try:
        found = (release.folder / SUMS).read_bytes()
    except OSError:
        found = b""
    if found != wanted:
        raise PrivacyError(f"{release.folder / SUMS} does not say what the manifest says; build the release again")
    return hashlib.sha256(found).hexdigest()


def approve(settings: Settings, version: str, *, approver: str, now: datetime) -> tuple[AuditedRelease, Approval]:
    """Write down, beside the audit report, that somebody approves these bytes; whoever does so twice counts once."""
    name = approver.lower()
    if not APPROVER.fullmatch(name):
        raise UsageError(
            "found --as with something else than a short handle of letters, digits, '.', '_' and '-'; "
            "wanted one, since it becomes public"
        )
    release = read_audited(settings, version, now=now)
    read_sums(release)
    approval = Approval(version=version, manifest_sha256=release.manifest_sha256, approver=name, approved=now)
    try:
        _approval_path(release.folder, name).write_bytes(readable_json(approval))
    except OSError as error:
        raise UsageError(f"the approval cannot be written beside {release.folder}: {error.strerror}") from None
    return release, approval


def read_approvals(release: AuditedRelease, *, required: int) -> tuple[Approval, ...]:
    """Return who approved exactly these bytes; raise ``PrivacyError`` when they are fewer than ``required``."""
    folder = release.folder
    found = {}
    elsewhere = 0
    for path in sorted(folder.parent.glob(f"{folder.name}.approval-*.json")):
        try:
            approval = Approval.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            raise PrivacyError(f"{path} is not an approval; remove it, or approve again") from None
        if path != _approval_path(folder, approval.approver):
            raise PrivacyError(f"{path} holds the approval of somebody else; remove it, or approve again")
        if (approval.version, approval.manifest_sha256) == (folder.name, release.manifest_sha256):
            found[approval.approver] = approval
        else:
            elsewhere += 1
    if len(found) < required:
        others = f" ({elsewhere} of other bytes do not count)" if elsewhere else ""
        raise PrivacyError(
            f"release {folder.name} has {len(found)} approvals{others}, publish.approvals wants {required}; "
            f"somebody else must look at it and run 'opspub approve {folder.name} --as NAME'"
        )
    return tuple(found.values())


def _approval_path(folder: Path, approver: str) -> Path:
    return folder.with_name(f"{folder.name}.approval-{approver}.json")
