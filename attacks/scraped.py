"""Real scrapes of many targets, taken by the real commands with the times of the scrapes, and on the grid.

Prometheus spreads the moments of scrapes by a hash of each target. One node_exporter under many names is many targets.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from attacks.world import Publisher
from demo.packages import Programs
from demo.servers import Server, start_node_exporter, start_prometheus

TARGETS: Final = 40
INTERVAL_MS: Final = 5_000
WINDOW: Final = timedelta(seconds=20)
WINDOWS: Final = 3
METRIC: Final = "node_load1"
_CONFIG: Final = """\
source: {{name: live, provenance: real, url: '{url}', identity: none}}
collection: {{window: 20s, step: 5s, settle: 0s, tables: [node], timestamps: {timestamps}}}
privacy: {{key_file: live.key}}
staging: file:live-{timestamps}
public: file:live-public
work_dir: live-work
"""


@dataclass(frozen=True)
class Scraped:
    """A server that scrapes, and since when."""

    server: Server
    since: datetime
    folder: Path

    def take(self, timestamps: str) -> dict[str, npt.NDArray[np.int64]]:
        """Collect whole windows and return the times (ms) of each target's samples, by its token."""
        (self.folder / f"live-{timestamps}.yaml").write_text(
            _CONFIG.format(url=self.server.url, timestamps=timestamps), "utf-8"
        )
        publisher = Publisher(self.folder, f"live-{timestamps}")
        if not (self.folder / "live.key").exists():
            publisher.run("key", "new")
        end = self.since + WINDOWS * WINDOW
        publisher.run("snapshot", "--start", f"{self.since:%FT%TZ}", "--end", f"{end:%FT%TZ}")
        return _read_times(self.folder / f"live-{timestamps}")

    def wait(self) -> None:
        """Wait until the windows have passed."""
        end = (self.since + WINDOWS * WINDOW).timestamp() + 2
        time.sleep(max(0.0, end - time.time()))  # noqa: TID251 - the scrapes take the time that they take


@contextmanager
def scrape_targets(programs: Programs, folder: Path) -> Iterator[Scraped]:
    """Scrape ``TARGETS`` targets while the caller does something else."""
    folder.mkdir(parents=True, exist_ok=True)
    with start_node_exporter(programs, folder / "exporter") as exporter:
        jobs = "".join(
            f"      - targets: ['127.0.0.1:{exporter.port}']\n"
            f"        labels: {{instance: 'machine-{number:02d}', __param_target: '{number}'}}\n"
            for number in range(TARGETS)
        )
        config = (
            f"global: {{scrape_interval: {INTERVAL_MS}ms, scrape_timeout: 4s}}\n"
            "scrape_configs:\n"
            "  - job_name: node-exporter\n"
            "    metric_relabel_configs:\n"
            f"      - {{source_labels: [__name__], regex: {METRIC}, action: keep}}\n"
            f"    static_configs:\n{jobs}"
        )
        with start_prometheus(programs, folder / "server", config=config) as server:
            now = datetime.now(UTC).timestamp() + 2 * INTERVAL_MS / 1000  # noqa: TID251 - when scraping has begun
            width = WINDOW.total_seconds()
            yield Scraped(server, datetime.fromtimestamp((now // width + 1) * width, UTC), folder)


def _read_times(staging: Path) -> dict[str, npt.NDArray[np.int64]]:
    """Return the times of every target in the staged files; they have the columns of a release."""
    paths = sorted((staging / "data").rglob("*.parquet"))
    rows = pa.concat_tables([pq.read_table(path, columns=["metric", "node", "timestamp"]) for path in paths])
    nodes = rows.column("node").to_pylist()
    times = rows.column("timestamp").cast(pa.int64()).to_numpy()
    found: dict[str, list[int]] = {}
    for node, metric, at in zip(nodes, rows.column("metric").to_pylist(), times.tolist(), strict=True):
        if metric == METRIC and node is not None:
            found.setdefault(node, []).append(at)
    return {node: np.array(sorted(each), dtype=np.int64) for node, each in found.items()}
