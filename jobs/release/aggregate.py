"""Write the sums of one table of an aggregate release: committed runs in, one file of a metric and day out.

A day is summed window by window, so that what is held is what one window needs: its series beside one another, and
an array of groups by grid points. Only the last values of counters go on from a window to the next.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.layout import aggregate_path
from jobs.parquet import GatheredTable
from jobs.release.floats import cut_parts
from jobs.release.kinds import Kinds, KindTeller
from jobs.release.merge import Hide, Instants, Merge, begins_series, plan_merge, show_plain
from jobs.release.sums import Adder, Bools, Floats, Grouping, Ints, increases
from jobs.release.tables import MetricSums, StagedFiles, WrittenTable, describe_file
from jobs.store import Store
from schemas.aggregate import (
    AGGREGATE,
    ENTITIES,
    KIND,
    KIND_VOCABULARIES,
    NAMESPACE,
    aggregate_labels,
    aggregate_schema,
    sums_increases,
)
from schemas.arrow import data_schema
from schemas.commit import CommitRecord
from schemas.policy import OTHER
from schemas.table import LabelColumn, Metric, TableSchema
from schemas.windows import from_ms

PIECE_ROWS: Final = 2_000_000
"""Rows of a window that are added at once."""
_FIRST_ENTITIES: Final = ("pod", "node", "host")


@dataclass(frozen=True)
class SumRules:
    """How a release is summed: cells of fewer than ``k`` entities are folded, points are ``step_ms`` apart."""

    kinds: KindTeller
    k: int
    step_ms: int
    shift_ms: int


def write_aggregates(
    schema: TableSchema,
    commits: Sequence[CommitRecord],
    *,
    rules: SumRules,
    store: Store,
    cache: Path,
    root: Path,
    hide: Hide,
) -> WrittenTable:
    """Sum the committed runs of a table into files below ``root``; native histograms are left out.

    ``commits`` are told in the release's time, the staged timestamps become ``rules.shift_ms`` later.
    """
    written, staged = WrittenTable(schema), StagedFiles(store, cache)
    by_day: dict[dt.date, list[CommitRecord]] = defaultdict(list)
    for commit in sorted(commits, key=lambda record: record.window.start):
        by_day[commit.window.start.date()].append(commit)
    for metric in sorted(schema.metrics, key=lambda each: each.name):
        sums, last = MetricSums(), _Last()
        for day, records in sorted(by_day.items()):
            path = aggregate_path(schema.table, metric.name, day)
            with _SumFile(root / path, aggregate_schema(schema), sums) as file:
                for record in records:
                    with TemporaryDirectory(dir=cache) as scratch:
                        paths = staged.fetch([record], "float", metric.name)
                        summed = _sum_window(paths, record, schema, metric, rules, last, hide, Path(scratch), path)
                        file.add_window(summed)
            if file.rows:
                facts: dict[str, Any] = {"rows": file.rows, "table": schema.table, "metric": metric.name, "date": day}
                facts |= {"min_timestamp": from_ms(file.first_ms), "max_timestamp": from_ms(file.last_ms)}
                written.files.append(describe_file(root, path, AGGREGATE, **facts))
        if sums.rows:
            written.metrics[metric.name] = sums
    for path_of_staged in staged.metrics:
        path_of_staged.unlink(missing_ok=True)
    return written


@dataclass
class _Last:
    """The last value of each series of a counter in the window that ends at ``end_ms``."""

    series: Any = None
    values: Floats | None = None
    end_ms: int = 0

    def before(self, series: Any, start_ms: int) -> Floats:  # noqa: ANN401 - an Arrow array of strings
        """Return the value of each series right before a window, NaN where there is none.

        A series that is in the window under two label sets begins anew.
        """
        found = np.full(len(series), np.nan)
        if self.values is not None and self.end_ms == start_ms:
            at = pc.index_in(series, self.series).fill_null(-1).to_numpy(zero_copy_only=False)
            known = (at >= 0) & _once(series)
            found[known] = self.values[at[known]]
        return found

    def keep(self, series: Any, values: Floats, end_ms: int) -> None:  # noqa: ANN401
        """Take the last values of the window's series, NaN where there is none."""
        told = _once(series) & ~np.isnan(values)
        self.series, self.values, self.end_ms = series.filter(pa.array(told)), values[told], end_ms


