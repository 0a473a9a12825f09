"""Write all files of a release, one table after another: whole commits of one table are in memory at a time."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC
from functools import partial
from pathlib import Path

from jobs.card.attacked import read_attacks
from jobs.card.card import render_card
from jobs.card.citation import render_citation, render_license
from jobs.card.facts import ReleaseFacts, TableFacts
from jobs.card.privacy import render_privacy
from jobs.config import Settings
from jobs.kept import read_destructions, windows_given_up
from jobs.layout import CARD, CITATION, COVERAGE, LICENSE, MANIFEST, PRIVACY, QUALITY, SUMS, schema_path
from jobs.registry import choose_tables
from jobs.release.aggregate import SumRules, write_aggregates
from jobs.release.coverage import cover_release, mark_suppressed
from jobs.release.covered import CoverageFile
from jobs.release.describe import build_facts, build_table_facts, render_quality
from jobs.release.groups import Suppression
from jobs.release.heads import CommitHead, read_records
from jobs.release.kinds import KindTeller
from jobs.release.tables import WrittenTable, describe_file, write_release_table
from jobs.release.timeline import Timeline
from jobs.store import Store
from schemas.aggregate import AGGREGATE
from schemas.commit import CommitRecord
from schemas.digest import digest, readable_json
from schemas.errors import UsageError
from schemas.manifest import Manifest, ReleaseFile, ReleaseInfo, ReleaseTable, Totals
from schemas.policy import Policy
from schemas.table import TableSchema
from schemas.windows import Window, span_ms


@dataclass(frozen=True)
class Content:
    """What a release is made of, and where."""

    settings: Settings
    info: ReleaseInfo
    timeline: Timeline
    real: Window
    """When its data really are."""
    heads: Sequence[CommitHead]
    """Of its commits, told in the release's own time."""
    schemas: dict[str, TableSchema]
    policy: Policy
    suppression: Suppression
    store: Store
    cache: Path
    root: Path

    def read_table(self, table: str) -> list[CommitRecord]:
        """Return the whole commits of one table, in the release's own time."""
        own = [head for head in self.heads if head.table == table]
        return [self.timeline.move_record(record) for record in read_records(self.store, own)]


def write_content(content: Content, progress: Callable[[int, int, str], None]) -> tuple[Manifest, ReleaseFacts]:
    """Write everything below ``content.root``; raise ``UsageError`` when there is nothing to show."""
    settings, root = content.settings, content.root
    with CoverageFile(root / COVERAGE) as covered:
        written, tables = _write_tables(content, covered, progress)
    if not written:
        raise UsageError(f"the snapshots in {content.real} hold no rows that may be shown; there is nothing to release")
    facts = build_facts(
        content.info,
        content.timeline.move(content.real),
        content.heads,
        tables,
        covered,
        content.policy,
        step_ms=span_ms(settings.collection.step),
        window_ms=span_ms(settings.collection.window),
        time=content.timeline.mode,
        tier=settings.privacy.tier,
        k=settings.privacy.k_anonymity,
        suppressed=content.suppression.columns,
        key_destroyed=any(record.key_id == content.heads[0].key_id for record in read_destructions(content.store)),
        attacks=read_attacks(settings.privacy.attacks),
    )
    files = [file for table in written for file in table.files]
    files.append(describe_file(root, COVERAGE, "coverage"))
    for path, (role, text) in _render_texts(facts).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(text)
        files.append(describe_file(root, path, role))
    manifest = _build_manifest(content, written, files)
    (root / MANIFEST).write_bytes(readable_json(manifest))
    listed = [*files, describe_file(root, MANIFEST, "manifest")]
    (root / SUMS).write_text("".join(f"{f.sha256}  {f.path}\n" for f in sorted(listed, key=lambda f: f.path)), "utf-8")
    return manifest, facts


