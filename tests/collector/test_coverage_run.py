"""A run against a real Prometheus records what was planted: by both paths, hour by hour, with its reason."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from anonymize.keys import add_key
from collector.reader import ReadPath
from jobs.config import Settings
from jobs.snapshot.commits import read_commits
from jobs.snapshot.run import run_snapshot
from jobs.store import open_store
from schemas.commit import MetricCoverage
from schemas.hours import HOUR_MS
from schemas.windows import Window, from_ms
from tests.prometheus.server import EXTERNAL_LABELS, RealPrometheus
from tests.prometheus.wire import Samples

MINUTE: Final = 60_000
NOW: Final = int(time.time() * 1000)  # noqa: TID251 - the server takes only the last 30 h
END: Final = (NOW - 20 * MINUTE) // (2 * HOUR_MS) * 2 * HOUR_MS  # where windows of two hours end, too
START: Final = END - 2 * HOUR_MS
ONE: Final = 0x3FF0000000000000
STALE: Final = 0x7FF0000000000002
DOWN: Final = (START + 20 * MINUTE, START + 40 * MINUTE)
OUTAGE: Final = (START + 80 * MINUTE, START + 110 * MINUTE)


def plant(prometheus: RealPrometheus) -> str:
    """Write two nodes: one is down for twenty minutes, and then nobody scrapes them for half an hour."""
    source = prometheus.new_metric("source")

    def write(metric: str, instance: str, samples: Samples) -> None:
        labels = {"__name__": metric, "job": "node", "instance": instance, "source": source}
        prometheus.write([(labels, samples)])

    for instance, interval in (("fast", 15_000), ("slow", 30_000)):
        times = [
            at for at in range(START - HOUR_MS + 4_000, END + 10 * MINUTE, interval) if not OUTAGE[0] <= at < OUTAGE[1]
        ]
        failed = [at for at in times if instance == "slow" and DOWN[0] <= at < DOWN[1]]
        write("up", instance, [(at, 0 if at in failed else ONE) for at in times])
        ended = [(at, STALE) for at in failed[:1]]
        write("node_load1", instance, sorted([*((at, ONE) for at in times if at not in failed), *ended]))
    write("up", "idle", [(at, ONE) for at in range(START - HOUR_MS, END, 30_000) if not OUTAGE[0] <= at < OUTAGE[1]])
    write("node_load1", "idle", [(START - 2 * MINUTE, ONE), (START - MINUTE, STALE)])  # known, and in no window
    return source


def collect(prometheus: RealPrometheus, source: str, folder: Path, path: ReadPath, window: str) -> list[MetricCoverage]:
    """Run over both hours and return what the commits say of the load, in order of time, and of the memory."""
    settings = Settings.model_validate(
        {
            "source": {
                "name": "lab",
                "url": prometheus.url,
                "read": path,
                "match": {"source": source},
                "external_labels": EXTERNAL_LABELS,
                "identity": "none",
            },
            "collection": {"window": window, "settle": "1m", "tables": ["node"]},
            "privacy": {"key_file": str(folder / "ring")},
            "staging": f"file:{folder / 'staging'}",
            "work_dir": str(folder / "work"),
        }
    )
    add_key(folder / "ring", now=from_ms(START), valid_from=None)

    def clock() -> datetime:
        return from_ms(END) + timedelta(minutes=15)

    run_snapshot(settings, clock=clock, span=Window(from_ms(START), from_ms(END)))
    store = open_store(settings.staging, endpoint_url=None)
    return [metric for record in read_commits(store, "lab") for metric in record.coverage]


@pytest.mark.parametrize("path", ["remote-read", "http"])
@pytest.mark.parametrize("window", ["1h", "2h"])
def test_a_run_records_what_was_planted(
    prometheus: RealPrometheus, tmp_path: Path, path: ReadPath, window: str
) -> None:
    """Two thirds of the second hour's samples are lost to an outage; the first hour's hole is the target's."""
    found = collect(prometheus, plant(prometheus), tmp_path, path, window)

    hours = [hour for metric in found if metric.metric == "node_load1" for hour in metric.hours]
    assert [hour.start for hour in hours] == [from_ms(START), from_ms(START + HOUR_MS)]
    assert [hour.received for hour in hours] == [240 + 80, 120 + 60]
    assert [hour.reason for hour in hours] == ["target down", "source down"]
    assert [(h.scrapes, h.scrapes_failed, h.scrapes_unseen) for h in hours] == [(360, 40, 0), (360, 0, 180)]
    assert [hour.estimated for hour in hours] == [path == "http"] * 2
    if path == "remote-read":
        assert [hour.expected for hour in hours] == [320, 360]
        # the last values are 11 and 26 s old when the outage begins, and are held until they are five minutes old
        ages = [(first + 30 * point, interval) for first, interval in ((11, 15), (26, 30)) for point in range(60)]
        assert [hour.held for hour in hours] == [0, sum(1.5 * interval < age <= 300 for age, interval in ages)]
    else:
        assert [hour.expected for hour in hours] == pytest.approx([320, 360], abs=4)
        assert [hour.held for hour in hours] == [None, None]
    assert sum(hour.points for hour in hours) == sum(m.rows for m in found if m.metric == "node_load1")

    absent = [metric for metric in found if metric.metric == "node_memory_MemAvailable_bytes"]
    assert {(metric.status, metric.reason) for metric in absent} == {("empty", "target absent")}
