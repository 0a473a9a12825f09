"""Samples of the past reach Prometheus's blocks unchanged, once, and only when complete."""

from __future__ import annotations

import io
import subprocess
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from demo.backfill import backfill, split_span
from demo.cluster import STEP, Series, Span, build_series
from demo.cluster.span import HOUR
from demo.errors import DemoError
from demo.openmetrics import write_openmetrics
from demo.packages import Programs
from tests.demo.builders import END, SEED

SHORT = Span(END - HOUR - 5 * STEP, END - HOUR + 5 * STEP)  # END is an odd hour: it crosses a block's edge


def a_series(metric: str = "made_up_total", *, values: tuple[float, ...] = (1.0, 2.5), **labels: str) -> Series:
    times = np.arange(SHORT.start, SHORT.start + len(values) * STEP, STEP, dtype=np.int64)
    return Series(metric, labels, times, np.array(values))


def test_text_is_openmetrics() -> None:
    file = io.StringIO()

    count = write_openmetrics(file, [a_series(path='a\\b"c\nd', empty=""), a_series("level", values=(3.0,))], SHORT)

    assert count == 3
    assert file.getvalue() == (
        "# TYPE made_up counter\n"
        f'made_up_total{{path="a\\\\b\\"c\\nd"}} 1.0 {SHORT.start}\n'
        f'made_up_total{{path="a\\\\b\\"c\\nd"}} 2.5 {SHORT.start + STEP}\n'
        "# TYPE level unknown\n"
        f"level{{}} 3.0 {SHORT.start}\n"
        "# EOF\n"
    )


def test_parts_never_cross_a_block() -> None:
    span = Span(END - 5 * HOUR, END + HOUR // 2)

    parts = list(split_span(span))

    assert parts[0].start == span.start
    assert parts[-1].end == span.end
    assert all(part.start // (2 * HOUR) == (part.end - 1) // (2 * HOUR) for part in parts)
    assert all(part.end == after.start for part, after in pairwise(parts))


def test_blocks_hold_every_sample_bit_for_bit(programs: Programs, tmp_path: Path) -> None:
    """promtool drops lines that it dislikes and still exits with 0."""
    series = build_series(SEED, SHORT)

    backfill(programs.promtool, tmp_path / "tsdb", series, SHORT)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["tsdb"]
    (tmp_path / "tsdb" / "wal").mkdir()  # promtool reads no TSDB without one
    command: list[str | Path] = [programs.promtool, "tsdb", "dump", tmp_path / "tsdb"]
    dumped = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    held = []
    for line in dumped:
        labels, value, time = line.rsplit(" ", 2)
        held.append((labels, float(value), int(time) // 1000))
    wanted = [
        (_render_as_dumped(one), value, time)
        for one in series
        for value, time in zip(one.values.tolist(), one.times.tolist(), strict=True)
    ]
    assert sorted(held) == sorted(wanted)


def test_a_used_tsdb_is_refused(tmp_path: Path) -> None:
    """Samples older than the newest block are lost when the log is replayed; overlaps double the density."""
    (tmp_path / "tsdb" / "wal").mkdir(parents=True)

    with pytest.raises(DemoError, match="wanted an empty TSDB; remove the folder first"):
        backfill(Path("promtool"), tmp_path / "tsdb", [a_series()], SHORT)


def test_a_second_backfill_is_refused_and_an_interrupted_one_heals(programs: Programs, tmp_path: Path) -> None:
    tsdb = tmp_path / "tsdb"
    (tmp_path / "tsdb.partial" / "blocks" / "half").mkdir(parents=True)

    backfill(programs.promtool, tsdb, [a_series()], SHORT)

    assert not list(tsdb.glob("half"))
    with pytest.raises(DemoError, match="wanted an empty TSDB"):
        backfill(programs.promtool, tsdb, [a_series()], SHORT)


def test_a_failing_promtool_leaves_no_tsdb(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match="promtool made no block"):
        backfill(Path("/bin/false"), tmp_path / "tsdb", [a_series()], SHORT)

    assert not (tmp_path / "tsdb").exists()


def _render_as_dumped(one: Series) -> str:
    labels = {"__name__": one.metric, **one.labels}
    return "{" + ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items()) if value) + "}"