def _write_tables(
    content: Content, covered: CoverageFile, progress: Callable[[int, int, str], None]
) -> tuple[list[WrittenTable], list[TableFacts]]:
    """Write data and coverage of every table; return those that have rows, and what is said of them."""
    settings, suppression, schemas = content.settings, content.suppression, content.schemas
    span, width = content.timeline.move(content.real), settings.collection.window
    given_up = content.timeline.move_all(windows_given_up(content.store, settings.source.name, width))
    configured = {schema.table: schema for schema in choose_tables(settings)}  # a table never collected is a gap, too
    write, places = _choose_writer(content), {"store": content.store, "cache": content.cache, "root": content.root}
    written, facts = [], []
    ordered = sorted({**configured, **schemas}.items())
    for done, (name, schema) in enumerate(ordered):
        progress(done, len(ordered), f"table {name}")
        records = content.read_table(name)
        table = write(schema, records, hide=partial(suppression.hide, schema=schema), **places) if records else None
        coverage = cover_release(records, [schema], span, width, given_up, token=content.heads[0].source_token)
        hidden = [place for place in suppression.places if place[0] == name]
        coverage = mark_suppressed(coverage, hidden, schemas)
        covered.add_table(coverage)
        if table and (table.rows or table.native_rows):
            written.append(table)
            facts.append(build_table_facts(table, records, coverage, suppression.columns))
    progress(len(ordered), len(ordered), "describing")
    return written, facts


def _choose_writer(content: Content) -> Callable[..., WrittenTable]:
    settings, shift_ms = content.settings, content.timeline.by_ms
    if settings.privacy.tier != AGGREGATE:
        return partial(write_release_table, shift_ms=shift_ms)
    rules = SumRules(
        KindTeller(content.heads, content.schemas, content.suppression, store=content.store, cache=content.cache),
        k=settings.privacy.k_anonymity,
        step_ms=span_ms(settings.collection.step),
        shift_ms=shift_ms,
    )
    return partial(write_aggregates, rules=rules)


def _render_texts(facts: ReleaseFacts) -> dict[str, tuple[str, bytes]]:
    """Return the role and the bytes of every file that people read, by its path."""
    texts = {
        QUALITY: ("quality", _json(render_quality(facts))),
        PRIVACY: ("privacy", readable_json(render_privacy(facts))),
        CARD: ("card", render_card(facts).encode()),
        CITATION: ("citation", render_citation(facts).encode()),
        LICENSE: ("license", render_license(facts.info.license).encode()),
    }
    return texts | {schema_path(table.schema.table): ("schema", readable_json(table.schema)) for table in facts.tables}


def _build_manifest(content: Content, tables: Sequence[WrittenTable], files: Sequence[ReleaseFile]) -> Manifest:
    settings, span = content.settings, content.timeline.move(content.real)
    newest = max(content.heads, key=lambda record: record.created)
    return Manifest(
        release=content.info,
        provenance=newest.provenance,
        created=newest.created.astimezone(UTC),
        start=span.start,
        end=span.end,
        step_ms=span_ms(settings.collection.step),
        time=content.timeline.mode,
        tier=settings.privacy.tier,
        sources=tuple(sorted({record.source_token for record in content.heads})),
        key_id=newest.key_id,
        policy=newest.policy,
        policy_digest=newest.policy_digest,
        tables=tuple(
            ReleaseTable(
                table=table.schema.table,
                schema_version=table.schema.version,
                schema_digest=digest(table.schema),
                rows=table.rows,
                series=table.series,
                metrics=tuple(sorted(table.metrics)),
            )
            for table in tables
        ),
        totals=Totals(
            files=len(files),
            bytes=sum(file.bytes for file in files),
            data_bytes=sum(file.bytes for file in files if file.role in ("data", "native", AGGREGATE)),
            rows=sum(table.rows + table.native_rows for table in tables),
            series=sum(table.all_series for table in tables),
        ),
        files=tuple(sorted(files, key=lambda file: file.path)),
    )


def _json(content: object) -> bytes:
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()
