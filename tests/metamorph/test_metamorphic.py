"""The metamorphic test: rename every raw identifier, and nothing that is staged, published or said changes by a byte.

Names of another length and in another order must not show anywhere: not in an order of rows or files, not in a size,
not in a count, not in a log. No list of leaks is needed: whatever differs is one.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from demo.errors import DemoError
from demo.packages import find_programs
from demo.servers import start_prometheus
from schemas.registry import latest_tables
from tests.collector.histogram_wire import write_mixed
from tests.jobs.bench import Bench
from tests.metamorph.world import World
from tests.prometheus.server import CONFIG, EXTERNAL_LABELS, RealPrometheus

ROOT: Final = Path(__file__).parents[2]
VERSION: Final = "2026.11.0"
WIDTH: Final = timedelta(minutes=10)
SMALL: Final = [
    ["collector.remote_read", "BLOCK_SAMPLES", 300],
    ["collector.http_read", "BLOCK_SAMPLES", 300],
    ["collector.native", "BLOCK_BYTES", 1_000],
    ["jobs.snapshot.series", "GROUP_ROWS", 200],
]
"""Sizes so small that a metric has many blocks, and a run many row groups."""


SLICE: Final = ("job", "namespace", "scrape", "volume", "workload")
FULL: Final = bool(os.environ.get("OPSCOMMONS_TEST_FULL"))  # noqa: TID251 - tests may look
DIVIDED: Final = SLICE if FULL else ("namespace", "workload")


@dataclass(frozen=True)
class Worlds:
    """A server that holds one world under two namings, told apart by ``source.match``."""

    url: str
    end: datetime
    world: World


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worlds]:
    end_s = int(time.time()) // 600 * 600  # noqa: TID251 - the server takes samples of today
    world = World(range((end_s - 1500) * 1000, end_s * 1000, 30_000))
    try:
        programs = find_programs(ROOT / ".demo", environment=dict(os.environ))  # noqa: TID251
        started = start_prometheus(
            programs,
            tmp_path_factory.mktemp("two-namings"),
            config=CONFIG,
            flags=["--web.enable-remote-write-receiver", "--enable-feature=native-histograms"],
        )
    except DemoError as error:
        pytest.skip(f"Prometheus not available: {error}")
    with started as server:
        both, native = list(world.series()), list(world.native_series(latest_tables() if FULL else SLICE))
        for naming in (0, 1):
            prometheus = RealPrometheus(server, programs)
            prometheus.write((names[naming], samples) for names, samples in both)
            write_mixed(prometheus, [(names[naming], samples) for names, samples in native])
        yield Worlds(server.url, datetime.fromtimestamp(end_s, UTC), world)


@dataclass(frozen=True)
class Outcome:
    """What a run left: every file by its name, and what it said."""

    files: dict[str, bytes]
    said: str


def publish(
    worlds: Worlds,
    folder: Path,
    *,
    naming: int,
    path: str,
    tables: Sequence[str] | str = "all",
    log: str = "text",
    leaks: Sequence[str] = (),
    most: int = 50_000,
    stage: bool = False,
) -> Outcome:
    """Take two windows to a public store, or to the staging store alone; return all that was written and said."""
    folder = folder / f"naming-{naming}"
    folder.mkdir()
    bench = Bench(folder)
    selected = "cluster" if path == "http" else "tenant"  # all series have the latter, native histograms as well
    value = (worlds.world.one, worlds.world.two)[naming].text(selected, 0)
    bench.set("source", url=worlds.url, identity="kubernetes", match={selected: value}, read=path)
    bench.set("source", external_labels=EXTERNAL_LABELS)
    bench.set("collection", window="10m", step="30s", max_catch_up="20m", tables=tables)
    bench.set("limits", max_series_per_read=most)
    bench.set("release", title="Two namings", maintainer="Example Lab", contact="data@lab.example")
    (folder / "opspub.yaml").write_text(yaml.safe_dump(bench.config, allow_unicode=True))
    config = ["--config", "opspub.yaml", "--verbose", "--log", log]
    published = [["release", VERSION], ["audit", f"work/releases/{VERSION}"], ["publish", VERSION]]
    span = ["--start", f"{worlds.end - 2 * WIDTH:%FT%TZ}", "--end", f"{worlds.end:%FT%TZ}"]
    commands = [[*config, *each] for each in (["snapshot", *span], *([] if stage else published))]
    plan = {
        "now": worlds.end.isoformat(),
        "sizes": SMALL if most < 100 else [],
        "leaks": leaks,
        "back": worlds.world.back if naming else {},
        "commands": commands,
    }
    (folder / "plan.json").write_text(json.dumps(plan))
    ran = subprocess.run(
        [sys.executable, "-m", "tests.metamorph.publisher", "plan.json"],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    said = f"{ran.stdout}\n--\n{ran.stderr}".replace(str(folder), "FOLDER")
    assert said.count("ended with 0") == 2 * len(commands), said
    # how slow the machine is at the moment is a duration, and it says so in lines of their own
    said = "".join(line for line in said.splitlines(keepends=True) if "server is slow" not in line)
    inputs = {"opspub.yaml", "opspub.key", "plan.json"}
    return Outcome(
        {
            name: _comparable(name, path.read_bytes())
            for path in sorted(folder.rglob("*"))
            if path.is_file() and (name := path.relative_to(folder).as_posix()) not in inputs
        },
        said,
    )


def _comparable(name: str, content: bytes) -> bytes:
    """Return the bytes of a file; of a commit record without the random number of its run and without label names.

    The names of labels that nobody declared are in the private records on purpose; public files only count them.
    """
    if not name.startswith("staging/commits/"):
        return content
    record: dict[str, Any] = json.loads(content)
    del record["run"]
    for metric in record["coverage"]:
        metric |= {name: len(metric[name]) for name in ("dropped_labels", "new_labels") if metric.get(name)}
    return json.dumps(record, indent=1).encode()


def differences(one: Outcome, two: Outcome) -> list[str]:
    """Return where two outcomes differ: names of files, and what was said."""
    names = sorted(one.files.keys() ^ two.files.keys())
    names += [name for name in one.files.keys() & two.files.keys() if one.files[name] != two.files[name]]
    lines = zip_longest(one.said.splitlines(), two.said.splitlines())
    return [*names, *(f"{left} / {right}" for left, right in lines if left != right)]


def publish_both(worlds: Worlds, folder: Path, **how: Any) -> tuple[Outcome, Outcome]:  # noqa: ANN401 - of publish
    """Return what comes of the two namings."""
    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(lambda naming: publish(worlds, folder, naming=naming, **how), (0, 1))
    assert any(name.startswith("staging/data/") for name in one.files)
    return one, two


def split_staged(outcome: Outcome) -> tuple[dict[str, bytes], Outcome]:
    """Return the staged runs, and everything else: commit records without the list of their files."""
    runs = {name: content for name, content in outcome.files.items() if name.startswith("staging/data/")}
    others = {name: content for name, content in outcome.files.items() if name not in runs}
    for name in others:
        if name.startswith("staging/commits/"):
            record = json.loads(others[name])
            paths = [file["path"] for file in record["files"]]
            assert paths == sorted(paths), "which run of a metric came first tells the order of names"
            record["files"] = sum(file["rows"] for file in record["files"])
            others[name] = json.dumps(record).encode()
    return runs, Outcome(others, re.sub(r"[0-9.]+ MiB|\"bytes\": \d+", "SIZE", outcome.said))


@pytest.mark.parametrize("path", ["remote-read", "http"] if FULL else ["remote-read"])
def test_names_leave_no_trace(worlds: Worlds, tmp_path: Path, path: str) -> None:
    """From the source to the catalog: every file and every line."""
    one, two = publish_both(worlds, tmp_path, path=path, tables="all" if FULL else SLICE)

    assert differences(one, two) == []
    assert path == "http" or any("/data/namespace_nh/" in name for name in one.files)


@pytest.mark.parametrize(("path", "log"), [("remote-read", "json"), *([("http", "text")] if FULL else [])])
def test_names_show_in_nothing_public_however_reads_are_divided(
    worlds: Worlds, tmp_path: Path, path: str, log: str
) -> None:
    """With few series in a read and in a block, names move the bounds of both: of private runs, and nothing else."""
    one, two = publish_both(worlds, tmp_path, path=path, log=log, tables=DIVIDED, most=20)

    runs, others = zip(*(split_staged(outcome) for outcome in (one, two)), strict=True)
    assert runs[0].keys() != runs[1].keys()  # the test is sharp
    assert differences(*others) == []


SHOWS_IN: Final = {
    "order": "staging/data/",
    "length": "staging/commits/",
    "log": "frame read",
    "dictionary": "staging/data/",
}
ALONE: Final = [(leak,) for leak in SHOWS_IN] if FULL else []


@pytest.mark.parametrize("leaks", [("order", "length", "log"), *ALONE], ids="-".join)
def test_a_leak_is_found(worlds: Worlds, tmp_path: Path, leaks: tuple[str, ...]) -> None:
    """Each of these has been a leak of some tool, or of this one: put back, it shows."""
    one, two = publish_both(worlds, tmp_path, path="remote-read", tables=("namespace",), leaks=leaks, stage=True)

    found = differences(one, two)
    for leak in leaks:
        assert any(SHOWS_IN[leak] in each for each in found), leak
    if "order" in leaks:  # of floats and of native histograms
        assert not split_staged(one)[0].keys() & split_staged(two)[0].keys()
