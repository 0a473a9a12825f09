"""Staged runs merged into the data files of a release: the same bytes, whatever their order, however little is held."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import opscommons
from benchmarks.staged import CONTAINERS, STEP_MS, Staged, settings_in, stage
from jobs.config import Settings
from jobs.parquet import Segments, choose_value_encoding, expand_row_groups, open_writer, sort_segments
from jobs.release import floats, merge
from jobs.release.build import build_release
from jobs.release.heads import CommitHead
from jobs.release.tables import write_release_table
from jobs.store import open_store
from schemas.arrow import data_schema
from schemas.commit import CommitRecord
from schemas.errors import StoreError
from schemas.registry import find_table
from schemas.windows import Window

Hide = Callable[[pa.RecordBatch], pa.RecordBatch]
NODES: Final = ("node_cpu_seconds_total", "node_load1")


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, list[CommitRecord]]:
    """Twenty-six hours of containers and machines: two days, whose row groups lie across series and windows."""
    folder = tmp_path_factory.mktemp("staged")
    settings = settings_in(folder)
    records = stage(settings, Staged(30, 26), folder / "files")
    return settings, records + stage(settings, Staged(20, 26, table="node", metrics=NODES), folder / "files")


def write(
    settings: Settings, records: Sequence[CommitRecord], root: Path, *, hide: Hide = lambda columns: columns
) -> dict[str, bytes]:
    """Write the files of a table, and return the bytes of each."""
    cache = root / "cache"
    cache.mkdir(parents=True)
    schema = find_table(records[0].table)
    written = write_release_table(
        schema, records, store=open_store(settings.staging), cache=cache, root=root, hide=hide
    )
    assert not list(cache.iterdir())
    return {file.path: (root / file.path).read_bytes() for file in written.files}


def of_table(staged: tuple[Settings, list[CommitRecord]], table: str) -> tuple[Settings, list[CommitRecord]]:
    return staged[0], [record for record in staged[1] if record.table == table]


def in_memory(
    settings: Settings, records: Sequence[CommitRecord], metric: str, day: dt.date, hide: Hide
) -> Iterator[Segments]:
    """Read the rows of a metric and day out of the staged files, a segment for each row, without the merge."""
    for record in records:
        if record.window.start.date() == day:
            for file in record.files:
                rows = pq.read_table(Path(settings.staging.removeprefix("file:")) / file.path)
                rows = rows.filter(pc.field("metric") == metric).combine_chunks()
                if rows.num_rows:
                    columns = rows.drop_columns(["metric", "timestamp", "value"]).to_batches()[0]
                    times: Any = rows.column("timestamp").chunk(0).cast(pa.int64())
                    values: Any = rows.column("value").chunk(0)
                    yield Segments(
                        hide(columns),
                        np.ones(rows.num_rows, dtype=np.int64),
                        times.to_numpy(),
                        values.to_numpy(zero_copy_only=False),
                        values.is_valid().to_numpy(zero_copy_only=False),
                    )


def written_at_once(
    settings: Settings,
    records: Sequence[CommitRecord],
    path: Path,
    *,
    metric: str,
    day: dt.date,
    hide: Hide = lambda columns: columns,
) -> bytes:
    """Return the file that a builder makes who holds the whole day in memory and sorts it row by row."""
    schema = find_table(records[0].table)
    parts = list(in_memory(settings, records, metric, day, hide))
    everything = Segments(
        pa.Table.from_batches([part.columns for part in parts]).combine_chunks().to_batches()[0],
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("lengths", "timestamps", "values", "valid")
        ),
    )
    ordered = sort_segments(everything, schema)
    columns = data_schema(schema)
    with open_writer(path, columns, value_encoding=choose_value_encoding(ordered.values)) as writer:
        for group in expand_row_groups(ordered, columns, {}):
            writer.write_batch(group)
    return path.read_bytes()


@pytest.mark.parametrize(("table", "metrics"), [("container", CONTAINERS), ("node", NODES)])
def test_a_merged_day_has_the_bytes_of_one_that_was_sorted_in_memory(
    staged: tuple[Settings, list[CommitRecord]], tmp_path: Path, table: str, metrics: tuple[str, ...]
) -> None:
    """Releases made before runs were merged as they are read are reproduced byte by byte."""
    settings, records = of_table(staged, table)

    found = write(settings, records, tmp_path / "merged")

    for metric in metrics:
        for day in (dt.date(2026, 11, 1), dt.date(2026, 11, 2)):
            wanted = written_at_once(settings, records, tmp_path / "wanted", metric=metric, day=day)
            assert found.pop(f"data/{table}/metric={metric}/date={day}/part-0.parquet") == wanted
    assert list(found) == [f"series/{table}.parquet"]


def test_runs_are_merged_in_any_order_with_the_same_result(
    staged: tuple[Settings, list[CommitRecord]], tmp_path: Path
) -> None:
    """A store may list its commits, and a commit its files, in any order."""
    settings, records = of_table(staged, "container")
    shuffled = [record.model_copy(update={"files": record.files[::-1]}) for record in records]
    random.Random(5).shuffle(shuffled)

    assert write(settings, shuffled, tmp_path / "b") == write(settings, records, tmp_path / "a")


def test_little_memory_changes_no_byte(
    staged: tuple[Settings, list[CommitRecord]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many runs only small pieces are held, out of a scratch file."""
    settings, records = of_table(staged, "node")
    wanted = write(settings, records, tmp_path / "a")
    kept: list[Path] = []
    keep_run = merge._keep_run

    def note(run: Any, path: Path, *rest: Any, **more: Any) -> Any:  # noqa: ANN401 - passed on
        kept.append(path)
        return keep_run(run, path, *rest, **more)

    monkeypatch.setattr(merge, "_keep_run", note)
    monkeypatch.setattr(merge, "_LEAST_ROWS", 7)
    monkeypatch.setattr(merge.plan_merge, "__kwdefaults__", {"held_rows": 200})

    assert write(settings, records, tmp_path / "b") == wanted
    assert len(kept) == 2 * 26


