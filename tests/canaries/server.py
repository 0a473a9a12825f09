"""A real Prometheus that is full of canaries, and configurations of runs that read from it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import yaml

from demo.packages import find_programs
from demo.servers import Server, start_prometheus
from tests.canaries.planted import Planted, plant_canaries
from tests.canaries.scan import Scanner
from tests.collector.histogram_wire import write_mixed
from tests.collector.misbehaving import Answer, serve
from tests.jobs.bench import Bench
from tests.prometheus.server import RealPrometheus

WIDTH: Final = timedelta(minutes=10)
_OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_REPOSITORY: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class CanarySource:
    """The running server. The canaries stand in the two windows of ten minutes that end with ``end``."""

    server: Server
    planted: Planted
    end: datetime

    @property
    def scanner(self) -> Scanner:
        """Finds the canaries, and what only an exception says."""
        return Scanner(self.planted.aviary.canaries)

    def configure(self, folder: Path, **collection: object) -> Bench:
        """Return a folder with a configuration that reads all of it, every secret in its place."""
        bench = Bench(folder)
        (folder / "token").write_text(self.planted.bearer)
        (folder / "token").chmod(0o600)
        bench.set(
            "source",
            url=self.server.url,
            identity="kubernetes",
            match=dict(self.planted.match),
            bearer_token_file="token",
            headers={"X-Scope-OrgID": self.planted.header},
            external_labels=dict(self.planted.external_labels),
        )
        wanted: dict[str, Any] = {"window": "10m", "step": "30s", "tables": "all", "max_catch_up": "20m", **collection}
        bench.set("collection", **wanted)
        bench.set("release", title="Canaries", maintainer="Example Lab", contact="data@lab.example")
        return bench

    @property
    def span(self) -> tuple[str, ...]:
        """The newer of the two windows, as ``snapshot`` takes it."""
        return ("--start", f"{self.end - WIDTH:%FT%TZ}", "--end", f"{self.end:%FT%TZ}")


@contextmanager
def start_canary_source(folder: Path) -> Iterator[CanarySource]:
    """Start a Prometheus, write the canaries and let it scrape the rest; raise ``DemoError`` where there is none."""
    end_s = int(time.time()) // 600 * 600  # noqa: TID251 - the server takes samples of today
    planted = plant_canaries(range((end_s - 1500) * 1000, end_s * 1000, 30_000))
    programs = find_programs(_REPOSITORY / ".demo", environment=dict(os.environ))  # noqa: TID251 - where they are
    with serve(Answer(planted.exposition.encode(), content_type=_OPENMETRICS)) as target:
        config = {
            "global": {"external_labels": dict(planted.external_labels), "scrape_interval": "1s"},
            "storage": {"tsdb": {"out_of_order_time_window": "30h"}},
            "scrape_configs": [
                {"job_name": "canaries", "static_configs": [{"targets": [target.url.removeprefix("http://")]}]}
            ],
        }
        flags = ["--web.enable-remote-write-receiver", "--enable-feature=exemplar-storage,native-histograms"]
        with start_prometheus(programs, folder, config=yaml.safe_dump(config), flags=flags) as server:
            prometheus = RealPrometheus(server, programs)
            prometheus.write(planted.series)
            write_mixed(prometheus, planted.native)
            yield CanarySource(server, planted, datetime.fromtimestamp(end_s, UTC))
