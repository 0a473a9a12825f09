"""What a release holds of its commits: a year of them is 200,000, and each must stay small."""

import gc
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from jobs.release.heads import read_heads, read_records
from jobs.snapshot.commits import commit_key
from jobs.store.folder import FolderStore
from schemas.commit import CommitFile, CommitRecord, HourCoverage, MetricCoverage, RawScan
from schemas.digest import readable_json
from tests.jobs.builders import a_commit_record

START = datetime(2026, 11, 1, tzinfo=UTC)
COMMITS = 100


def some_commits() -> Iterator[CommitRecord]:
    """Yield commits of a table with ten metrics, hour after hour."""
    for number in range(COMMITS):
        start = START + timedelta(hours=number)
        scan = RawScan(searched=100 + number % 7, hits=0)
        path = f"data/lab/node/v1/{start:%Y%m%dT%H%M%SZ}/{number:016x}.parquet"
        hour = HourCoverage(start=start, expected=24_000 + number, received=24_000, held=0, points=12_000)
        yield a_commit_record(
            start,
            run=f"{number:032x}",
            schema_digest=f"sha256:{'0' * 64}",
            files=(CommitFile(path=path, sha256=f"{number:064x}", bytes=9, rows=9, raw_scan=scan),),
            key_id="k_0123456789abcdef",
            policy_digest=f"sha256:{'1' * 64}",
            coverage=tuple(MetricCoverage(metric=f"m{n}", status="complete", hours=(hour,)) for n in range(10)),
            created=start + timedelta(hours=1, seconds=number),
        )


def test_a_head_takes_a_kilobyte_or_two_and_leads_back_to_the_whole_commit(tmp_path: Path) -> None:
    """Whole records take some fifty times as much; a release of a month would not fit beside its own data."""
    store, records = FolderStore(tmp_path), list(some_commits())
    for record in records:
        (tmp_path / commit_key(record)).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / commit_key(record)).write_bytes(readable_json(record))

    list(read_heads(store, "lab"))  # what is loaded once is no part of it
    gc.collect()
    tracemalloc.start()
    heads = list(read_heads(store, "lab"))
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert held / COMMITS < 2_000  # some 720, and what the interpreter keeps for later
    assert [head.window.start for head in heads] == [record.window.start for record in records]
    assert list(read_records(store, heads[:50])) == records[:50]
