"""Make a TSDB of known series: four shapes of metrics, each of many series, with the jitter of real scrapes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from schemas.windows import Window

STEP: Final = timedelta(seconds=30)
START: Final = datetime(2026, 1, 1, tzinfo=UTC)
SERIES: Final = 500
"""Of each shape: 500 series over 24 h every 30 s are 1.44 M samples."""
_BLOCK: Final = timedelta(hours=2)  # the TSDB's own block range
_WORKERS: Final = 2


@dataclass(frozen=True)
class Shape:
    """One metric and how its values look."""

    metric: str
    type: str
    says: str


SHAPES: Final = (
    Shape("bench_cpu_seconds_total", "counter", "counter with random mantissas"),
    Shape("bench_memory_bytes", "gauge", "page-aligned gauge"),
    Shape("bench_ready", "gauge", "0/1 flag"),
    Shape("bench_temperature_celsius", "gauge", "gauge rounded to 0.1"),
)
PEER_SHAPE: Final = SHAPES[1]
"""The metric on which ours and the peer are compared."""


def make_labels(number: int) -> dict[str, str]:
    """Return the labels of one series: two containers a pod, ten pods a namespace, 20 nodes."""
    pod = number // 2
    return {
        "namespace": f"team-{pod // 10}",
        "pod": f"service-{pod // 10}-6d4cf56db6-{pod:05x}",
        "container": ("main", "sidecar")[number % 2],
        "node": f"worker-{pod % 20}.cluster.example",
        "workload": f"service-{pod // 10}",
        "device": f"nvme{number % 4}n1",
        "uid": f"{number:08x}-aaaa-4bbb-8ccc-{number * 7919:012x}",  # nobody declares it, so it is dropped
    }


def make_span(hours: int) -> Window:
    """Return the time of all samples."""
    return Window(START, START + timedelta(hours=hours))


def build_tsdb(
    promtool: Path, folder: Path, *, series: int = SERIES, hours: int = 24, shapes: Sequence[Shape] = SHAPES
) -> int:
    """Write blocks with the shapes into ``folder``; return the number of samples."""
    folder.mkdir(parents=True)
    span = make_span(hours)
    made = {shape: _make_values(shape, series, span) for shape in shapes}
    times = _make_times(series, span)
    starts = [span.start + _BLOCK * n for n in range(-1, -(-(span.end - span.start) // _BLOCK))]

    def build(start: datetime) -> int:
        return _build_block(promtool, folder, Window(start, start + _BLOCK), times, made)

    with ThreadPoolExecutor(_WORKERS) as pool:
        return sum(pool.map(build, starts))


def _make_times(series: int, span: Window) -> npt.NDArray[np.int64]:
    """Return milliseconds [series, samples]: a phase for each series, and a few milliseconds of jitter."""
    rng = np.random.default_rng(1)
    step_ms = STEP // timedelta(milliseconds=1)
    grid = np.arange(span.start_ms - step_ms, span.end_ms, step_ms)  # one more, so that the first point has a value
    late = rng.random((series, grid.size)) < 0.05
    jitter = np.where(late, rng.integers(0, 12, late.shape), 0)
    phases = rng.integers(0, step_ms - 20, (series, 1))
    return np.asarray(grid + phases + jitter, dtype=np.int64)


def _make_values(shape: Shape, series: int, span: Window) -> npt.NDArray[np.float64]:
    rng = np.random.default_rng(_seed(shape.metric))
    size = (series, (span.end - span.start) // STEP + 1)
    if shape.metric == "bench_cpu_seconds_total":
        return np.cumsum(rng.gamma(0.5, 6.0, size), axis=1) + rng.uniform(0, 1e6, (series, 1))
    if shape.metric == "bench_memory_bytes":
        pages = np.cumsum(np.where(rng.random(size) < 0.6, rng.integers(-400, 400, size), 0), axis=1)
        return np.asarray(4096.0 * (np.abs(pages) + rng.integers(10_000, 500_000, (series, 1))))
    if shape.metric == "bench_ready":
        return np.asarray((np.cumsum(rng.random(size) < 0.001, axis=1) + 1) % 2, dtype=np.float64)
    return np.asarray(np.round(45 + 0.2 * np.cumsum(rng.normal(0, 1, size), axis=1) % 40, 1))


def _seed(name: str) -> int:
    """Return a number for a name that is the same in every process."""
    return int.from_bytes(name.encode()[:16], "big") % (1 << 32)


def _build_block(
    promtool: Path,
    folder: Path,
    span: Window,
    times: npt.NDArray[np.int64],
    made: dict[Shape, npt.NDArray[np.float64]],
) -> int:
    text = folder.parent / f"{span.name}.om"
    samples = 0
    with text.open("w", encoding="utf-8") as file:
        for shape, values in made.items():
            file.write(f"# TYPE {shape.metric.removesuffix('_total')} {shape.type}\n")
            for row in range(len(values)):
                first, last = np.searchsorted(times[row], [span.start_ms, span.end_ms])
                file.writelines(_render(shape, row, times[row, first:last].tolist(), values[row, first:last].tolist()))
                samples += int(last - first)
        file.write("# EOF\n")
    command: list[str | Path] = [promtool, "tsdb", "create-blocks-from", "openmetrics", "--quiet", text, folder]
    try:
        if samples:
            subprocess.run(command, capture_output=True, check=True, timeout=600)
    finally:
        text.unlink()
    return samples


def _render(shape: Shape, row: int, times: Sequence[int], values: Sequence[float]) -> Iterator[str]:
    labels = ",".join(f'{name}="{value}"' for name, value in make_labels(row).items())
    head = f"{shape.metric}{{{labels}}} "
    return (f"{head}{value!r} {time // 1000}.{time % 1000:03d}\n" for time, value in zip(times, values, strict=True))
