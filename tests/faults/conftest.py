"""Fixtures of the fault tests: a server with something to lose, and a folder in which runs leave what they leave."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.lab import Lab, Planted, open_lab, plant
from tests.prometheus.fixtures import prometheus
from tests.prometheus.server import RealPrometheus

__all__ = ["prometheus"]


@pytest.fixture(scope="session")
def planted(prometheus: RealPrometheus) -> Planted:
    """The shared server, with some hours of two tables."""
    return plant(prometheus)


@pytest.fixture(params=["remote-read", "http"])
def lab(
    request: pytest.FixtureRequest, planted: Planted, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> Iterator[Lab]:
    """Runs of the real snapshot job through a proxy, by one path; at the end, nothing secret may have been told."""
    with (
        caplog.at_level("DEBUG", logger="jobs"),
        caplog.at_level("DEBUG", logger="collector"),
        open_lab(planted, tmp_path, path=request.param) as opened,
    ):
        yield opened
        opened.assert_silent(caplog.records)
