"""The real snapshot job between a proxy and a store, and what Prometheus itself says of what should be in there."""

from __future__ import annotations

import json
import logging
import struct
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from anonymize.keys import add_key
from collector.pace import Timing
from jobs.config import Settings
from jobs.snapshot.result import SnapshotResult
from jobs.snapshot.run import run_snapshot
from schemas.windows import Window
from tests.faults.proxy import Proxy, proxy
from tests.prometheus.server import RealPrometheus
from tests.prometheus.wire import Samples

CLUSTER: Final = "payroll-of-the-boss"
TENANT: Final = "team-of-the-boss"
TOKEN: Final = "sesame-of-the-cluster"
HOST: Final = "secret-host"
BODY: Final = "what-the-body-says"
SECRETS: Final = (CLUSTER, TENANT, TOKEN, HOST, BODY)

WIDTH: Final = timedelta(minutes=10)
WINDOWS: Final = 6
STEP_MS: Final = 30_000
LOAD, CPU, HUB = "node_load1", "node_cpu_seconds_total", "jupyterhub_running_servers"
TABLES: Final = {"node": (CPU, LOAD), "notebook_hub": (HUB,)}

SeriesValues = Counter[tuple[tuple[int, bytes], ...]]
"""How often each series of these (milliseconds, bits of the value) is there; planted ones differ."""


@dataclass(frozen=True)
class Planted:
    """A real server with ``WINDOWS`` windows of both tables before ``now``."""

    server: RealPrometheus
    now: datetime

    def window(self, number: int) -> Window:
        """Return a window: 0 is the newest, 1 the one before."""
        end = self.now - number * WIDTH
        return Window(end - WIDTH, end)

    def truth(self, metric: str, window: Window) -> SeriesValues:
        """Return what Prometheus itself answers on the grid of a window, past every proxy."""
        answer = self.server.query_range(
            f'{metric}{{cluster="{CLUSTER}"}}',
            start_ms=window.start_ms,
            end_ms=window.end_ms - STEP_MS,
            step_ms=STEP_MS,
        )
        return Counter(
            tuple((round(1000 * float(at)), struct.pack("<d", float(value))) for at, value in series["values"])
            for series in answer
        )


def plant(server: RealPrometheus, *, padding: str = "") -> Planted:
    """Write an hour of both tables that ends now. ``padding``, a label of every CPU, makes answers long."""
    now_s = int(time.time()) // 600 * 600  # noqa: TID251 - the server takes samples of today
    times = range((now_s - 3600 - 900) * 1000, now_s * 1000, 15_000)

    def a_series(metric: str, number: int, **labels: str) -> tuple[dict[str, str], Samples]:
        values = [(at, struct.unpack("<Q", struct.pack("<d", number + 1 / (7 + at % 977_000)))[0]) for at in times]
        named = {name: value for name, value in labels.items() if value}
        return {"__name__": metric, "cluster": CLUSTER, **named}, values

    hosts = [f"{HOST}-{number}:9100" for number in range(8)]
    server.write(
        [
            *(a_series("up", 1, instance=host, job="node") for host in hosts),
            *(a_series(LOAD, number, instance=host) for number, host in enumerate(hosts)),
            *(
                a_series(CPU, 100 * number + cpu, instance=host, cpu=str(cpu), mode="user", padding=padding)
                for number, host in enumerate(hosts)
                for cpu in range(16)
            ),
            *(a_series(HUB, number, namespace=f"{HOST}-{number}", job="hub") for number in range(3)),
        ]
    )
    return Planted(server, datetime.fromtimestamp(now_s, UTC))


