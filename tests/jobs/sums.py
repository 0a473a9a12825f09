"""Pods planted by hand, and what the aggregate tier must publish of them, computed from the rule in words."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq

from jobs.config import Settings
from jobs.release.result import ReleaseResult
from jobs.release.run import run_release
from schemas.derived import WORKLOAD_POD
from tests.jobs.audited import publisher_settings
from tests.jobs.small_groups import DAY, HOUR, a_token, stage

MEMORY, CPU = "container_memory_working_set_bytes", "container_cpu_usage_seconds_total"
K: Final = 5
Cell = tuple[datetime, str | None, str | None]
Values = Sequence[float | None]


def aggregate_settings(folder: Path, **privacy: Any) -> Settings:  # noqa: ANN401 - any key of the section
    tables = ["container", "gpu", "node", "pod", "workload"]
    given = {"key_file": folder / "ring", "tier": "aggregate", **privacy}
    return publisher_settings(folder, privacy=given, collection={"tables": tables})


class Pods:
    """Pods of some namespaces with their values at four points, planted by hand."""

    def __init__(self, **counts: tuple[int, str]) -> None:
        self.rows: list[tuple[str, str, str]] = []  # namespace, pod, kind
        for namespace, (count, kind) in counts.items():
            self.rows += [(namespace, f"{namespace}-{n}", kind) for n in range(count)]

    def containers(self, *containers: str) -> list[dict[str, str | None]]:
        return [
            {
                "series_id": a_token("s", f"{pod} {container}"),
                "namespace": a_token("ns", namespace),
                "pod": a_token("pod", f"{namespace} {pod}"),
                "container": a_token("ctr", f"{pod} {container}"),
                "node": a_token("node", "one"),
            }
            for namespace, pod, _ in self.rows
            for container in containers
        ]

    def stage_kinds(self, settings: Settings, folder: Path) -> None:
        series = [
            {
                "series_id": a_token("s", f"kind of {pod}"),
                "namespace": a_token("ns", namespace),
                "pod": a_token("pod", f"{namespace} {pod}"),
                "workload": a_token("wl", f"workload of {pod}"),
                "workload_kind": kind,
                "node": a_token("node", "one"),
            }
            for namespace, pod, kind in self.rows
        ]
        stage(settings, folder / "kinds", "workload", WORKLOAD_POD, series)

    def expect(self, values: Sequence[Values], containers: int = 1) -> dict[Cell, tuple[int, float]]:
        """Return what the tier must publish of gauges: plain sums of the planted numbers, by the rule in words."""
        cells: dict[Cell, list[tuple[str, float]]] = defaultdict(list)
        for n, series in enumerate(values):
            namespace, pod, kind = self.rows[n // containers]
            for point, value in enumerate(series):
                if value is not None and not math.isnan(value):
                    at = DAY + timedelta(seconds=30 * point)
                    cells[at, a_token("ns", namespace), kind].append((pod, value))
        return fold(cells)


def fold(cells: Mapping[Cell, list[tuple[str, float]]]) -> dict[Cell, tuple[int, float]]:
    shown: dict[Cell, tuple[int, float]] = {}
    for at in sorted({cell[0] for cell in cells}):
        here = {cell: rows for cell, rows in cells.items() if cell[0] == at}
        size = {cell: len({who for who, _ in rows}) for cell, rows in here.items()}
        folded = [cell for cell in here if size[cell] < K]
        others = sorted((cell for cell in here if size[cell] >= K), key=lambda cell: (size[cell], cell[1]))
        if folded and others and (len(folded) == 1 or sum(size[cell] for cell in folded) < K):
            folded.append(others.pop(0))
        for cell in others:
            shown[cell] = size[cell] // K * K, sum(value for _, value in here[cell])
        if sum(size[cell] for cell in folded) >= K:
            together = sum(size[cell] for cell in folded)
            total = sum(value for cell in folded for _, value in here[cell])
            shown[at, "other", "other"] = together // K * K, total
    return shown


def build(settings: Settings, version: str = "2026.11.0", hours: int = 1) -> ReleaseResult:
    return run_release(settings, version, clock=lambda: DAY + timedelta(days=2), start=DAY, end=DAY + hours * HOUR)


def rows_of(result: ReleaseResult, metric: str) -> list[dict[str, Any]]:
    paths = sorted(result.folder.glob(f"aggregates/*/metric={metric}/*/*.parquet"))
    return [row for path in paths for row in pq.read_table(path, partitioning=None).to_pylist()]


def cells_of(rows: Iterable[Mapping[str, Any]]) -> dict[Cell, tuple[int, float]]:
    return {
        (row["timestamp"].astimezone(UTC), row["namespace"], row["workload_kind"]): (row["entities"], row["value"])
        for row in rows
    }


def planted(count: int) -> list[Values]:
    return [[float(4 * n + point) for point in range(4)] for n in range(count)]