def _once(series: Any) -> Bools:  # noqa: ANN401
    codes = series.dictionary_encode().indices.to_numpy()
    once: Bools = np.bincount(codes, minlength=1)[codes] == 1
    return once


def _sum_window(
    paths: Sequence[Path],
    record: CommitRecord,
    schema: TableSchema,
    metric: Metric,
    rules: SumRules,
    last: _Last,
    hide: Hide,
    scratch: Path,
    place: str,
) -> pa.Table | None:
    fields = [each for each in data_schema(schema) if each.name not in ("timestamp", "value")]
    merge = plan_merge(
        paths,
        schema,
        metric.name,
        fields=fields,
        flat=("timestamp", "value"),
        hide=hide,
        scratch=scratch,
        shift_ms=rules.shift_ms,
    )
    if merge is None:
        return None
    begins = np.flatnonzero(begins_series(merge.columns))
    columns = show_plain(merge.columns.take(begins))
    grouping, groups = group_series(columns, schema, metric, rules.kinds.of_day(record.window.start.date()))
    start_ms, span_ms = record.window.window.start_ms, record.window.window.end_ms - record.window.window.start_ms
    adder, counted = Adder(grouping, span_ms // rules.step_ms), sums_increases(metric)
    ids: Any = columns.column("series_id")
    before, ends = last.before(ids, start_ms) if counted else np.zeros(0), np.full(len(begins), np.nan)
    instants = Instants(place)
    for series, times, values in _read_pieces(merge, begins):
        instants.check(times, series)
        told = ~np.isnan(values)
        series, times, values = series[told], times[told], values[told]
        ends[series] = values  # the last of each series stays
        shown = increases(series, values, before) if counted else values
        adder.add(series, (times - start_ms) // rules.step_ms, shown)
    if counted:
        last.keep(ids, ends, start_ms + span_ms)
    return _show(adder, groups, grouping, rules, start_ms, aggregate_schema(schema))


def _read_pieces(merge: Merge, begins: Ints) -> Iterator[tuple[Ints, Ints, Floats]]:
    """Yield whole series: the number of each row's series, its timestamp and its value, NaN for null."""
    numbers = np.searchsorted(begins, np.arange(len(merge.lengths)), side="right") - 1
    for first, stop in cut_parts(merge.lengths, begins, most=PIECE_ROWS):
        rows = merge.take(merge.owners[first:stop], merge.lengths[first:stop])
        times: Any = rows.column("timestamp").combine_chunks().cast(pa.int64())
        values: Any = rows.column("value").combine_chunks().fill_null(np.nan)
        yield np.repeat(numbers[first:stop], merge.lengths[first:stop]), times.to_numpy(), values.to_numpy()


def group_series(
    columns: pa.RecordBatch, schema: TableSchema, metric: Metric, kinds: Kinds
) -> tuple[Grouping, pa.Table]:
    """Return how the series of a metric are grouped, and what each group is called: namespace, kind and labels.

    ``columns`` has a row a series, with ``series_id`` and the labels as strings. Pure.
    """
    carried = [column for column in schema.labels if column.name in metric.labels]
    namespace = _column(columns, [each for each in carried if each.identity == "namespace"])
    own_kind = [each for each in carried if each.name == KIND and each.vocabulary in KIND_VOCABULARIES]
    if own_kind:
        kind = _column(columns, own_kind)
    else:
        pods = _column(columns, [each for each in carried if each.identity == "pod"])
        pairs = zip(namespace.to_pylist(), pods.to_pylist(), strict=True)
        kind = pa.array([kinds.get(pair) for pair in pairs], pa.string())
    identities = [each for each in carried if each.identity][::-1]
    entity = _column(columns, sorted(identities, key=_rank))
    labels = [each.name for each in aggregate_labels(schema)]
    names: list[Any] = [namespace, kind, *(columns.column(name) for name in labels)]
    codes = np.stack([_codes(column) for column in names])
    unique, firsts, groups = np.unique(codes, axis=1, return_index=True, return_inverse=True)
    _, kin = np.unique(
        np.concatenate([np.zeros((1, unique.shape[1]), np.int64), unique[2:]]), axis=1, return_inverse=True
    )
    at: Any = pa.array(firsts)
    named = pa.Table.from_arrays([column.take(at) for column in names], names=[NAMESPACE, KIND, *labels])
    entities = np.where(entity.is_null().to_numpy(zero_copy_only=False), -1, _codes(entity))
    return Grouping(groups.reshape(-1), entities, kin.reshape(-1)), named


def _rank(column: LabelColumn) -> int:
    """Return which identity says best who is behind a series: a pod, else a machine, else the most specific name."""
    found = column.identity or ""
    return _FIRST_ENTITIES.index(found) if found in _FIRST_ENTITIES else len(_FIRST_ENTITIES)


def _column(columns: pa.RecordBatch, choices: Sequence[LabelColumn]) -> Any:  # noqa: ANN401 - an Arrow array of strings
    """Return for each series the first of some columns that is not null."""
    arrays: list[Any] = [columns.column(each.name) for each in choices]
    return pc.coalesce(*arrays) if arrays else pa.nulls(columns.num_rows, pa.string())


def _codes(column: Any) -> Ints:  # noqa: ANN401 - any Arrow array
    indices: Any = column.dictionary_encode(null_encoding="encode").indices
    codes: Ints = indices.to_numpy().astype(np.int64)
    return codes


def _show(
    adder: Adder, groups: pa.Table, grouping: Grouping, rules: SumRules, start_ms: int, schema: pa.Schema
) -> pa.Table:
    """Return the published cells of a window, ordered by time, then by what groups are called."""
    sums = adder.fold(k=rules.k)
    _, firsts = np.unique(grouping.kin, return_index=True)
    rests = groups.take(firsts)
    other: Any = pa.array([OTHER] * len(firsts), pa.string())
    for name in (NAMESPACE, KIND):
        rests = rests.set_column(rests.schema.get_field_index(name), name, other)
    called = pa.concat_tables([groups, rests])
    keys: Any = [(name, "ascending") for name in called.schema.names]
    order = pc.sort_indices(called, sort_keys=keys).to_numpy()
    points, places = np.nonzero(sums.shown[order].T)
    rows = order[places]
    given: dict[str, Any] = {
        "timestamp": pa.array(start_ms + points * rules.step_ms),
        ENTITIES: pa.array(sums.counts[rows, points] // rules.k * rules.k),
        "value": pa.array(sums.values[rows, points]),
    }
    taken = called.take(rows)
    arrays = [
        (given[field.name] if field.name in given else taken.column(field.name)).cast(field.type) for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


class _SumFile(GatheredTable):
    """A file of sums; there is none where there are no rows."""

    def __init__(self, path: Path, schema: pa.Schema, sums: MetricSums) -> None:
        super().__init__(path, schema)
        self.first_ms, self.last_ms = 0, 0
        self._sums = sums

    def add_window(self, rows: pa.Table | None) -> None:
        """Add the rows of a window that is later than all before it."""
        if rows is None or not rows.num_rows:
            return
        times: Any = rows.column("timestamp").cast(pa.int64()).to_numpy()
        self.first_ms = self.first_ms if self.rows else int(times[0])
        self.last_ms = int(times[-1])
        values = rows.column("value").to_numpy()
        self._sums.add(values, np.ones(len(values), dtype=np.bool_))
        self.add(rows)
