"""A release is built in the same memory however many rows it has. ``make bench-release`` measures 50 million."""

from pathlib import Path

import pytest

from benchmarks.release import measure_build
from tests.store.places import FULL

MOST = 1.3
"""How many times the peak of resident memory may be at four times the rows."""
MOST_MIB = 600


def test_memory_stays_flat_at_four_times_the_rows(tmp_path: Path) -> None:
    """A builder that holds a day in memory works in every small test and dies in the first real cluster."""
    series = 2_000 if FULL else 1_000
    small = measure_build(tmp_path / "small", series=series, hours=3)
    large = measure_build(tmp_path / "large", series=series, hours=12)

    assert large.rows == 4 * small.rows
    growth = large.peak_mib / small.peak_mib
    assert growth <= MOST, f"{small.peak_mib:.0f} MiB became {large.peak_mib:.0f} MiB; wanted {MOST:g} times at most"


@pytest.mark.skipif(not FULL, reason="some minutes: make test-full")
def test_fifty_million_rows_are_built_in_600_megabytes(tmp_path: Path) -> None:
    built = measure_build(tmp_path, series=8_681, hours=24)

    assert built.rows >= 50_000_000
    assert built.peak_mib < MOST_MIB
