"""The benchmark's claims in small, as ratios within one run. ``make bench`` measures the full size.

SPEED TESTS: they count CPU seconds of client and server together, so that neither a slower machine nor other work on
it changes much. End to end, ours also makes pseudonyms, sorts, reads its file back and searches it; the peer does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from benchmarks.generate import Stretch
from benchmarks.measure import Measured, What
from benchmarks.series import PEER_SHAPE
from benchmarks.served import Served, serve_generated
from tests.prometheus.server import RealPrometheus
from tests.store.places import FULL

pytestmark = pytest.mark.skipif(not FULL, reason="a minute of measuring: make test-full, or make bench")

SERIES: Final = 500
HOURS: Final = 24
"""What ``make bench`` compares: on much less, what a run costs for itself would be most of it."""
LEAST_READ_ONLY: Final = 25.0
"""From Prometheus to columns. These are half of what is aimed at."""
LEAST_END_TO_END: Final = 25.0
"""From Prometheus to a finished file."""
LEAST_HTTP: Final = 2.5
"""The same without remote read."""
LEAST_ON_PROMETHEUS: Final = 25.0
"""CPU of the server alone."""
REPEATS: Final = {"ours": 10, "ours-read-only": 10, "ours-http": 2}


@dataclass(frozen=True)
class Bench:
    """Measures each path once for all tests."""

    served: Served
    taken: dict[str, Measured] = field(default_factory=dict)

    def measured(self, path: str) -> Measured:
        if path not in self.taken:
            what = What((PEER_SHAPE.metric,), HOURS)
            self.taken[path] = self.served.measure(path, what, repeats=REPEATS.get(path, 1))
        return self.taken[path]


@pytest.fixture(scope="module")
def bench(prometheus: RealPrometheus, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder: Path = tmp_path_factory.mktemp("bench")
    stretch = Stretch(SERIES, HOURS, shapes=(PEER_SHAPE,))
    with serve_generated(prometheus.programs, folder, [stretch]) as served:
        yield Bench(served)


@pytest.mark.parametrize(
    ("path", "peer", "least"),
    [
        ("ours", "peer", LEAST_END_TO_END),
        ("ours-http", "peer", LEAST_HTTP),
        ("ours-read-only", "peer-read-only", LEAST_READ_ONLY),
    ],
)
def test_ours_costs_a_fraction_of_the_peer_by_the_sample(bench: Bench, path: str, peer: str, least: float) -> None:
    ours, theirs = bench.measured(path), bench.measured(peer)

    assert ours.samples == pytest.approx(SERIES * HOURS * 120, rel=0.01)  # a pod's end may leave a point empty
    assert theirs.samples == pytest.approx(ours.samples, rel=0.01)
    by_cpu = theirs.all_cpu_ns_a_sample / ours.all_cpu_ns_a_sample
    by_time = ours.samples_a_second / theirs.samples_a_second
    said = f"{path} took 1/{by_cpu:.1f} of the CPU of {peer} for a sample, and 1/{by_time:.1f} of its time"
    print(said)  # noqa: T201 - shown by pytest -rP
    # other work on the machine takes the second core from ours, which the peer does not use; the CPU stays what it is
    assert max(by_cpu, by_time) >= least, f"{said}; wanted 1/{least:g}"


def test_prometheus_spends_a_fraction_on_ours_of_what_it_spends_on_the_peer(bench: Bench) -> None:
    """The monitored cluster's Prometheus has better things to do."""
    ours, theirs = bench.measured("ours"), bench.measured("peer")

    ratio = theirs.cpu_ns_a_sample / ours.cpu_ns_a_sample
    print(f"Prometheus spent 1/{ratio:.1f} on ours of what it spent on the peer")  # noqa: T201
    assert ratio >= LEAST_ON_PROMETHEUS, f"Prometheus spent 1/{ratio:.1f}; wanted 1/{LEAST_ON_PROMETHEUS:g}"
