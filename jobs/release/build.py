"""Build a release from committed snapshots. The same commits and configuration give the same bytes."""

import json
import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from jobs.config import Settings
from jobs.kept import read_destructions, read_expired, read_suppressions, windows_given_up
from jobs.parquet import write_table
from jobs.registry import registry_of
from jobs.release.aggregate import SumRules, write_aggregates
from jobs.release.attacked import read_attacks
from jobs.release.card import render_card
from jobs.release.citation import render_citation, render_license
from jobs.release.coverage import cover_release, mark_suppressed
from jobs.release.describe import build_facts, render_quality
from jobs.release.facts import ReleaseFacts
from jobs.release.groups import Suppression, choose_suppression
from jobs.release.kinds import KindTeller
from jobs.release.layout import (
    CARD,
    CITATION,
    COVERAGE,
    LICENSE,
    MANIFEST,
    PRIVACY,
    QUALITY,
    SUMS,
    VERSION,
    schema_path,
)
from jobs.release.privacy import render_privacy
from jobs.release.tables import WrittenTable, describe_file, write_release_table
from jobs.release.timeline import Timeline, choose_timeline
from jobs.snapshot.commits import check_description, commit_key, read_commits, wanted_description
from jobs.snapshot.run import choose_tables
from jobs.store import Store, open_store
from schemas.aggregate import AGGREGATE
from schemas.commit import CommitRecord
from schemas.digest import digest, readable_json
from schemas.errors import PrivacyError, UsageError
from schemas.manifest import Manifest, ReleaseFile, ReleaseInfo, ReleaseTable, Totals
from schemas.policy import Policy
from schemas.registry import Registry, read_policy
from schemas.suppression import SuppressionRecord
from schemas.table import TableSchema
from schemas.timeline import TimeMode
from schemas.windows import Window, span_ms, windows_between

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class BuiltRelease:
    """A release that lies finished in the work folder, not yet public."""

    folder: Path
    manifest: Manifest
    commits: tuple[CommitRecord, ...]
    """What it was made from."""
    span: Window
    """When its data really are; the manifest may tell another time."""
    facts: ReleaseFacts
    hidden: SuppressionRecord


def release_folder(settings: Settings, version: str) -> Path:
    """Return where a release is built."""
    return settings.work_dir / "releases" / version


def check_version(version: str) -> None:
    """Raise ``UsageError`` unless the version is calendar-based."""
    if not VERSION.fullmatch(version):
        raise UsageError(f"found the version {version!r}; wanted year.month.number, such as 2026.11.0")


def whole_days(commits: Sequence[CommitRecord], since: datetime | None) -> Window:
    """Return the span to release when none is given: all at first, then whole committed days since the last one."""
    if not commits:
        raise UsageError("there are no committed snapshots of this source; run 'opspub snapshot' first")
    newest = max(record.window.end for record in commits)
    if since is None:
        return Window(min(record.window.start for record in commits), newest)
    last_midnight = newest.replace(hour=0, minute=0, second=0, microsecond=0)
    if last_midnight <= since:
        raise UsageError(
            f"no whole day was committed since the last release, which ends at {since:%FT%TZ}; "
            "wait, or name the span with --start and --end"
        )
    return Window(since, last_midnight)


def count_missing(commits: Sequence[CommitRecord], span: Window, width: timedelta) -> int:
    """Return how many windows of a span at least one of the committed tables lacks."""
    tables = {record.table for record in commits}
    done = {(record.table, record.window.start) for record in commits}
    return sum(
        any((table, window.start) not in done for table in tables)
        for window in windows_between(span.start, span.end, width)
    )


