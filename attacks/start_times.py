"""Tell entities by when they began: age-like values give the start, the first row gives the arrival."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import pyarrow as pa

from attacks.published import Published
from attacks.statistics import count_unique
from schemas.attacks import StartTimes

SECOND_MS, MINUTE_MS, HOUR_MS = 1_000, 60_000, 3_600_000
START_METRIC = ("container", "container_start_time_seconds")
ENTITY = ("namespace", "pod")
Entity = tuple[str, ...]


def attack_starts(release: Published) -> StartTimes:
    """Return how many pods a release leaves alone with their start, and with their first row."""
    return count_alone(read_starts(release), read_arrivals(release))


def count_alone(starts_ms: Mapping[Entity, int], arrivals_ms: Mapping[Entity, int]) -> StartTimes:
    """Return how many entities share their start (ms) with nobody, and how many their arrival."""
    return StartTimes(
        entities=len(starts_ms),
        unique_by_second=count_unique(start // SECOND_MS for start in starts_ms.values()),
        unique_by_minute=count_unique(start // MINUTE_MS for start in starts_ms.values()),
        unique_by_hour=count_unique(start // HOUR_MS for start in starts_ms.values()),
        arrivals=len(arrivals_ms),
        unique_arrivals=count_unique(arrivals_ms.values()),
    )


def read_starts(release: Published) -> dict[Entity, int]:
    """Return each pod's start (ms, to the minute) from the age that stands at its rows."""
    rows = release.rows(*START_METRIC, [*ENTITY, "timestamp", "value"])
    times = rows.column("timestamp").cast(pa.int64()).to_pylist()
    columns = [rows.column(name).to_pylist() for name in ENTITY]
    starts: dict[Entity, int] = {}
    for namespace, pod, at, age in zip(*columns, times, rows.column("value").to_pylist(), strict=True):
        if age is not None:
            start = (at - round(age * 1000)) // MINUTE_MS * MINUTE_MS
            starts[namespace, pod] = min(start, starts.get((namespace, pod), start))
    return starts


def read_arrivals(release: Published) -> dict[Entity, int]:
    """Return the first timestamp (ms) of each pod that was not there when the release began."""
    begins = round(datetime.fromisoformat(release.manifest["start"]).timestamp() * 1000)
    index = release.series(START_METRIC[0])
    times = index.column("first_timestamp").cast(pa.int64()).to_pylist()
    first: dict[Entity, int] = {}
    for namespace, pod, at in zip(*(index.column(name).to_pylist() for name in ENTITY), times, strict=True):
        if pod is not None:
            first[namespace, pod] = min(at, first.get((namespace, pod), at))
    return {entity: at for entity, at in first.items() if at > begins}
