"""A real Prometheus on generated blocks, and how one path is measured against it."""

from __future__ import annotations

import http.client
import json
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.generate import Stretch, build_tsdb
from benchmarks.job import make_span
from benchmarks.measure import Measured, What, measure
from benchmarks.series import CHURN
from demo.packages import Programs
from demo.servers import Server, start_prometheus

CONFIG: Final = "scrape_configs: []\n"
_FLAGS: Final = (
    "--storage.tsdb.retention.time=1y",
    # with both the same the server compacts nothing; else it would do so in the middle of a measurement
    "--storage.tsdb.min-block-duration=2h",
    "--storage.tsdb.max-block-duration=2h",
)


@dataclass(frozen=True)
class Served:
    """A server, and how many samples its blocks hold."""

    server: Server
    programs: Programs
    samples: int

    def measure(
        self, path: str, what: What, *, repeats: int = 1, environment: Mapping[str, str] | None = None
    ) -> Measured:
        """Measure a path in a process of its own."""
        return measure(
            path,
            what,
            url=self.server.url,
            pid=self.server.pid,
            repeats=repeats,
            data=self.server.folder / "tsdb",
            promtool=self.programs.promtool,
            environment=environment,
        )

    def count_series(self, what: What) -> int:
        """Return how many series have a sample in the time that is taken, as the server itself counts."""
        span = make_span(what.hours, day=what.day, hour=what.hour)
        counts = 0
        for metric in what.metrics:
            # the span of a range selector holds both ends
            query = f"count(present_over_time({metric}[{span.end_ms - span.start_ms - 1}ms]))"
            fields = urllib.parse.urlencode({"query": query, "time": (span.end_ms - 1) / 1000})
            status, body = self.server.get(f"/api/v1/query?{fields}")
            if status != http.client.OK:
                raise RuntimeError(f"the server answered {status} when asked for the series of {metric}")
            counts += sum(int(each["value"][1]) for each in json.loads(body)["data"]["result"])
        return counts


@contextmanager
def serve_generated(
    programs: Programs, folder: Path, stretches: Sequence[Stretch], *, churn: float = CHURN
) -> Iterator[Served]:
    """Generate a TSDB in ``folder`` and serve it until the block ends."""
    samples = build_tsdb(folder / "tsdb", stretches, churn=churn)
    with start_prometheus(programs, folder, config=CONFIG, flags=_FLAGS) as server:
        yield Served(server, programs, samples)
