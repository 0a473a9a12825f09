"""A simulated cluster behind a real Prometheus, and releases of it built by the real commands: what is attacked.

The days are fixed and everything simulated is a function of the seed, so that a second run measures the same cluster.
Only the keys are drawn anew.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from demo.backfill import backfill
from demo.cluster import CLUSTER, Span, build_series
from demo.errors import DemoError
from demo.packages import Programs
from demo.servers import Server, start_prometheus

START: Final = datetime(2026, 1, 5, tzinfo=UTC)
"""A Monday."""
KEPT: Final = ("--storage.tsdb.retention.time=100y",)
"""The days lie in the past, and the server would drop them."""
SOURCE: Final = "demo-cluster"
_CONFIG: Final = """\
source:
  name: {source}
  provenance: simulated
  url: {url}
  match: {{cluster: {cluster}}}
collection: {{window: 6h}}
limits: {{deadline: 2h}}
privacy: {{key_file: {name}.key}}
staging: file:staging-{name}
public: file:public-{name}
work_dir: work-{name}
release: {{title: An attacked release, maintainer: The attacker, contact: nobody}}
"""


@dataclass(frozen=True)
class Publisher:
    """One configuration in a folder of its own: a key, a staging store, a public store."""

    folder: Path
    name: str

    @property
    def key_file(self) -> Path:
        """The key ring."""
        return self.folder / f"{self.name}.key"

    def run(self, *arguments: str, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Run a command and return its result; raise ``DemoError`` with what it said when it fails."""
        opspub = Path(sys.executable).with_name("opspub")
        ran = subprocess.run(
            [opspub, "--config", self.folder / f"{self.name}.yaml", *arguments, "--json"],
            env={**os.environ, **(environment or {})},  # noqa: TID251 - what the programs need to run
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode:
            raise DemoError(f"'opspub {arguments[0]}' ended with exit code {ran.returncode}: {ran.stderr.strip()}")
        return dict(json.loads(ran.stdout))

    def publish(self, version: str, start: datetime, end: datetime) -> Path:
        """Collect a span, release it, publish it; return the folder as a stranger finds it."""
        span = ("--start", f"{start:%FT%TZ}", "--end", f"{end:%FT%TZ}")
        self.run("snapshot", *span)
        self.run("release", version, *span)
        self.run("publish", version)
        return self.folder / f"public-{self.name}" / "releases" / version


@contextmanager
def serve_cluster(programs: Programs, folder: Path, *, seed: int, hours: int) -> Iterator[Server]:
    """Simulate the cluster for some hours from ``START`` on, and serve it."""
    begin = int(START.timestamp())
    span = Span(begin, begin + hours * 3600)
    folder.mkdir(parents=True, exist_ok=True)
    backfill(programs.promtool, folder / "tsdb", build_series(seed, span), span)
    with start_prometheus(programs, folder, config="global: {}\n", flags=KEPT) as server:
        yield server


def make_publisher(folder: Path, name: str, url: str) -> Publisher:
    """Write the configuration of a publisher and draw its key."""
    text = _CONFIG.format(source=SOURCE, url=url, cluster=CLUSTER, name=name)
    (folder / f"{name}.yaml").write_text(text, "utf-8")
    publisher = Publisher(folder, name)
    publisher.run("key", "new")
    return publisher


def hours_after_start(hours: float) -> datetime:
    """Return an instant of the simulated days."""
    return START + timedelta(hours=hours)