@dataclass
class Lab:
    """One staging store, one configuration, and a proxy on the way to the server."""

    planted: Planted
    folder: Path
    path: str
    proxy: Proxy
    source: dict[str, Any] = field(default_factory=dict)
    limits: dict[str, Any] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)

    def run(
        self,
        *,
        windows: int = 1,
        tables: Sequence[str] = ("node",),
        by_hand: bool = True,
        timing: Timing | None = None,
        **options: Any,  # noqa: ANN401 - of run_snapshot
    ) -> SnapshotResult:
        """Take a snapshot of the newest windows: of a span given by hand, or of what is due."""
        planted = self.planted
        span = Window(planted.now - windows * WIDTH, planted.now)
        settings = Settings.model_validate(
            {
                "source": {
                    "name": "lab",
                    "url": self.proxy.url,
                    "read": self.path,
                    "identity": "none",
                    "match": {"cluster": CLUSTER},
                    "bearer_token_file": self.folder / "token",
                    "headers": {"X-Scope-OrgID": TENANT},
                    "timeout": "5s",
                    "retries": 1,
                    **self.source,
                },
                "collection": {
                    "window": "10m",
                    "step": "30s",
                    "settle": "0s",
                    "max_catch_up": f"{windows * 10}m",
                    "tables": tables,
                },
                "limits": self.limits,
                "privacy": {"key_file": self.folder / "ring"},
                "staging": f"file:{self.folder}/staging",
                "work_dir": self.folder / "work",
            }
        )
        try:
            result = run_snapshot(
                settings,
                clock=lambda: planted.now,
                timing=timing or Timing(sleep=self.slept.append),
                span=span if by_hand else None,
                **options,
            )
        except Exception as error:
            self.said += [str(error), repr(error)]
            raise
        finally:
            assert not list((self.folder / "work").glob("*")), "a run leaves nothing behind where it works"
        self.said += [*result.failures, *result.gaps]
        return result

    def commits(self, table: str = "node") -> dict[Window, dict[str, Any]]:
        """Return the commit records of a table, read as plain JSON."""
        found = {}
        for path in (self.folder / f"staging/commits/lab/{table}").rglob("*.json"):
            record = json.loads(path.read_text())
            start = datetime.fromisoformat(record["window"]["start"])
            found[Window(start, start + WIDTH)] = record
        return found

    def assert_exact(self, window: Window, *, table: str = "node", but: Sequence[str] = ()) -> None:
        """Assert that a committed window holds what Prometheus answers itself: every series, every bit."""
        record = self.commits(table)[window]
        states = {entry["metric"]: entry["status"] for entry in record["coverage"]}
        for metric in TABLES[table]:
            truth = self.planted.truth(metric, window)
            assert truth, f"{metric} is not in the server"
            if metric in but:
                assert states[metric] in ("failed", "partial")
                truth = Counter()
            else:
                assert states[metric] == "complete"
            assert self._committed(record, metric) == truth

    def assert_only_whole_windows(self) -> None:
        """Assert that nothing lies in the store but its description, policies, commits, and what these name."""
        staging = self.folder / "staging"
        named = {"store.json", *(path.relative_to(staging).as_posix() for path in staging.glob("policies/*.json"))}
        for path in staging.glob("commits/**/*.json"):
            named |= {path.relative_to(staging).as_posix()}
            named |= {file["path"] for file in json.loads(path.read_text())["files"]}
        assert {path.relative_to(staging).as_posix() for path in staging.rglob("*") if path.is_file()} <= named

    def assert_silent(self, records: Sequence[logging.LogRecord]) -> None:
        """Assert that nothing secret was told, in a message or in a log."""
        told = [*self.said, *(f"{record.getMessage()} {vars(record)}" for record in records)]
        for secret in SECRETS:
            assert not [line for line in told if secret in line], f"{secret} was told"

    def _committed(self, record: dict[str, Any], metric: str) -> SeriesValues:
        series: dict[str, list[tuple[int, bytes]]] = {}
        for file in record["files"]:
            rows = pq.read_table(
                self.folder / "staging" / file["path"], columns=["metric", "series_id", "timestamp", "value"]
            )
            names: list[Any] = rows["metric"].to_pylist()
            identities: list[Any] = rows["series_id"].to_pylist()
            times: list[Any] = rows["timestamp"].cast(pa.int64()).to_pylist()
            values: list[Any] = rows["value"].to_pylist()
            for name, identity, at, value in zip(names, identities, times, values, strict=True):
                if name == metric:
                    series.setdefault(identity, []).append((at, struct.pack("<d", value)))
        return Counter(tuple(sorted(values)) for values in series.values())


@contextmanager
def open_lab(planted: Planted, folder: Path, *, path: str) -> Iterator[Lab]:
    """Make a key, a token and a proxy that does no harm yet."""
    add_key(folder / "ring", now=planted.now - timedelta(days=1), valid_from=None)
    (folder / "token").write_text(TOKEN)
    with proxy(planted.server.url) as between:
        yield Lab(planted, folder, path, between)
