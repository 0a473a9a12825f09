"""Audit a finished release: the folder against its manifest, every file against the grammar. Needs no raw values."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from anonymize.audit.channels import NUMBER_HEADERS, UNREADABLE, WRITER, read_channels
from anonymize.audit.findings import Finding
from anonymize.audit.grammar import Grammar, TableGrammar, build_grammar, token_pattern
from anonymize.audit.groups import GroupAudit
from anonymize.audit.histograms import check_histograms, count_strange_nans
from anonymize.audit.instants import check_instants
from anonymize.audit.shapes import find_shapes
from schemas.arrow import COVERAGE_SCHEMA, data_schema, series_schema
from schemas.coverage import REASONS
from schemas.digest import digest, readable_json
from schemas.errors import UsageError
from schemas.manifest import Manifest, ReleaseFile
from schemas.native import VALUE_COLUMNS, native_schema
from schemas.policy import SOURCE_DOMAIN, Policy
from schemas.table import NATIVE_SUFFIX, TableSchema

MANIFEST: Final = "manifest.json"
SUMS: Final = "SHA256SUMS"
_E_MAIL: Final = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+")
_DAY_MS: Final = 86_400_000
_ROWS: Final = frozenset({"data", "native"})
"""Roles of files that hold rows of series."""
_FIXED_PATHS: Final = {
    "coverage": r"coverage\.parquet",
    "quality": r"quality\.json",
    "privacy": r"privacy\.json",
    "card": r"README\.md",
    "citation": r"CITATION\.cff",
    "license": r"LICENSE",
    "schema": r"schemas/[a-z][a-z0-9_]*\.json",
    "series": r"series/[a-z][a-z0-9_]*\.parquet",
    "native": r"data/[a-z][a-z0-9_]*_nh/metric=[A-Za-z0-9_%]+/date=\d{4}-\d\d-\d\d/part-\d+\.parquet",
    "data": r"data/[a-z][a-z0-9_]*/metric=[A-Za-z0-9_%]+/date=\d{4}-\d\d-\d\d/part-\d+\.parquet",
}


@dataclass(frozen=True)
class AuditResult:
    """What an audit looked at and found. ``manifest_sha256`` names exactly the bytes that it speaks of."""

    version: str
    manifest_sha256: str
    files: int
    strings: int
    rows: int
    findings: tuple[Finding, ...]


def audit_release(
    folder: Path, *, policy: Policy, known_tables: dict[tuple[str, str], TableSchema], k: int
) -> AuditResult:
    """Read every byte of the release in ``folder`` and return what speaks against publishing it.

    ``known_tables`` are the registry's schemas by (name, version): a release may not bring its own rules. ``k`` is how
    many entities must share a word of a quasi-identifier column.
    """
    try:
        content = (folder / MANIFEST).read_bytes()
        manifest = Manifest.model_validate_json(content)
    except OSError as error:
        raise UsageError(f"{folder} is not a release: {MANIFEST} cannot be read ({error.strerror})") from None
    except ValidationError as error:
        raise UsageError(f"{folder / MANIFEST} is not a manifest: {error.error_count()} problems") from None
    audit = _Audit(folder, manifest, policy, known_tables, k)
    findings = tuple(sorted(audit.run()))
    return AuditResult(
        version=manifest.release.version,
        manifest_sha256=hashlib.sha256(content).hexdigest(),
        files=len(manifest.files) + 2,
        strings=audit.strings,
        rows=audit.rows,
        findings=findings,
    )


class _Audit:
    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        policy: Policy,
        known_tables: dict[tuple[str, str], TableSchema],
        k: int,
    ) -> None:
        self.folder = folder
        self.manifest = manifest
        self.policy = policy
        self.known_tables = known_tables
        self.strings = 0
        self.rows = 0
        self.tables: dict[str, tuple[TableSchema, TableGrammar]] = {}
        self.groups = GroupAudit(policy, k=k)

    def run(self) -> Iterator[Finding]:
        if digest(self.policy) != self.manifest.policy_digest:
            yield Finding(MANIFEST, "another-policy")
        if strangers := Grammar(pattern=token_pattern(SOURCE_DOMAIN)).strangers(self.manifest.sources):
            yield Finding(f"{MANIFEST}: sources", "not-in-grammar", strangers)
        yield from self._check_tables()
        yield from self._check_listing()
        for file in self.manifest.files:
            yield from self._check_file(file)
        yield from self.groups.findings()
        yield from check_instants(self.folder, self.manifest, {name: table for name, (table, _) in self.tables.items()})
        for name in (MANIFEST, SUMS):
            yield from self._check_text(name)

    def _check_tables(self) -> Iterator[Finding]:
        for entry in self.manifest.tables:
            schema = self.known_tables.get((entry.table, entry.schema_version))
            if schema is None or digest(schema) != entry.schema_digest:
                yield Finding(f"table {entry.table}", "unknown-schema")
                continue
            if problems := self.policy.check_table(schema):
                yield Finding(f"table {entry.table}", "not-in-policy", len(problems))
                continue
            if strangers := len(set(entry.metrics) - {metric.name for metric in schema.metrics}):
                yield Finding(f"{MANIFEST}: metrics of {entry.table}", "not-in-grammar", strangers)
            self.tables[entry.table] = schema, build_grammar(schema, self.policy)

    def _check_listing(self) -> Iterator[Finding]:
        listed = {file.path: file.sha256 for file in self.manifest.files}
        if len(listed) != len(self.manifest.files):
            yield Finding(MANIFEST, "listed-twice", len(self.manifest.files) - len(listed))
        present = {path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if not path.is_dir()}
        for path in sorted(set(listed) - present):
            yield Finding(path, "missing-file")
        if extra := present - set(listed) - {MANIFEST, SUMS}:
            yield Finding("folder", "unlisted-file", len(extra))
        sums = {}
        if SUMS in present:
            for line in (self.folder / SUMS).read_text("utf-8", errors="replace").splitlines():
                sha256, _, path = line.partition("  ")
                sums[path] = sha256
        if {path: sha256 for path, sha256 in sums.items() if path != MANIFEST} != listed:
            yield Finding(SUMS, "differs-from-manifest")

    def _check_file(self, file: ReleaseFile) -> Iterator[Finding]:
        path = self.folder / file.path
        if not re.fullmatch(_FIXED_PATHS.get(file.role, r"(?!)"), file.path):
            yield Finding(f"file of role {file.role}", "path-not-in-grammar")
            return
        if file.role in _ROWS and not self._says_what_it_holds(file):
            yield Finding(f"file of role {file.role}", "path-differs-from-manifest")
        if path.is_symlink():
            yield Finding(file.path, "not-a-plain-file")
            return
        if not path.is_file():
            return  # the listing has said so
        with path.open("rb") as opened:
            if hashlib.file_digest(opened, "sha256").hexdigest() != file.sha256:
                yield Finding(file.path, "changed-file")
        if file.path.endswith(".parquet"):
            try:
                yield from self._check_parquet(file, path)
            except (pa.ArrowException, OSError):
                yield Finding(file.path, "unreadable-parquet")
        else:
            yield from self._check_text(file.path)
        if file.role == "schema":
            schema, _ = self.tables.get(Path(file.path).stem, (None, None))
            if schema is None or path.read_bytes() != readable_json(schema):
                yield Finding(file.path, "differs-from-registry")

    def _says_what_it_holds(self, file: ReleaseFile) -> bool:
        schema, _ = self.tables.get(_parent(file) or "", (None, None))
        declared = schema is not None and any(metric.name == file.metric for metric in schema.metrics)
        folder = f"data/{file.table}/metric={quote(file.metric or '', safe='')}/date={file.date}"
        return declared and file.path.rpartition("/")[0] == folder

    def _check_text(self, name: str) -> Iterator[Finding]:
        path = self.folder / name
        if not path.is_file():
            yield Finding(name, "missing-file")
            return
        info = self.manifest.release
        text = path.read_text("utf-8", errors="replace")
        # formats escape what stands around an address, never the address itself
        said = [word for given in (info.contact, info.maintainer) for word in (given, *_E_MAIL.findall(given))]
        for code, count in find_shapes(text, allowed=said).items():
            yield Finding(name, code, count)

    def _check_parquet(self, file: ReleaseFile, path: Path) -> Iterator[Finding]:
        wanted, grammars = self._expected(file)
        if wanted is None:
            yield Finding(file.path, "unknown-table")
            return
        found = pq.read_schema(path)
        if found.remove_metadata() != wanted or found.names != wanted.names:
            yield Finding(file.path, "columns-differ-from-schema")
            return
        for channel in read_channels(path):
            self.strings += len(channel.strings)
            place = f"{file.path}: {channel.name}"
            if channel.name == "key-value metadata" and channel.strings:
                yield Finding(place, "metadata-in-footer", len(channel.strings))
            elif channel.name == "created_by" and not all(map(WRITER.fullmatch, channel.strings)):
                yield Finding(place, "unknown-writer")
            elif channel.name in (NUMBER_HEADERS, UNREADABLE) and channel.strings:
                yield Finding(place, "not-numbers", len(channel.strings))
            elif channel.column and (strangers := grammars[channel.column].strangers(channel.strings)):
                yield Finding(f"{place} of {channel.column}", "not-in-grammar", strangers)
            elif channel.name == "page index and footer":
                for code, count in find_shapes("\n".join(channel.strings)).items():
                    yield Finding(place, code, count)
        schema, _ = self.tables.get(_parent(file) or "", (None, None))
        if file.role in _ROWS:
            yield from self._check_rows(file, path)
            if schema:
                self.groups.add_rows(path, schema)
        if file.role == "series":
            yield from self._check_index(path, file)
            if schema:
                self.groups.add_index(path, file.path, schema)

    def _expected(self, file: ReleaseFile) -> tuple[pa.Schema | None, dict[str, Grammar]]:
        if file.role == "coverage":
            metrics = frozenset(metric.name for schema in self.known_tables.values() for metric in schema.metrics)
            return (
                COVERAGE_SCHEMA,
                {
                    "source": Grammar(pattern=token_pattern(SOURCE_DOMAIN)),
                    "table": Grammar(words=frozenset(name for name, _ in self.known_tables)),
                    "metric": Grammar(words=metrics),
                    "status": Grammar(words=frozenset({"complete", "empty", "partial", "failed"})),
                    "reason": Grammar(words=frozenset(REASONS)),
                },
            )
        parent = _parent(file)
        if parent not in self.tables:
            return None, {}
        schema, grammar = self.tables[parent]
        paths = frozenset(each.path for each in self.manifest.files if each.role == "data")
        make = {"data": data_schema, "native": native_schema}.get(file.role, series_schema)
        return make(schema), {**grammar.columns, "path": Grammar(words=paths)}

    def _check_rows(self, file: ReleaseFile, path: Path) -> Iterator[Finding]:
        values = VALUE_COLUMNS if file.role == "native" else {"value"}
        keys = [name for name in pq.read_schema(path).names if name not in values]
        rows = pq.read_table(path, columns=keys, partitioning=None)
        self.rows += rows.num_rows
        if rows.num_rows != file.rows:
            yield Finding(file.path, "row-count-differs-from-manifest")
        stamps: Any = rows.column("timestamp").combine_chunks()
        times = stamps.cast(pa.int64()).to_numpy()
        if off := int(np.count_nonzero(times % self.manifest.step_ms)):
            yield Finding(file.path, "timestamp-off-grid", off)
        start, end = self.manifest.start.timestamp() * 1000, self.manifest.end.timestamp() * 1000
        if outside := int(np.count_nonzero((times < start) | (times >= end))):
            yield Finding(file.path, "timestamp-outside-release", outside)
        days = set(np.unique(times // _DAY_MS).tolist())
        if file.date is None or days != {(file.date - date(1970, 1, 1)).days}:
            yield Finding(file.path, "rows-of-another-day")
        yield from self._check_order(file, rows, times)
        if file.role == "native":
            for code, count in check_histograms(path):
                yield Finding(file.path, code, count)
            return
        column = pq.read_table(path, columns=["value"], partitioning=None).column("value")
        if strange := count_strange_nans(column):
            yield Finding(file.path, "nan-payload", strange)

    def _check_order(self, file: ReleaseFile, rows: pa.Table, times: "np.ndarray[Any, Any]") -> Iterator[Finding]:
        """Time grows along a series with its labels; a series under other labels may stand elsewhere, once."""
        same = np.ones(max(len(times) - 1, 0), dtype=np.bool_)
        series = np.zeros(0, dtype=np.int64)
        for name in rows.schema.names:
            if name != "timestamp":
                encoded: Any = rows.column(name).combine_chunks().dictionary_encode(null_encoding="encode")
                codes = encoded.indices.to_numpy()
                same &= codes[1:] == codes[:-1]
                series = codes if name == "series_id" else series
        if backward := int(np.count_nonzero(same & (times[1:] <= times[:-1]))):
            yield Finding(file.path, "not-in-order-of-time", backward)
        order = np.lexsort((times, series))
        again = (np.diff(series[order]) == 0) & (np.diff(times[order]) == 0)
        if doubled := int(np.count_nonzero(again)):
            yield Finding(file.path, "sample-twice", doubled)

    def _check_index(self, path: Path, file: ReleaseFile) -> Iterator[Finding]:
        paths = pq.read_table(path, columns=["path"]).column("path").unique().to_pylist()
        own = {each.path for each in self.manifest.files if each.role == "data" and each.table == file.table}
        if own != set(paths):
            yield Finding(file.path, "index-names-other-files")


def _parent(file: ReleaseFile) -> str | None:
    """Return the table whose schema says what a file holds."""
    return (file.table or "").removesuffix(NATIVE_SUFFIX) if file.role == "native" else file.table
