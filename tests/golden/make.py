"""Make a golden release of tables that a newer version is about to supersede: ``python -m tests.golden.make NAME``.

It is made once, by the code of its day, and never again: readers and audits of every later day must take it as it is.
The script is kept for the next one. All names in it are made up.
"""

import io
import json
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

import numpy as np

from anonymize.identity import build_frame
from anonymize.keys import PseudonymKey
from anonymize.pseudonyms import Pseudonymizer
from collector.grid import Grid, make_grid
from collector.kernels.stats import HOUR_COLUMNS
from collector.scrapes import no_scrapes
from collector.split import WHOLE
from jobs.config import Settings
from jobs.release.run import run_release
from jobs.snapshot.collect import OpenWindow, TableCollector
from jobs.snapshot.commits import commit, ensure_description, put_files, wanted_description
from jobs.snapshot.derived import DerivedBlock, Origin, make_block
from jobs.source import OpenSource
from jobs.store import open_store
from schemas.commit import CommitRecord, MetricCoverage, ReadInfo, Span
from schemas.digest import digest, readable_json
from schemas.policy import Policy
from schemas.raw import Raw
from schemas.registry import read_policy, shipped_tables
from schemas.table import LabelColumn, TableSchema
from schemas.windows import Window

FOLDER: Final = Path(__file__).parent
START: Final = datetime(2026, 1, 5, tzinfo=UTC)
WINDOW: Final = Window(START, START + timedelta(minutes=15))
VERSION: Final = "2026.1.0"
METRICS: Final = 2
"""Of each table: the others are left out, which keeps the release small."""
SERIES: Final = 6
_KEY: Final = PseudonymKey("k_0123456789abcdef", bytes((37 * n + 101) % 256 for n in range(32)))  # plainly made up


def superseded() -> list[TableSchema]:
    """Return every version of a shipped table that is not the newest of its table."""
    tables = shipped_tables()
    newest = {table.table: table for table in tables}
    return [table for table in tables if newest[table.table] is not table]


def make_release(tables: Sequence[TableSchema], work: Path) -> Path:
    """Build and audit a release of a quarter of an hour of made-up series; return its folder."""
    settings = Settings.model_validate(
        {
            "source": {"name": "golden", "url": "http://127.0.0.1:1", "provenance": "simulated"},
            "collection": {"window": "15m", "step": "5m", "tables": [table.table for table in tables]},
            "staging": f"file:{work}/staging",
            "public": f"file:{work}/public",
            "work_dir": work / "work",
        }
    )
    store, policy = open_store(settings.staging, endpoint_url=None), read_policy("default")
    ensure_description(store, wanted_description(settings.collection))
    grid = make_grid(WINDOW, step_ms=300_000, lookback_ms=300_000, includes_edge=True)
    for table in tables:
        folder = work / table.table
        folder.mkdir()
        source = cast("OpenSource", _source(settings, table, policy, grid))
        frame = build_frame([Raw("node", [{"node": f"machine-{n}.golden.test"} for n in range(SERIES)])])
        left_out = {
            metric.name: MetricCoverage(metric=metric.name, status="empty", reason="target absent")
            for metric in table.metrics[METRICS:]
        }
        opened = OpenWindow(WINDOW, grid, Pseudonymizer(_KEY), frame, no_scrapes(grid))
        collector = TableCollector(source, table, policy, opened, left_out)
        staged = collector.collect(folder)
        put_files(store, {file.path: path for path, file in staged.files.items()})
        commit(
            store,
            CommitRecord(
                run="golden",
                source="golden",
                source_token=staged.source_token,
                provenance="simulated",
                table=table.table,
                schema_version=table.version,
                schema_digest=digest(table),
                window=Span(start=WINDOW.start, end=WINDOW.end),
                files=tuple(staged.files.values()),
                key_id=_KEY.key_id,
                policy=policy.policy,
                policy_digest=digest(policy),
                read=ReadInfo(
                    path="remote-read", server_version="2.42", lookback_ms=300_000, lookback_includes_edge=True
                ),
                coverage=staged.coverage,
                created=WINDOW.end,
            ),
        )
    return run_release(settings, VERSION, clock=lambda: WINDOW.end + timedelta(days=1)).folder


def pack(folder: Path, policy: Policy, path: Path) -> None:
    """Write a release and its policy as one archive that is the same for the same content."""
    with tarfile.open(path, "x:xz") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                _add(archive, f"release/{file.relative_to(folder).as_posix()}", file.read_bytes())
        _add(archive, "policy.json", readable_json(policy))


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def _source(settings: Settings, table: TableSchema, policy: Policy, grid: Grid) -> SimpleNamespace:
    """Return what stands in the place of a source: the collector asks it for the series of one metric after another."""
    reader = SimpleNamespace(
        path="remote-read",
        plan=lambda *_, **__: SimpleNamespace(parts=lambda _: WHOLE),
        read=lambda metric, *_: iter([_block(table, policy, metric, grid)]),
        serving=lambda *_: SimpleNamespace(reader=SimpleNamespace(path="remote-read"), replica=None),
    )
    return SimpleNamespace(settings=settings, reader=reader, matchers=(), ignored_labels=frozenset())


def _block(table: TableSchema, policy: Policy, metric: str, grid: Grid) -> DerivedBlock:
    columns = [column for column in table.labels if column.name in table.metric(metric).labels]
    labels = [dict(_label(column, policy, number) for column in columns) for number in range(SERIES)]
    present = np.ones((SERIES, grid.points), dtype=np.bool_)
    values = np.arange(present.size, dtype=np.float64).reshape(present.shape) / 4
    block = make_block(labels, present, values, grid, Origin(np.zeros((1, HOUR_COLUMNS), dtype=np.int64), 30_000))
    assert block is not None
    return block


def _label(column: LabelColumn, policy: Policy, number: int) -> tuple[str, str]:
    if column.number:
        return column.source_label, str(number)
    if column.vocabulary:
        return column.source_label, next(iter(policy.vocabularies[column.vocabulary].members))
    if policy.domains[str(column.identity)].canonical == "host":
        return column.source_label, f"machine-{number}.golden.test:9100"
    return column.source_label, f"made-up-{column.name}-{number}"


def main(arguments: Sequence[str]) -> Any:  # noqa: ANN401 - an exit code, or a message
    """Make the release of all superseded versions that no golden release holds yet."""
    if len(arguments) != 1:
        return "usage: python -m tests.golden.make NAME"
    held = {key for _, held in read_golden() for key in held}
    tables = [table for table in superseded() if (table.table, table.version) not in held]
    if not tables:
        return "every superseded version is in a golden release"
    work = Path(tempfile.mkdtemp())
    try:
        pack(make_release(tables, work), read_policy("default"), FOLDER / f"{arguments[0]}.tar.xz")
    finally:
        shutil.rmtree(work)
    return 0


def read_golden() -> Iterator[tuple[Path, list[tuple[str, str]]]]:
    """Yield every golden release, and the tables and versions that it holds."""
    for path in sorted(FOLDER.glob("*.tar.xz")):
        with tarfile.open(path) as archive:
            manifest = archive.extractfile("release/manifest.json")
            assert manifest is not None
            tables = json.load(manifest)["tables"]
        yield path, [(table["table"], table["schema_version"]) for table in tables]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
