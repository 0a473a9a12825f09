"""The aggregate tier: no series anywhere in the release, and sums over at least k entities at every point."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from anonymize.audit.findings import Finding
from anonymize.audit.grammar import TOKEN_IN_TEXT
from anonymize.audit.histograms import count_strange_nans
from anonymize.audit.rows import check_row_times, count_unsorted
from anonymize.audit.subject import MANIFEST, SERIES, Subject
from schemas.aggregate import AGGREGATE, ENTITIES, aggregate_labels
from schemas.manifest import ReleaseFile
from schemas.policy import OTHER, SOURCE_DOMAIN

_NAMES: Final = ("namespace", "workload_kind")


def check_tier(subject: Subject) -> Iterator[Finding]:
    """Yield files and counts that belong into a release of the other tier, and tokens that none of this has."""
    manifest = subject.manifest
    if manifest.tier != AGGREGATE:
        if strange := sum(file.role == AGGREGATE for file in manifest.files):
            yield Finding(MANIFEST, "aggregates-among-series", strange)
        return
    if strange := sum(file.role in SERIES for file in manifest.files):
        yield Finding(MANIFEST, "series-among-aggregates", strange)
    if manifest.totals.series or any(entry.series for entry in manifest.tables):
        yield Finding(f"{MANIFEST}: series", "series-among-aggregates")
    allowed = (f"{SOURCE_DOMAIN}_", f"{subject.policy.domains['namespace'].prefix}_")
    for path in sorted(subject.folder.rglob("*")):
        place = path.relative_to(subject.folder).as_posix()
        if path.is_file() and not path.is_symlink() and path.suffix != ".parquet":
            tokens = [found[0] for found in TOKEN_IN_TEXT.finditer(path.read_text("utf-8", errors="replace"))]
            if strange := sum(not token.startswith(allowed) for token in tokens):
                known = place in subject.listed or place == MANIFEST
                yield Finding(place if known else "unlisted file", "token-of-an-entity", strange)


def check_aggregates(subject: Subject) -> Iterator[Finding]:
    """Yield what is wrong with the rows of sums, file by file."""
    for file, path in subject.parquet_files():
        if file.role != AGGREGATE or (file.table or "") not in subject.tables:
            continue
        try:
            yield from _check_file(subject, file, path)
        except (pa.ArrowException, OSError, KeyError, ValueError):
            yield Finding(file.path, "unreadable-rows")


def _check_file(subject: Subject, file: ReleaseFile, path: Path) -> Iterator[Finding]:
    schema, _ = subject.tables[file.table or ""]
    rows = pq.read_table(path, partitioning=None)
    subject.rows += rows.num_rows
    if rows.num_rows != file.rows:
        yield Finding(file.path, "row-count-differs-from-manifest")
    metric = next((each for each in schema.metrics if each.name == file.metric), None)
    if metric is None:
        yield Finding(f"file of role {file.role}", "unknown-metric")
        return
    times: Any = rows.column("timestamp").combine_chunks().cast(pa.int64())
    yield from check_row_times(subject, file, times.to_numpy())
    labels = [column.name for column in aggregate_labels(schema)]
    keys = ["timestamp", *_NAMES, *labels]
    if unsorted := count_unsorted(rows, keys):
        yield Finding(file.path, "not-sorted", unsorted)
    if doubled := rows.num_rows - pa.TableGroupBy(rows, keys).aggregate([]).num_rows:
        yield Finding(file.path, "group-twice", doubled)
    undeclared = [name for name in labels if name not in metric.labels]
    if filled := sum(rows.column(name).null_count != rows.num_rows for name in undeclared):
        yield Finding(file.path, "label-not-of-the-metric", filled)
    entities = rows.column(ENTITIES).to_numpy()
    if few := int(np.count_nonzero((entities < subject.k) | (entities % subject.k != 0))):
        yield Finding(file.path, "too-few-entities", few)
    folded, of_other = (pc.is_in(rows.column(name), pa.array([OTHER])).to_numpy() for name in _NAMES)
    if strange := int(np.count_nonzero(folded & ~of_other)):
        yield Finding(file.path, "rest-of-one-kind", strange)
    if payloads := count_strange_nans(rows.column("value").combine_chunks()):
        yield Finding(file.path, "nan-payload", payloads)
