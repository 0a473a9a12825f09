"""The manifest against the rules: policy, tables, metrics, sources and schema copies are those that are known."""

from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath

from anonymize.audit.findings import Finding
from anonymize.audit.grammar import Grammar, token_pattern
from anonymize.audit.subject import MANIFEST, ROWS, Subject, parent_table
from schemas.aggregate import AGGREGATE
from schemas.digest import digest, readable_json
from schemas.policy import SOURCE_DOMAIN


def check_rules(subject: Subject) -> Iterator[Finding]:
    """Yield what of a manifest no rule knows, and schema copies that are none."""
    manifest = subject.manifest
    if digest(subject.policy) != manifest.policy_digest:
        yield Finding(MANIFEST, "another-policy")
    if strangers := Grammar(pattern=token_pattern(SOURCE_DOMAIN)).strangers(manifest.sources):
        yield Finding(f"{MANIFEST}: sources", "not-in-grammar", strangers)
    if subject.inputs is not None and (unknown := subject.inputs.count_strangers(manifest.sources)):
        yield Finding(f"{MANIFEST}: sources", "not-in-inputs", unknown)
    for entry in manifest.tables:
        schema = subject.known_tables.get((entry.table, entry.schema_version))
        if schema is None or digest(schema) != entry.schema_digest:
            yield Finding("table of the manifest", "unknown-schema")
        elif problems := subject.policy.check_table(schema):
            yield Finding(f"table {entry.table}", "not-in-policy", len(problems))
        elif strangers := len(set(entry.metrics) - {metric.name for metric in schema.metrics}):
            yield Finding(f"{MANIFEST}: metrics of {entry.table}", "not-in-grammar", strangers)
    yield from _check_schema_copies(subject)
    yield from _check_sums(subject)


def _check_schema_copies(subject: Subject) -> Iterator[Finding]:
    copies = set()
    for file in subject.manifest.files:
        if file.role == "schema" and (path := subject.path(file)):
            name = PurePosixPath(file.path).stem
            copies.add(name)
            schema, _ = subject.tables.get(name, (None, None))
            if schema is None or path.read_bytes() != readable_json(schema):
                yield Finding(file.path, "differs-from-registry")
    if missing := subject.tables.keys() - copies:
        yield Finding("schemas", "missing-schema", len(missing))


def _check_sums(subject: Subject) -> Iterator[Finding]:
    """Yield where totals are not the sums of what is listed: a number may carry a message, too."""
    manifest = subject.manifest
    listed = manifest.files
    data = [file for file in listed if file.role in ROWS or file.role == AGGREGATE]
    found = (len(listed), sum(file.bytes for file in listed), sum(file.bytes for file in data))
    if found != (manifest.totals.files, manifest.totals.bytes, manifest.totals.data_bytes):
        yield Finding(f"{MANIFEST}: totals", "sums-differ")
    rows: Counter[str] = Counter()
    for file in data:
        rows[parent_table(file) or ""] += (file.rows or 0) if file.role != "native" else 0
    if sum(file.rows or 0 for file in data) != manifest.totals.rows:
        yield Finding(f"{MANIFEST}: totals", "rows-differ")
    if +rows != +Counter({entry.table: entry.rows for entry in manifest.tables}):
        yield Finding(f"{MANIFEST}: rows of tables", "sums-differ")
