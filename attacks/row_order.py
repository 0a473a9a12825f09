"""Read names off the order of rows: whoever sorts by raw names before hiding them publishes the order of the names.

Compared is, within each scope, the order of tokens' first rows with that of the hidden names; metric by metric, since
a metric's name says anyway that its devices are disks, say.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from attacks.knowledge import Name
from attacks.published import Published
from attacks.statistics import Floats, chance_correlation, correlate, rank
from schemas.attacks import RowOrder

LEAST = 20
"""Fewer names say nothing."""


def attack_order(
    release: Published,
    names: Mapping[str, Name],
    *,
    read: Callable[[Published], Iterator[tuple[str, pa.Table]]] | None = None,
) -> RowOrder:
    """Return the strongest correlation over all columns of what ``read`` yields, pairs of
    table and rows; by default the indexes of series."""
    found = [
        scored
        for table, rows in (read or _indexes)(release)
        for column in release.identities(table)
        if (scored := correlate_order(_fullest(rows, column), names))
    ]
    worst = max(found, key=lambda each: abs(each[0]) / chance_correlation(each[1]), default=(0.0, 0))
    return RowOrder(
        columns=len(found),
        values=worst[1],
        correlation=min(1.0, abs(worst[0])),
        chance=chance_correlation(worst[1]),
    )


def correlate_order(column: Any, names: Mapping[str, Name]) -> tuple[float, int] | None:  # noqa: ANN401 - Arrow's own
    """Return the rank correlation of first rows and names, and how many tokens it is of; ``None`` for too few."""
    first_rows = [token for token in column.unique().to_pylist() if token in names]  # in order of appearance
    groups: dict[tuple[str, ...], list[tuple[int, str]]] = defaultdict(list)
    for at, token in enumerate(first_rows):
        groups[names[token].domain, *names[token].parts[:-1]].append((at, names[token].own))
    rows, raw = [], []
    for group in groups.values():
        if len(group) > 2:
            places, own = zip(*group, strict=True)
            rows.append(_standardise(rank(places)))
            raw.append(_standardise(rank(own)))
    count = sum(map(len, rows))
    return (correlate(np.concatenate(rows), np.concatenate(raw)), count) if count >= LEAST else None


def _standardise(ranks: Floats) -> Floats:
    centred = ranks - ranks.mean()
    return np.asarray(centred / (ranks.std() or 1.0), dtype=np.float64)


def _fullest(rows: pa.Table, column: str) -> Any:  # noqa: ANN401 - Arrow's own type
    """Return a column's rows of the metric that has most tokens of it."""
    if "metric" not in rows.column_names:
        return rows.column(column)
    counts = rows.group_by("metric", use_threads=False).aggregate([(column, "count_distinct")])
    most = max(zip(*(counts.column(name).to_pylist() for name in (f"{column}_count_distinct", "metric")), strict=True))
    return rows.filter(pc.equal(rows.column("metric"), most[1])).column(column)


def _indexes(release: Published) -> Iterator[tuple[str, pa.Table]]:
    for table in release.tables:
        yield table, release.series(table)
