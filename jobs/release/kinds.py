"""Tell of which kind the workload of each pod is: from the table workload, or else from what owns the pods."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jobs.release.groups import Suppression
from jobs.release.heads import CommitHead, read_records
from jobs.release.staged import fetch_verified, groups_of
from jobs.store import Store
from schemas.derived import OWNERS, WORKLOAD_POD
from schemas.policy import OTHER
from schemas.table import TableSchema

Pod = tuple[str | None, str | None]
"""Namespace and pod, as tokens or public names."""
Kinds = Mapping[Pod, str]
_TOLD_BY = (("workload", WORKLOAD_POD, "workload_kind"), ("pod", OWNERS, "owner_kind"))
_DAYS_HELD = 8


def tell_kinds(rows: Iterable[tuple[str | None, str | None, str | None]]) -> dict[Pod, str]:
    """Return the kind of each pod of (namespace, pod, kind); ``other`` for a pod of which two things are told. Pure.

    >>> tell_kinds([("a", "p", "notebook"), ("a", "p", "notebook"), ("a", "q", "x"), ("a", "q", "y"), ("a", "r", None)])
    {('a', 'p'): 'notebook', ('a', 'q'): 'other'}
    """
    kinds: dict[Pod, str] = {}
    for namespace, pod, kind in rows:
        if pod is not None and kind is not None:
            known = kinds.setdefault((namespace, pod), kind)
            if known != kind:
                kinds[namespace, pod] = OTHER
    return kinds


class KindTeller:
    """The kinds of the pods of each day, read when they are asked for. Hidden words stay hidden."""

    def __init__(
        self,
        commits: Sequence[CommitHead],
        schemas: Mapping[str, TableSchema],
        suppression: Suppression,
        *,
        store: Store,
        cache: Path,
    ) -> None:
        self._suppression, self._schemas, self._store, self._cache = suppression, schemas, store, cache
        self._table, self._metric, self._column = next(
            (each for each in _TOLD_BY if _is_collected(store, commits, *each[:2])), _TOLD_BY[0]
        )
        self._commits = [record for record in commits if record.table == self._table]
        self.of_day = lru_cache(_DAYS_HELD)(self._of_day)

    def _of_day(self, day: dt.date) -> Kinds:
        own = [record for record in self._commits if record.window.start.date() == day]
        return tell_kinds(
            row
            for record in own
            for file in record.files
            if file.form == "float"
            for row in self._read(fetch_verified(self._store, file, self._cache))
        )

    def _read(self, path: Path) -> Iterable[tuple[str | None, str | None, str | None]]:
        names = ["namespace", "pod", self._column]
        with pq.ParquetFile(path) as file:
            for number in groups_of(file, self._metric):
                rows = file.read_row_group(number, columns=names)
                distinct = pa.TableGroupBy(rows, names).aggregate([]).combine_chunks()
                for batch in distinct.to_batches():
                    shown = self._suppression.hide(batch, self._schemas[self._table])
                    columns: list[Any] = [pc.cast(shown.column(name), pa.string()).to_pylist() for name in names]
                    yield from zip(*columns, strict=True)


def _is_collected(store: Store, commits: Sequence[CommitHead], table: str, metric: str) -> bool:
    own = [head for head in commits if head.table == table]
    return any(
        found.metric == metric and found.rows for record in read_records(store, own) for found in record.coverage
    )
