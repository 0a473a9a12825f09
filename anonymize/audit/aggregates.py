"""The aggregate tier: no series anywhere in the release, and sums over at least k entities at every point."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from anonymize.audit.findings import Finding
from anonymize.audit.grammar import TOKEN_IN_TEXT
from anonymize.audit.histograms import count_strange_nans
from anonymize.audit.order import count_unsorted, read_groups, to_ms
from anonymize.audit.rows import Times
from anonymize.audit.subject import MANIFEST, SERIES, Subject
from schemas.aggregate import AGGREGATE, ENTITIES, aggregate_labels, aggregate_schema
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
    metric = next((each for each in schema.metrics if each.name == file.metric), None)
    if metric is None:
        yield Finding(f"file of role {file.role}", "unknown-metric")
        return
    labels = [column.name for column in aggregate_labels(schema)]
    keys = ["timestamp", *_NAMES, *labels]
    undeclared = [name for name in labels if name not in metric.labels]
    times, found, last = Times(subject.manifest), Counter[str](), None
    for rows in read_groups(path, aggregate_schema(schema).names):
        subject.rows += rows.num_rows
        times.add(to_ms(rows))
        entities = rows.column(ENTITIES).to_numpy()
        found["too-few-entities"] += int(np.count_nonzero((entities < subject.k) | (entities % subject.k != 0)))
        folded, of_other = (_are(rows.column(name), OTHER) for name in _NAMES)
        found["rest-of-one-kind"] += int(np.count_nonzero(folded & ~of_other))
        found["label-not-of-the-metric"] += sum(rows.num_rows - rows.column(name).null_count for name in undeclared)
        found["nan-payload"] += count_strange_nans(rows.column("value").combine_chunks())
        named = rows.select(keys)
        joined = named if last is None else pa.concat_tables([last, named]).unify_dictionaries().combine_chunks()
        last = joined.slice(joined.num_rows - 1)
        found["not-sorted"] += count_unsorted(joined, keys)
        found["group-twice"] += joined.num_rows - pa.TableGroupBy(joined, keys).aggregate([]).num_rows
    if times.rows != file.rows:
        yield Finding(file.path, "row-count-differs-from-manifest")
    yield from times.findings(file)
    yield from (Finding(file.path, code, count) for code, count in found.items() if count)


def _are(column: Any, word: str) -> npt.NDArray[np.bool_]:  # noqa: ANN401 - an Arrow column of strings
    """Return which texts of a column are a word."""
    found: npt.NDArray[np.bool_] = pc.is_in(column.cast(pa.string()), pa.array([word])).to_numpy()
    return found