def test_what_is_hidden_may_change_the_order(staged: tuple[Settings, list[CommitRecord]], tmp_path: Path) -> None:
    """The first column of the sort key loses a word that came first: the runs stand in another order than they did."""
    settings, records = of_table(staged, "container")
    rows = pq.read_table(Path(settings.staging.removeprefix("file:")) / records[0].files[0].path)
    first: Any = pc.min(rows["namespace"])

    def hide(columns: pa.RecordBatch) -> pa.RecordBatch:
        at = columns.schema.get_field_index("namespace")
        encoded: Any = columns.column(at)
        plain = encoded.cast(pa.string())
        hidden: Any = pc.if_else(pc.equal(plain, first), "zzz", plain)
        shown = hidden.dictionary_encode() if pa.types.is_dictionary(encoded.type) else hidden
        return columns.set_column(at, columns.schema.field(at), shown)

    found = write(settings, records, tmp_path / "hidden", hide=hide)

    day = dt.date(2026, 11, 1)
    wanted = written_at_once(settings, records, tmp_path / "wanted", metric=CONTAINERS[0], day=day, hide=hide)
    assert found[f"data/container/metric={CONTAINERS[0]}/date={day}/part-0.parquet"] == wanted


def test_a_window_that_came_twice_is_refused(staged: tuple[Settings, list[CommitRecord]], tmp_path: Path) -> None:
    """Every sample of it would be in the release twice."""
    settings, records = of_table(staged, "container")

    with pytest.raises(StoreError, match="twice or out of order"):
        write(settings, [*records, records[3]], tmp_path / "twice")


def test_a_very_large_day_is_cut_between_series_and_readers_see_one(
    staged: tuple[Settings, list[CommitRecord]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file stays of a size that can be fetched, and each part is sorted and complete by itself."""
    settings = staged[0]
    monkeypatch.setattr(floats, "PART_ROWS", 32_000)
    settings = settings.model_copy(update={"work_dir": tmp_path / "work"})

    built = build_release(settings, "2026.11.0", choose_span=_whole_span)

    data = [file for file in built.manifest.files if file.role == "data" and file.metric == CONTAINERS[0]]
    first_day = [file for file in data if file.date == dt.date(2026, 11, 1)]
    assert [Path(file.path).name for file in first_day] == ["part-0.parquet", "part-1.parquet", "part-2.parquet"]
    assert all(file.rows is not None and 0 < file.rows <= 32_000 for file in first_day)
    held = [
        set(pq.read_table(built.folder / file.path, partitioning=None)["series_id"].to_pylist()) for file in first_day
    ]
    assert not held[0] & held[1] | held[1] & held[2]
    frame = opscommons.open(built.folder).load(CONTAINERS[0])
    assert len(frame) == 30 * 26 * 3_600_000 // STEP_MS
    assert not frame.duplicated(["series_id", "timestamp"]).any()


def _whole_span(commits: Sequence[CommitHead]) -> Window:
    return Window(min(record.window.start for record in commits), max(record.window.end for record in commits))
