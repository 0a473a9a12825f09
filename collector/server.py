"""What the server says of itself: version, lookback, and since when a source has samples."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from collector.client import QueryApi
from collector.connection import Connection
from collector.promql import Matcher, render_selector
from schemas.errors import SourceError, UsageError
from schemas.windows import format_duration, from_ms, parse_duration, span_ms, to_ms

_VERSION: Final = re.compile(r"[0-9]+(\.[0-9]+){1,3}")
"""What is kept of a version: it goes into commits and releases, and a build of one's own may say whose it is."""


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """Facts from the status API; ``None`` where the server does not offer them."""

    version: str | None
    lookback: timedelta | None
    retention: timedelta | None = None
    """How long samples are kept; ``None`` too where only their size is bounded."""

    @property
    def minor_version(self) -> str | None:
        """Major and minor version: all that a rule depends on, and no more than may be told."""
        return ".".join(self.version.split(".")[:2]) if self.version else None

    @property
    def lookback_includes_edge(self) -> bool:
        """Whether a sample exactly one lookback old still counts: so in 2.x, no longer in 3.x."""
        return (self.version or "2").partition(".")[0] in ("0", "1", "2")


def read_server_info(connection: Connection) -> ServerInfo:
    """Ask the server for its version, flags and retention; one without a status API is no error, no server is."""
    found = _VERSION.match(_read_status(connection, "/api/v1/status/buildinfo", "version") or "")
    lookback = _read_status(connection, "/api/v1/status/flags", "query.lookback-delta")
    # the flags say 0s where the default holds; this is what holds
    retention = _read_status(connection, "/api/v1/status/runtimeinfo", "storageRetention")
    try:
        lookback_delta = parse_duration(lookback) if lookback else None
    except ValueError:  # it would quote the server
        raise SourceError(f"{connection.place} gives a query.lookback-delta that is not a duration") from None
    return ServerInfo(found[0] if found else None, lookback_delta, parse_retention(retention or ""))


def parse_retention(text: str) -> timedelta | None:
    """Return the time in what Prometheus says of its retention, if there is one.

    >>> [parse_retention(text) for text in ("15d", "30d or 512MB", "512MB", "")]
    [datetime.timedelta(days=15), datetime.timedelta(days=30), None, None]
    """
    try:
        return parse_duration(text.partition(" or ")[0]) or None
    except ValueError:
        return None


def check_lookback(info: ServerInfo, configured: timedelta) -> None:
    """Raise ``UsageError`` when the server looks back farther or less far than configured."""
    if info.lookback is not None and info.lookback != configured:
        raise UsageError(
            f"the server's query.lookback-delta is {format_duration(info.lookback)}, collection.lookback is "
            f"{format_duration(configured)}; set collection.lookback to the server's"
        )


def find_oldest(
    api: QueryApi, matchers: Sequence[Matcher], *, since: datetime, until: datetime, width: timedelta
) -> datetime:
    """Return the first multiple of ``width`` in [since, until] at which a target of the source is up or down.

    A source that began after the last multiple has nothing that is whole yet: then that is ``until``. One without
    any ``up`` is refused, since a wrong selector would otherwise commit every window as empty.
    """
    width_ms = span_ms(width)
    first = -(-to_ms(since) // width_ms) * width_ms
    last = to_ms(until) // width_ms * width_ms
    most = 10_000 * width_ms
    while first <= last:
        matrix = api.query_range(
            f"count({render_selector('up', matchers)})",
            start_ms=first,
            end_ms=min(last, first + most),
            step_ms=width_ms,
        )
        if matrix:
            return from_ms(int(matrix[0].times_ms[0]))
        first += most + width_ms
    if api.query(f"count({render_selector('up', matchers)})", at_ms=to_ms(until)):
        return until
    raise SourceError(
        "no target of this source has an 'up' series in the time that could be collected; "
        "is source.match right, and does the server scrape?"
    )


def _read_status(connection: Connection, path: str, key: str) -> str | None:
    try:
        data = connection.get_json(path)
    except SourceError as error:
        if "answered 404" in str(error) or "answered 405" in str(error):
            return None
        raise
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, str) else None
