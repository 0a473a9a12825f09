"""A sample takes no more bytes in our files than in the TSDB's own chunks, whatever its values look like."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from benchmarks.chunks import run_chunks
from benchmarks.generate import Stretch
from benchmarks.job import Job, make_span
from benchmarks.paths import run_ours
from benchmarks.series import SHAPES, Shape
from benchmarks.served import Served, serve_generated
from tests.prometheus.server import RealPrometheus

SERIES: Final = 500
HOURS: Final = 24


@pytest.fixture(scope="module")
def served(prometheus: RealPrometheus, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("bench")
    with serve_generated(prometheus.programs, folder, [Stretch(SERIES, HOURS)]) as running:
        yield running


@pytest.mark.parametrize("shape", SHAPES, ids=[shape.says for shape in SHAPES])
def test_a_sample_takes_no_more_bytes_than_in_the_chunks(served: Served, shape: Shape, tmp_path: Path) -> None:
    """Ours holds labels, pseudonyms, statistics and footer too; the chunks are samples alone."""
    job = Job(served.server.url, make_span(HOURS), (shape.metric,), tmp_path)

    ours, chunks = run_ours(job), run_chunks(job)

    assert ours.samples == pytest.approx(SERIES * HOURS * 120, rel=0.01)
    sizes = [output.bytes / output.samples for output in (ours, chunks)]
    print(f"{sizes[0]:.2f} bytes, {sizes[1]:.2f} in the TSDB")  # noqa: T201 - shown by pytest -rP
    assert sizes[0] <= sizes[1]
