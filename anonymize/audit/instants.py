"""Every instant of a release is told in its own time: hours, indexes, days in texts, and no instant among the values.

One value in calendar time would undo the shift of all others, and a start to the second names a workload in any time.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from anonymize.audit.findings import Finding
from anonymize.audit.order import name_series, read_groups
from schemas.manifest import Manifest, ReleaseFile
from schemas.table import Metric, TableSchema

_HOUR_MS: Final = 3_600_000
_DAY: Final = re.compile(r"(?<![\d-])(\d{4})-(\d\d)-(\d\d)(?!\d)")
_FIRST, _LAST = 1_262_304_000, 2_100_000_000
"""Seconds since 1970 at which clusters run: 2010 to 2036, short of 2**31, which is a limit and not an instant."""
_SCALES: Final = {"seconds": 1, "milliseconds": 1_000, "microseconds": 1_000_000, "nanoseconds": 1_000_000_000}
_COUNTS: Final = frozenset({"count", "code", "1"})
"""Units of numbers that could be an instant by mistake; bytes and energies reach its size by themselves."""
_LEAST_SERIES: Final = 3
_Values = npt.NDArray[np.float64]


def check_instants(folder: Path, manifest: Manifest, tables: Mapping[str, TableSchema]) -> Iterator[Finding]:
    """Yield where an instant is not in the release's time or not on its grid.

    ``tables`` holds the registry's schema of each table. Files that cannot be read are passed over: others say so.
    """
    for instant in (manifest.start, manifest.end):
        if _to_ms(instant.timestamp()) % manifest.step_ms:
            yield Finding("manifest.json", "span-off-grid")
    for file in manifest.files:
        path = folder / file.path
        if path.is_symlink() or not path.is_file():
            continue
        try:
            yield from _check_file(file, path, manifest, tables)
        except (pa.ArrowException, OSError, KeyError):
            continue
    if manifest.time != "calendar":
        yield from _check_text(folder / "manifest.json", "manifest.json", manifest)


class InstantSearch:
    """Takes the values of one metric's file, part by part, and says how many look like an instant.

    A gauge in a unit of time is judged value by value: no age or duration is as long. Of other metrics every value must
    look so, none may move, and there must be several series: a count may be as large by chance.

    >>> seconds = Metric(name="a", type="gauge", unit="seconds", exporter="e", meaning="Some seconds.")
    >>> search = InstantSearch(seconds)
    >>> search.add(np.zeros(2, np.int64), np.array([1.79e9, 86400.0]))
    >>> search.found
    1
    """

    def __init__(self, metric: Metric) -> None:
        self.wanted = metric.unit in _SCALES or metric.unit in _COUNTS
        """Whether the metric's unit could be that of an instant at all."""
        self._scale = _SCALES.get(metric.unit, 1)
        self._by_value = metric.unit in _SCALES and metric.type == "gauge"
        self._alike = 0
        self._stands = metric.value == "exact"
        self._series: set[int] = set()
        self._last: tuple[int, float] | None = None

    @property
    def found(self) -> int:
        """How many values look like an instant and can be nothing else."""
        still = self._by_value or (self._stands and len(self._series) >= _LEAST_SERIES)
        return self._alike if self.wanted and still else 0

    def add(self, series: npt.NDArray[np.int64], values: _Values) -> None:
        """Take the next rows; ``series`` says by number whose each is."""
        if not len(values):
            return
        alike = _look_alike(values, self._scale)
        self._alike += int(np.count_nonzero(alike))
        if self._by_value or not self._stands:
            return
        told = np.isfinite(values) & (values != 0)
        if len(self._series) < _LEAST_SERIES:
            self._series.update(np.unique(series[told])[:_LEAST_SERIES].tolist())
        moves = (np.diff(series) == 0) & (np.diff(values) != 0)
        goes_on = self._last is not None and self._last[0] == series[0] and self._last[1] != values[0]
        self._stands = bool(not goes_on and not moves.any() and (alike | ~told).all())
        self._last = int(series[-1]), float(values[-1])


def _look_alike(values: _Values, unit: int) -> npt.NDArray[np.bool_]:
    """Return which values could be an instant in a unit of so many parts of a second, or in a finer one."""
    alike = np.zeros(values.shape, dtype=np.bool_)
    for scale in _SCALES.values():
        if scale >= unit:
            alike |= (values >= _FIRST * scale) & (values < _LAST * scale)
    return alike


def _check_file(
    file: ReleaseFile, path: Path, manifest: Manifest, tables: Mapping[str, TableSchema]
) -> Iterator[Finding]:
    if file.role == "coverage":
        hours = _read_times(path, "hour")
        start, end = _to_ms(manifest.start.timestamp()), _to_ms(manifest.end.timestamp())
        if off := int(np.count_nonzero(hours % _HOUR_MS)):
            yield Finding(file.path, "hour-off-grid", off)
        if outside := int(np.count_nonzero((hours <= start - _HOUR_MS) | (hours >= end))):
            yield Finding(file.path, "hour-outside-release", outside)
    elif file.role == "series":
        for name in ("first_timestamp", "last_timestamp"):
            yield from _check_times(file, _read_times(path, name), manifest)
    elif file.role == "data" and (file.table or "") in tables:
        metric = tables[file.table or ""].metric(file.metric or "")
        if found := _count_instants(metric, path):
            yield Finding(file.path, "start-like-value", found)
    elif not file.path.endswith(".parquet") and file.role != "schema" and manifest.time != "calendar":
        yield from _check_text(path, file.path, manifest)


def _count_instants(metric: Metric, path: Path) -> int:
    search = InstantSearch(metric)
    for rows in read_groups(path, ("series_id", "value")) if search.wanted else ():
        values: Any = rows.column("value").combine_chunks()
        search.add(name_series(rows), values.fill_null(0.0).to_numpy())
    return search.found


def _check_times(file: ReleaseFile, times: npt.NDArray[np.int64], manifest: Manifest) -> Iterator[Finding]:
    if off := int(np.count_nonzero(times % manifest.step_ms)):
        yield Finding(file.path, "timestamp-off-grid", off)
    start, end = _to_ms(manifest.start.timestamp()), _to_ms(manifest.end.timestamp())
    if outside := int(np.count_nonzero((times < start) | (times >= end))):
        yield Finding(file.path, "timestamp-outside-release", outside)


def _check_text(path: Path, place: str, manifest: Manifest) -> Iterator[Finding]:
    """In moved time, a day that is not of the release is one of the calendar."""
    first, last = manifest.start.date(), max(manifest.end, manifest.created).date()
    strange = 0
    for found in _DAY.finditer(path.read_text("utf-8", errors="replace")):
        try:
            strange += not first <= date(*map(int, found.groups())) <= last
        except ValueError:  # no day of any calendar
            continue
    if strange:
        yield Finding(place, "day-outside-release", strange)


def _read_times(path: Path, name: str) -> npt.NDArray[np.int64]:
    times: Any = pq.read_table(path, columns=[name], partitioning=None).column(name).combine_chunks()
    found: npt.NDArray[np.int64] = times.cast(pa.int64()).to_numpy()
    return found


def _to_ms(seconds: float) -> int:
    return round(seconds * 1000)
