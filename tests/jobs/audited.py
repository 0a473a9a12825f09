"""A small release as building and auditing leave it in the work folder, and the settings to publish it with."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jobs.config import Settings
from jobs.release.audited import AuditReport, write_report
from jobs.release.groups import Suppression
from jobs.release.hidden import write_hidden
from schemas.digest import digest, readable_json
from schemas.manifest import Manifest, ReleaseFile, ReleaseInfo, Totals
from schemas.registry import read_policy

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
VERSION = "2026.11.0"
CONTENTS: Mapping[str, bytes] = {
    "data/model_server/metric=vllm%3Arunning/date=2026-11-01/part-0.parquet": b"PAR1 model servers",
    "data/node/metric=node_load1/date=2026-11-01/part-0.parquet": b"PAR1 nodes",
    "README.md": b"# A card\n",
    "LICENSE": b"CC-BY-4.0\n",
}


def a_clock(now: datetime = NOW) -> Any:  # noqa: ANN401 - what every job takes as its clock
    """Return a clock that stands still."""
    return lambda: now


def publisher_settings(folder: Path, public: str | None = None, **changed: Any) -> Settings:  # noqa: ANN401 - any section
    """Return settings whose stores and work folder lie in ``folder``."""
    given = {
        "source": {"name": "lab", "url": "http://127.0.0.1:1", "identity": "none"},
        "privacy": {"key_file": folder / "ring"},
        "staging": f"file:{folder}/staging",
        "public": public or f"file:{folder}/public",
        "work_dir": folder / "work",
        **changed,
    }
    return Settings.model_validate(given)


def write_audited(
    settings: Settings,
    version: str = VERSION,
    *,
    contents: Mapping[str, bytes] = CONTENTS,
    audited: datetime = NOW - timedelta(hours=1),
    findings: tuple[Any, ...] = (),
    hidden: Mapping[str, frozenset[str]] = MappingProxyType({}),
    **changed: Any,  # noqa: ANN401 - any field of the manifest
) -> Manifest:
    """Write a release and its report into the work folder; return its manifest."""
    folder = settings.work_dir / "releases" / version
    for path, content in contents.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    fields: dict[str, Any] = {
        "release": ReleaseInfo(version=version, title="Made up", license="CC-BY-4.0", maintainer="a", contact="b"),
        "provenance": "simulated",
        "created": NOW - timedelta(hours=2),
        "start": NOW - timedelta(hours=36),
        "end": NOW - timedelta(hours=12),
        "step_ms": 30_000,
        "sources": ("src_aaaaaaaaaaaaaaaa",),
        "key_id": "k_0",
        "policy": "default",
        "policy_digest": digest(read_policy("default")),
        "tables": (),
        "totals": Totals(files=len(contents), bytes=sum(map(len, contents.values())), data_bytes=28, rows=7, series=3),
        "files": tuple(
            ReleaseFile(path=path, role=role_of(path), bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
            for path, content in sorted(contents.items())
        ),
    }
    manifest = Manifest(**fields | changed)
    content = readable_json(manifest)
    (folder / "manifest.json").write_bytes(content)
    hashes = {file.path: file.sha256 for file in manifest.files}
    hashes["manifest.json"] = hashlib.sha256(content).hexdigest()
    (folder / "SHA256SUMS").write_text("".join(f"{hashes[path]}  {path}\n" for path in sorted(hashes)))
    report = AuditReport(
        version=version,
        manifest_sha256=hashes["manifest.json"],
        audited=audited,
        files=len(contents) + 2,
        rows=7,
        strings=5,
        inputs="checked",
        findings=findings,
    )
    write_report(folder, report)
    write_hidden(folder, Suppression(hidden).record(manifest, settings.source.name))
    return manifest


def role_of(path: str) -> str:
    """Return the role of a file of these releases."""
    return {"README.md": "card", "LICENSE": "license"}.get(path, "data")