def build_release(
    settings: Settings,
    version: str,
    *,
    choose_span: Callable[[Sequence[CommitRecord]], Window],
    progress: Progress = lambda done, total, what: None,
) -> BuiltRelease:
    """Build ``version`` in the work folder; nothing shows there before all of it is finished."""
    check_version(version)
    store = open_store(settings.staging, endpoint_url=settings.s3_endpoint_url)
    everything = list(read_commits(store, settings.source.name))
    if everything:
        check_description(store, wanted_description(settings.collection))
    span = choose_span(everything)
    commits = [r for r in everything if span.start <= r.window.start and r.window.end <= span.end]
    _refuse_expired(store, settings.source.name, commits)
    policy = read_policy(settings.privacy.policy)
    schemas = _check_commits(commits, span, policy, registry_of(settings))
    timeline = choose_timeline(settings.privacy.time, span, key_id=commits[0].key_id, store=store)
    told = [timeline.move_record(record) for record in commits]
    folder = release_folder(settings, version)
    unfinished = folder.with_name(f".{version}.{secrets.token_hex(4)}")
    cache = unfinished.with_name(f"{unfinished.name}.staged")
    try:
        for path in (unfinished, cache):
            path.mkdir(parents=True)
        suppression = choose_suppression(
            schemas,
            told,
            policy,
            k=settings.privacy.k_anonymity,
            earlier=read_suppressions(store, settings.source.name, commits[0].key_id, but=version),
            store=store,
            cache=cache,
        )
        manifest, facts = _build(
            settings, version, timeline, span, told, schemas, policy, suppression, store, cache, unfinished, progress
        )
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)
    except OSError as error:
        raise UsageError(f"the release cannot be built in {folder.parent}: {error.strerror}") from error
    finally:
        shutil.rmtree(cache, ignore_errors=True)
        shutil.rmtree(unfinished, ignore_errors=True)
    hidden = suppression.record(manifest, settings.source.name)
    return BuiltRelease(folder, manifest, tuple(commits), span, facts, hidden)


def _refuse_expired(store: Store, source: str, commits: Sequence[CommitRecord]) -> None:
    """Raise ``UsageError`` for snapshots without their files: they would stand there as if nothing had been."""
    expired = read_expired(store, source)
    gone = [record for record in commits if commit_key(record) in expired]
    if gone:
        newest = max(gone, key=lambda record: record.window.end).window
        span = Window(min(record.window.start for record in gone), newest.end)
        raise UsageError(
            f"{len(gone)} snapshots in {span} were removed by retention, the last in {newest.window}; wanted --start "
            f"{newest.end:%FT%TZ} or later"
        )


def _check_commits(
    commits: Sequence[CommitRecord], span: Window, policy: Policy, registry: Registry
) -> dict[str, TableSchema]:
    """Return the schema of every table; raise when the commits can't stand in one release."""
    if not commits:
        raise UsageError(f"no snapshot is committed in {span}; run 'opspub snapshot', or name another span")
    keys = {record.key_id for record in commits}
    if len(keys) > 1:
        raise PrivacyError(f"the span {span} was collected under {len(keys)} keys; a release spans one: split it")
    if {record.policy_digest for record in commits} != {digest(policy)}:
        raise PrivacyError(
            f"snapshots in {span} were made under another policy than the configured one; split the span"
        )
    if len({record.provenance for record in commits}) > 1:
        raise UsageError(f"the span {span} holds real and simulated snapshots; a release is one or the other")
    schemas: dict[str, TableSchema] = {}
    for record in commits:
        schema = registry.find(record.table, record.schema_version)
        if digest(schema) != record.schema_digest:
            raise UsageError(f"table {schema.table} {schema.version} was changed after snapshots were made with it")
        known = schemas.setdefault(schema.table, schema)
        if known.major != schema.major:
            raise UsageError(f"the span {span} holds two major versions of table {schema.table}; split it")
        schemas[schema.table] = max(known, schema, key=lambda each: each.minor)
    return schemas


