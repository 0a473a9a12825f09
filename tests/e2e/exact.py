"""What a release should hold by Prometheus's own answer, and what it does hold. It shares nothing with what made it."""

import json
import math
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

BLANKS = {float(base + kind) for base in (0x7FFFFFF0, 1 << 47) for kind in range(4)} | {float(1 << 63)}


def ask(url: str, path: str, **parameters: str | Sequence[str]) -> Any:  # noqa: ANN401 - JSON
    """Ask Prometheus's own API, by nothing but the standard library."""
    with urlopen(f"{url}/api/v1/{path}?{urlencode(parameters, doseq=True)}") as answer:
        return json.load(answer)["data"]


def query_range(
    url: str, selector: str, *, start: str, end: str, step_ms: int
) -> Iterator[tuple[dict[str, str], list[tuple[int, float]]]]:
    """Yield labels and the server's own values of each series, in milliseconds, on a grid that ends before ``end``."""
    step = step_ms / 1000
    last = str(datetime.fromisoformat(end).timestamp() - step)
    data = ask(url, "query_range", query=selector, start=start, end=last, step=str(step))
    for series in data["result"]:
        yield series["metric"], [(round(1000 * float(at)), float(value)) for at, value in series["values"]]


def treat(treatment: str, at_ms: int, value: float) -> float | None:
    """Do what a schema declares, written again from its documentation: an oracle that shares nothing."""
    if treatment == "blank_to_null":
        return None if value in BLANKS else value
    if treatment == "bucket" and value > 0 and math.isfinite(value):
        power = 2.0 ** math.floor(math.log2(value))
        return next(top for top in (power, 1.5 * power, 2 * power) if top >= value)
    if treatment == "age":
        return max(0.0, math.floor((at_ms / 1000 - value) / 60) * 60.0)
    return value


def treated(treatment: str, samples: list[tuple[int, float]]) -> bytes:
    """Return the fingerprint that a series has after its treatment."""
    return fingerprint([(at, treat(treatment, at, value)) for at, value in samples])


def fingerprint(samples: list[tuple[int, float | None]]) -> bytes:
    """Return bytes that differ when a timestamp or a bit of a value does; all NaN are one."""
    packed = [
        struct.pack("<q", at) + (b"null" if value is None else struct.pack("<d", math.nan if value != value else value))
        for at, value in sorted(samples, key=lambda sample: sample[0])
    ]
    return b"".join(packed)


def published_series(folder: Path, manifest: dict[str, Any], metric: str) -> Counter[bytes]:
    """Return the fingerprints of all series of a metric, from the files alone."""
    series: dict[str, list[tuple[int, float | None]]] = {}
    for file in manifest["files"]:
        if file["role"] == "data" and file["metric"] == metric:
            rows = pq.read_table(folder / file["path"], partitioning=None)
            times = np.asarray(rows.column("timestamp").cast(pa.int64()))
            names, values = rows.column("series_id").to_pylist(), rows.column("value").to_pylist()
            for name, at, value in zip(names, times.tolist(), values, strict=True):
                series.setdefault(str(name), []).append((at, value))
    return Counter(map(fingerprint, series.values()))
