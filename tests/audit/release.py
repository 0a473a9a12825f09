"""One good release, and the means to break a copy of it in one place with all the rest made to fit."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from anonymize.audit.release import AuditResult, audit_release
from anonymize.audit.tokens import TokenSet
from anonymize.audit.words import WordSearch
from benchmarks.staged import START, Staged, settings_in, stage
from jobs.config import Settings
from jobs.release.build import build_release
from jobs.release.inputs import gather_tokens
from jobs.release.words import public_text
from schemas.commit import CommitRecord
from schemas.registry import read_policy, shipped_tables
from schemas.windows import Window

SECRET = "quokka-industries.example"  # plainly made up
VALUE = "payments-of-team-wombat"
VERSION = "2026.11.0"
TOKEN = "a2b3c4d5e6f7a2b3"
POLICY = read_policy("default")
TABLES = {(schema.table, schema.version): schema for schema in shipped_tables()}
METRICS = ("container_cpu_usage_seconds_total", "container_memory_working_set_bytes")


@dataclass(frozen=True)
class Good:
    """A release without a fault, what it was made from, and what its audit searches for."""

    settings: Settings
    folder: Path
    commits: list[CommitRecord]
    inputs: TokenSet
    words: WordSearch

    def audit(self, folder: Path) -> AuditResult:
        """Audit a copy with all that the audit may have at hand."""
        return audit_release(
            folder,
            policy=POLICY,
            known_tables=TABLES,
            k=5,
            inputs=self.inputs,
            words=self.words,
        )

    def codes(self, folder: Path) -> set[str]:
        """Return the codes of what an audit finds; no finding ever shows a secret."""
        findings = self.audit(folder).findings
        said = " ".join(map(str, findings)).lower()
        assert not [word for word in (SECRET, VALUE) if word in said]
        return {finding.code for finding in findings}


def build_good(root: Path, metrics: tuple[str, ...] = METRICS) -> Good:
    """Stage an hour of a few series and build a release of it, with our own writers and no server."""
    settings = settings_in(root)
    settings = settings.model_copy(update={"release": settings.release.model_copy(update={"title": "Made up"})})
    commits = stage(settings, Staged(series=30, hours=1, metrics=metrics), root / "files")
    built = build_release(settings, VERSION, choose_span=lambda _: Window(START, START + timedelta(hours=1)))
    words = WordSearch({SECRET}, {VALUE}, public_text=public_text(POLICY, TABLES.values()))
    return Good(settings, built.folder, commits, gather_tokens(settings, commits), words)


@dataclass
class Broken:
    """A copy of the good release. ``seal`` makes manifest and sums fit whatever was done to it."""

    folder: Path
    manifest: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.manifest = json.loads((self.folder / "manifest.json").read_bytes())

    @classmethod
    def of(cls, good: Good, folder: Path) -> Broken:
        """Return a fresh copy."""
        shutil.copytree(good.folder, folder)
        return cls(folder)

    def entry(self, role: str = "data") -> dict[str, Any]:
        """Return the manifest's first entry of a role."""
        return next(file for file in self.manifest["files"] if file["role"] == role)

    def path(self, role: str = "data") -> Path:
        """Return the first file of a role."""
        return self.folder / str(self.entry(role)["path"])

    def read(self, role: str = "data") -> Any:  # noqa: ANN401 - a table; its stubs know too little
        """Return the rows of the first file of a role."""
        return pq.read_table(self.path(role), partitioning=None)

    def write(self, rows: pa.Table, role: str = "data", **options: Any) -> None:  # noqa: ANN401 - of the writer
        """Write rows in its place, plain but for the options."""
        given: dict[str, Any] = {"store_schema": False, "compression": "zstd", "write_page_index": True} | options
        pq.write_table(rows, self.path(role), **given)

    def change(self, column: str, change: Callable[[list[Any]], list[Any]], role: str = "data") -> None:
        """Put other values into a column."""
        rows = self.read(role)
        at = rows.schema.get_field_index(column)
        made = pa.array(change(rows.column(column).to_pylist()), rows.schema.field(at).type)
        self.write(rows.set_column(at, rows.schema.field(at), made), role)

    def tail(self, found: bytes, put: bytes, *, last: bool, role: str = "data") -> None:
        """Replace bytes by as many others behind the pages: their first occurrence there, or their last."""
        assert len(found) == len(put)
        content = self.path(role).read_bytes()
        end = pages_end(self.path(role))
        at = content.rindex(found) if last else content.index(found, end)
        self.path(role).write_bytes(content[:at] + put + content[at + len(put) :])

    def text(self, path: str, change: Callable[[str], str]) -> None:
        """Change a text."""
        (self.folder / path).write_text(change((self.folder / path).read_text("utf-8")), "utf-8")

    def add(self, path: str, content: bytes, role: str, **facts: Any) -> None:  # noqa: ANN401 - the manifest's fields
        """Add a file, listed as if it belonged there."""
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_bytes(content)
        empty = dict.fromkeys(self.entry("license"))
        self.manifest["files"].append(empty | {"path": path, "role": role} | facts)

    def seal(self) -> None:
        """Make the manifest say what lies there, and SHA256SUMS what the manifest says."""
        files = self.manifest["files"]
        for file in files:
            path = self.folder / file["path"]
            if path.is_file():
                content = path.read_bytes()
                file |= {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        rows = [file for file in files if file["role"] in ("data", "native")]
        self.manifest["totals"] |= {
            "files": len(files),
            "bytes": sum(file["bytes"] for file in files),
            "data_bytes": sum(file["bytes"] for file in rows),
        }
        self.write_manifest()
        self.write_sums()

    def write_manifest(self) -> None:
        """Write the manifest as it stands."""
        text = json.dumps(self.manifest, indent=1, ensure_ascii=False) + "\n"
        (self.folder / "manifest.json").write_text(text, "utf-8")

    def write_sums(self, *more: str) -> None:
        """Write the sums of what the manifest lists."""
        content = (self.folder / "manifest.json").read_bytes()
        sums = {file["path"]: file["sha256"] for file in self.manifest["files"]}
        sums["manifest.json"] = hashlib.sha256(content).hexdigest()
        lines = [f"{sha256}  {path}\n" for path, sha256 in sorted(sums.items())]
        (self.folder / "SHA256SUMS").write_text("".join([*lines, *more]), "utf-8")


def pages_end(path: Path) -> int:
    """Return where the pages of a Parquet file end, by its library's word."""
    metadata = pq.read_metadata(path)
    return max(_chunk_ends(metadata))


def _chunk_ends(metadata: pq.FileMetaData) -> Iterator[int]:
    for group in range(metadata.num_row_groups):
        for index in range(metadata.num_columns):
            column = metadata.row_group(group).column(index)
            yield (column.dictionary_page_offset or column.data_page_offset) + column.total_compressed_size
