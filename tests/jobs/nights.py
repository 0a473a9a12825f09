"""Releases of a night of two days, in every way to tell their time; and all the instants that they tell."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.config import Settings
from jobs.publish.run import run_publish
from jobs.release.result import ReleaseResult
from jobs.release.run import run_release
from tests.jobs.audited import publisher_settings
from tests.jobs.small_groups import DAY, GPU_METRIC, HOUR, a_gpu, stage

GPUS = [a_gpu(f"gpu-{n}", "A100") for n in range(6)]
NIGHT = DAY + 23 * HOUR
"""Windows from here on lie in two days, a Sunday and a Monday."""
NOW = DAY + timedelta(days=3)
WEEK = timedelta(weeks=1)


def settings_of(folder: Path, mode: str, **release: Any) -> Settings:  # noqa: ANN401 - any key of the section
    key = {"key_file": folder / "ring", "time": mode}
    return publisher_settings(folder, privacy=key, release=release, collection={"tables": ["gpu"]})


def stage_night(settings: Settings, folder: Path, *, start: datetime = NIGHT, hours: int = 2, key: str = "k_0") -> None:
    for hour in range(hours):
        stage(settings, folder / f"{start:%d%H}-{hour}", "gpu", GPU_METRIC, GPUS, start=start + hour * HOUR, key_id=key)


def build(
    settings: Settings, version: str = "2026.11.0", *, start: datetime | None = None, end: datetime | None = None
) -> ReleaseResult:
    return run_release(settings, version, clock=lambda: NOW, start=start, end=end)


def publish(settings: Settings, version: str = "2026.11.0") -> None:
    run_publish(settings, version, clock=lambda: NOW)


def instants(value: Any) -> Iterator[datetime]:  # noqa: ANN401 - any JSON
    """Yield everything in a document that reads as an instant."""
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from instants(each)
    elif isinstance(value, str) and len(value) >= 10 and value[4:5] == value[7:8] == "-":
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            return
        yield found if found.tzinfo else found.replace(tzinfo=UTC)


def all_instants(folder: Path) -> set[datetime]:
    """Return every instant that a release tells a reader, in Parquet columns and in JSON."""
    found: set[datetime] = set()
    for path in folder.rglob("*.parquet"):
        table = pq.read_table(path, partitioning=None)
        for field in table.schema:
            if pa.types.is_timestamp(field.type):
                found.update(filter(None, table.column(field.name).to_pylist()))
        if path.parent.name.startswith("date="):
            found.add(datetime.fromisoformat(path.parent.name.removeprefix("date=")).replace(tzinfo=UTC))
    for path in folder.glob("*.json"):
        found.update(instants(json.loads(path.read_bytes())))
    return found


def moved_files(folder: Path, by: timedelta) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of every Parquet file with all instants, also in paths, moved by a span."""

    def move_path(path: str) -> str:
        head, _, tail = path.partition("date=")
        return f"{head}date={datetime.fromisoformat(tail[:10]) + by:%Y-%m-%d}{tail[10:]}" if tail else head

    found = {}
    for path in folder.rglob("*.parquet"):
        rows = pq.read_table(path, partitioning=None).to_pylist()
        for row in rows:
            for name, value in row.items():
                if isinstance(value, datetime):
                    row[name] = value + by
                elif name == "path":
                    row[name] = move_path(value)
        found[move_path(path.relative_to(folder).as_posix())] = rows
    return found