def _build(
    settings: Settings,
    version: str,
    timeline: Timeline,
    real: Window,
    commits: Sequence[CommitRecord],
    schemas: dict[str, TableSchema],
    policy: Policy,
    suppression: Suppression,
    store: Store,
    cache: Path,
    root: Path,
    progress: Progress,
) -> tuple[Manifest, ReleaseFacts]:
    """Write all files of a release; ``commits`` are told in its own time already."""
    span = timeline.move(real)
    write: Callable[..., WrittenTable] = partial(write_release_table, shift_ms=timeline.by_ms)
    if settings.privacy.tier == AGGREGATE:
        rules = SumRules(
            KindTeller(commits, schemas, suppression, store=store, cache=cache),
            k=settings.privacy.k_anonymity,
            step_ms=span_ms(settings.collection.step),
            shift_ms=timeline.by_ms,
        )
        write = partial(write_aggregates, rules=rules)
    written = []
    for done, (name, schema) in enumerate(sorted(schemas.items())):
        progress(done, len(schemas), f"table {name}")
        own = [record for record in commits if record.table == name]
        hide = partial(suppression.hide, schema=schema)
        written.append(write(schema, own, store=store, cache=cache, root=root, hide=hide))
    progress(len(schemas), len(schemas), "describing")
    if not any(table.rows or table.native_rows for table in written):
        raise UsageError(f"the snapshots in {real} hold no rows that may be shown; there is nothing to release")
    width = settings.collection.window
    configured = {schema.table: schema for schema in choose_tables(settings)}  # a table never collected is a gap, too
    ordered = [schema for _, schema in sorted({**configured, **schemas}.items())]
    info = ReleaseInfo(version=version, **settings.release.model_dump(exclude={"hold_back"}))
    given_up = timeline.move_all(windows_given_up(store, settings.source.name, width))
    coverage = cover_release(commits, ordered, span, width, given_up)
    coverage = mark_suppressed(coverage, suppression.places, schemas)
    facts = build_facts(
        info,
        span,
        commits,
        written,
        coverage,
        policy,
        step_ms=span_ms(settings.collection.step),
        window_ms=span_ms(width),
        time=timeline.mode,
        tier=settings.privacy.tier,
        k=settings.privacy.k_anonymity,
        suppressed=suppression.columns,
        key_destroyed=any(record.key_id == commits[0].key_id for record in read_destructions(store)),
        attacks=read_attacks(settings.privacy.attacks),
    )
    write_table(root / COVERAGE, coverage.to_table())
    texts = {
        QUALITY: ("quality", _json(render_quality(facts))),
        PRIVACY: ("privacy", readable_json(render_privacy(facts))),
        CARD: ("card", render_card(facts).encode()),
        CITATION: ("citation", render_citation(facts).encode()),
        LICENSE: ("license", render_license(info.license).encode()),
    }
    texts |= {schema_path(table.schema.table): ("schema", readable_json(table.schema)) for table in facts.tables}
    files = [file for table in written for file in table.files]
    files.append(describe_file(root, COVERAGE, "coverage"))
    for path, (role, content) in texts.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
        files.append(describe_file(root, path, role))
    manifest = _manifest(
        info,
        span,
        timeline.mode,
        settings,
        commits,
        [table for table in written if table.rows or table.native_rows],
        files,
    )
    (root / MANIFEST).write_bytes(readable_json(manifest))
    listed = [*files, describe_file(root, MANIFEST, "manifest")]
    (root / SUMS).write_text("".join(f"{f.sha256}  {f.path}\n" for f in sorted(listed, key=lambda f: f.path)), "utf-8")
    return manifest, facts


def _manifest(
    info: ReleaseInfo,
    span: Window,
    time: TimeMode,
    settings: Settings,
    commits: Sequence[CommitRecord],
    tables: Sequence[WrittenTable],
    files: Sequence[ReleaseFile],
) -> Manifest:
    newest = max(commits, key=lambda record: record.created)
    return Manifest(
        release=info,
        provenance=newest.provenance,
        created=newest.created.astimezone(UTC),
        start=span.start,
        end=span.end,
        step_ms=span_ms(settings.collection.step),
        time=time,
        tier=settings.privacy.tier,
        sources=tuple(sorted({record.source_token for record in commits})),
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
