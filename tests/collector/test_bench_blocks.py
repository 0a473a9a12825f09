"""The benchmark's blocks are what Prometheus itself would have written: else it would measure something else."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.chunks import read_chunks
from benchmarks.generate import Stretch, build_tsdb, stretch_series
from benchmarks.series import SHAPES, STALE, Series
from benchmarks.served import CONFIG, serve_generated
from demo.servers import Server, start_prometheus
from tests.prometheus.server import RealPrometheus


def write_openmetrics(path: Path, series: Iterable[Series]) -> None:
    lines = []
    for each in series:
        labels = ",".join(f'{name}="{value}"' for name, value in each.labels.items() if name != "__name__")
        for time, value in zip(each.times.tolist(), each.bits.view(np.float64).tolist(), strict=True):
            lines.append(f"{each.labels['__name__']}{{{labels}}} {value!r} {time // 1000}.{time % 1000:03d}")
    path.write_text("\n".join([*lines, "# EOF", ""]))


def chunks_of(server: Server, metric: str, stretch: Stretch) -> dict[tuple[tuple[str, str], ...], list[bytes]]:
    found = read_chunks(server.url, metric, 0, stretch.span.end_ms)
    return {tuple(sorted(labels.items())): [chunk.data for chunk in chunks] for labels, chunks in found}


def test_chunks_are_those_that_promtool_makes_of_the_same_samples(prometheus: RealPrometheus, tmp_path: Path) -> None:
    """Bytes a sample are compared with the TSDB's, so its chunks must be cut and encoded as the head does it."""
    stretch = Stretch(20, 5)
    theirs, text = tmp_path / "theirs", tmp_path / "samples.om"
    write_openmetrics(text, stretch_series(stretch, churn=0))
    command: list[str | Path] = [
        prometheus.programs.promtool,
        "tsdb",
        "create-blocks-from",
        "openmetrics",
        text,
        theirs / "tsdb",
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    build_tsdb(tmp_path / "ours" / "tsdb", [stretch], churn=0)

    servers = [start_prometheus(prometheus.programs, tmp_path / name, config=CONFIG) for name in ("ours", "theirs")]
    try:
        for shape in SHAPES:
            made, wanted = (chunks_of(server, shape.metric, stretch) for server in servers)
            assert made == wanted
            assert len(wanted) == 20
            assert all(len(chunks) >= 6 for chunks in wanted.values())
    finally:
        for server in servers:
            server.stop()


@pytest.mark.parametrize("hours", [1, 20])
def test_the_server_gives_back_every_bit_that_was_written(
    prometheus: RealPrometheus, tmp_path: Path, hours: int
) -> None:
    """Stale markers included, which promtool cannot write, and across blocks."""
    stretch = Stretch(40, hours, day=1)
    planted = {
        tuple(sorted(series.labels.items())): list(zip(series.times.tolist(), series.bits.tolist(), strict=True))
        for series in stretch_series(stretch, churn=1)
    }

    with serve_generated(prometheus.programs, tmp_path, [Stretch(40, hours, day=1)], churn=1) as served:
        server = RealPrometheus(served.server, prometheus.programs)
        metrics = [*(shape.metric for shape in SHAPES), "up"]
        read = [each for metric in metrics for each in server.read_raw(metric, 0, stretch.span.end_ms)]

    assert {tuple(sorted(labels.items())): samples for labels, samples in read} == planted
    assert served.samples == sum(map(len, planted.values()))
    assert sum(bits == int(STALE) for samples in planted.values() for _, bits in samples) >= (len(SHAPES) * hours)


def test_buckets_of_a_histogram_never_fall_below_a_lower_one() -> None:
    """A shape that no exporter would give would flatter or wrong the compression."""
    series = list(stretch_series(Stretch(20, 2, shapes=(SHAPES[-1],)), churn=0))

    for first in (0, 10):
        counts = np.array([each.bits.view(np.float64) for each in series[first : first + 10]])
        assert (np.diff(counts, axis=0) >= 0).all()
        assert (np.diff(counts, axis=1) >= 0).all()
        assert len({each.labels["le"] for each in series[first : first + 10]}) == 10


def test_a_tenth_of_the_pods_lives_for_hours() -> None:
    series = list(stretch_series(Stretch(1_000, 24, shapes=(SHAPES[2],))))

    ended = [each for each in series if each.bits[-1] == STALE]
    lives = [(each.times[-1] - each.times[0]) / 3_600_000 for each in ended]
    slots = {each.labels["uid"][:8] for each in ended}
    assert 0.05 <= len(slots) / 1_000 <= 0.2
    assert max(lives) <= 7.1
    assert len({tuple(each.labels.items()) for each in series}) == len(series)
