"""Memory stays flat while the input grows. ``make bench`` measures up to 16 times, and a window of 192,000 series."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from benchmarks.generate import Stretch
from benchmarks.measure import What
from benchmarks.series import PEER_SHAPE
from benchmarks.served import Served, serve_generated
from tests.collector.effort import FULL
from tests.prometheus.server import RealPrometheus

MOST: Final = 1.25
"""How many times the peak of resident memory may be at four times the input."""
ONE: Final = (PEER_SHAPE.metric,)


@pytest.fixture(scope="module")
def served(prometheus: RealPrometheus, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("bench")
    stretches = [Stretch(400, 48, shapes=(PEER_SHAPE,)), Stretch(1_600, 12, day=4, shapes=(PEER_SHAPE,))]
    with serve_generated(prometheus.programs, folder, stretches) as running:
        yield running


@pytest.mark.skipif(not FULL, reason="half a minute of measuring: make test-full")
@pytest.mark.parametrize(
    "four_times",
    [What(ONE, 12, day=4), What(ONE, 48), What(ONE, 48, window_hours=12)],
    ids=["more series", "a longer window", "more windows"],
)
def test_memory_stays_flat_at_four_times_the_samples(served: Served, four_times: What) -> None:
    """A collector that holds a window in memory works in every small test and dies in the first real cluster."""
    small = served.measure("ours", What(ONE, 12))
    large = served.measure("ours", four_times)

    assert large.samples == pytest.approx(4 * small.samples, rel=0.01)
    growth = large.peak_mib / small.peak_mib
    print(f"{small.peak_mib:.0f} MiB at 1x, {large.peak_mib:.0f} MiB at 4x")  # noqa: T201 - shown by pytest -rP
    assert growth <= MOST, f"peak memory grew {growth:.2f} times, to {large.peak_mib:.0f} MiB; wanted {MOST:g} at most"
