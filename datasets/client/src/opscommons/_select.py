"""Which files may hold what was asked for. Pure: the manifest's entries in, some of them out."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from opscommons._documents import ReleaseFile
from opscommons._instants import milliseconds

Span = tuple[int | None, int | None]


def choose_data_files(
    files: Iterable[ReleaseFile],
    *,
    metrics: Sequence[str] | None,
    tables: Sequence[str] | None,
    span: Span = (None, None),
    native: bool = False,
) -> tuple[ReleaseFile, ...]:
    """Return the data files of these metrics and tables (``None``: all) that overlap the half-open span.

    ``native`` chooses those of native histograms instead of those of values.
    """
    roles = ("native",) if native else ("data", "aggregate")  # a release has one of the two
    return tuple(
        file
        for file in files
        if file.role in roles
        and (metrics is None or file.metric in metrics)
        and (tables is None or table_of(file) in tables)
        and overlaps(file.min_timestamp, file.max_timestamp, span)
    )


def table_of(file: ReleaseFile) -> str:
    """Return the table that a data file belongs to; native histograms lie in ``<table>_nh``."""
    table = file.table or ""
    return table.removesuffix("_nh") if file.role == "native" else table


def overlaps(first: datetime | None, last: datetime | None, span: Span) -> bool:
    """Tell whether samples from ``first`` to ``last``, both included, may lie in ``[start, end)``."""
    start, end = span
    begins_in_time = end is None or first is None or milliseconds(first) < end
    ends_in_time = start is None or last is None or milliseconds(last) >= start
    return begins_in_time and ends_in_time
