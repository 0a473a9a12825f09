"""The benchmark's claims in small, as ratios within one run. ``make bench`` measures the full size.

SPEED TESTS: they count CPU seconds of client and server together, so that neither a slower machine nor other work on
it changes much. End to end, ours also makes pseudonyms, sorts, reads its file back and searches it; the peer does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.bench import serve_generated
from benchmarks.generate import PEER_SHAPE
from benchmarks.measure import Measured, measure
from demo.servers import Server
from tests.prometheus.server import RealPrometheus

SERIES, HOURS = 500, 4


@pytest.fixture(scope="module")
def served(prometheus: RealPrometheus, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("bench")
    with serve_generated(prometheus.programs, folder, series=SERIES, hours=HOURS, shapes=[PEER_SHAPE]) as (server, _):
        yield server


@pytest.mark.parametrize(
    ("path", "peer", "least"),
    [
        ("ours-read-only", "peer-read-only", 10.0),  # from Prometheus to columns; about 30
        ("ours", "peer", 5.0),  # from Prometheus to a finished file; about 8 on this slice
        ("ours-http", "peer", 2.0),  # the same without remote read; about 5
    ],
)
def test_ours_costs_a_fraction_of_the_peer_by_the_sample(served: Server, path: str, peer: str, least: float) -> None:
    ours, theirs = (_measure(served, name, repeats) for name, repeats in ((path, 3), (peer, 1)))

    assert ours.samples == SERIES * HOURS * 120
    assert theirs.samples >= ours.samples
    ratio = theirs.all_cpu_ns_a_sample / ours.all_cpu_ns_a_sample
    print(f"{path} took 1/{ratio:.1f} of the CPU of {peer} for a sample")  # noqa: T201 - shown by pytest -rP
    assert ratio >= least, f"{path} took 1/{ratio:.1f} of the CPU of {peer} for a sample; wanted 1/{least:g}"


def _measure(server: Server, path: str, repeats: int) -> Measured:
    metrics = [PEER_SHAPE.metric]
    return measure(path, url=server.url, pid=server.pid, hours=HOURS, metrics=metrics, repeats=repeats)
