"""From configuration to a source that can be read: connection, server facts, matchers, identity frame."""

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from anonymize.identity import FRAME_METRIC, IdentityFrame, build_frame
from collector.connection import Access
from collector.coverage import read_scrapes
from collector.grid import Grid
from collector.pace import Timing
from collector.promql import Matcher, equal_matchers
from collector.reader import Reader
from collector.replicas import open_replicas
from collector.scrapes import ScrapeTimes
from collector.server import ServerInfo, find_oldest
from jobs.config import Settings
from schemas.commit import ReadInfo
from schemas.errors import SourceError, UsageError
from schemas.windows import Window, from_ms, span_ms, to_ms


@dataclass(frozen=True)
class OpenSource:
    """A source that answered."""

    settings: Settings
    reader: Reader
    server: ServerInfo
    matchers: tuple[Matcher, ...]

    @property
    def ignored_labels(self) -> frozenset[str]:
        """Labels that the server adds: they say nothing about a series and are not part of its identity."""
        source = self.settings.source
        return frozenset((*source.external_labels, *source.replica_labels))

    @property
    def read_info(self) -> ReadInfo:
        """What a commit records of how it was read."""
        return ReadInfo(
            path=self.reader.path,
            server_version=self.server.minor_version,
            lookback_ms=span_ms(self.settings.collection.lookback),
            lookback_includes_edge=self.server.lookback_includes_edge,
        )

    def earlier_clock(self, now: datetime) -> datetime:
        """Return our time or the server's, whichever is behind.

        By a clock that is ahead, hours that are yet to come would look settled, and be committed as empty for ever.
        """
        try:
            data = self.reader.connection.get_json("/api/v1/query", {"query": "time()"})
            return min(now, from_ms(round(1000 * float(data["result"][0]))))
        except (SourceError, LookupError, TypeError, ValueError):
            return now

    def oldest(self, *, now: datetime, span: Window | None) -> datetime:
        """Return since when the source has samples: in ``span``, or as far back as catching up may go."""
        collection = self.settings.collection
        since, until = (span.start, span.end) if span else (now - collection.max_catch_up, now)
        found, failures = [], []
        for api in self.reader.apis:  # of replicas one may have begun later
            try:
                found.append(find_oldest(api, self.matchers, since=since, until=until, width=collection.window))
            except SourceError as error:
                failures.append(error)
        if not found:
            raise failures[0]
        return min(found)

    def read_frame(self, grid: Grid) -> IdentityFrame:
        """Read who is who in one window; empty where the source has no cluster to tell."""
        if self.settings.source.identity == "none":
            return IdentityFrame(kubernetes=False)
        blocks = self.reader.read(FRAME_METRIC, self.matchers, grid)
        return build_frame(block.labels.rows() for block in blocks)

    def metric_names(self) -> frozenset[str] | None:
        """Return the metrics that any replica has, or ``None`` where that cannot be told.

        What is not among them need not be asked for: most of the tables' metrics are absent from any one cluster.
        """
        if self.reader.path != "remote-read":
            return None  # a gateway may answer for the last hours only
        try:
            return frozenset().union(*(api.metric_names() for api in self.reader.apis))
        except SourceError:
            return None

    def metric_types(self) -> dict[str, frozenset[str]] | None:
        """Return the types of metrics as any replica's metadata tells them; ``None`` where none does."""
        found: dict[str, frozenset[str]] = {}
        answered = False
        for api in self.reader.apis:
            try:
                for name, types in api.metric_types().items():
                    found[name] = found.get(name, frozenset()) | types
                answered = True
            except SourceError:
                continue  # a gateway may not have it: then types are unknown, and nothing is refused
        return found if answered else None

    def read_scrapes(self, grid: Grid) -> ScrapeTimes:
        """Read when the targets of the source were scraped in one window."""
        up = self.reader.choose("up", self.matchers, grid)
        return read_scrapes(up.reader, (*self.matchers, *up.matchers), grid, ignored=self.ignored_labels)


def access_from(settings: Settings) -> Access:
    """Return how the source is reached; raise ``UsageError`` when a file that this needs cannot be read."""
    source = settings.source
    auth = None
    if source.basic_auth:
        password = _read_file("basic_auth.password_file", source.basic_auth.password_file).strip()
        auth = (source.basic_auth.username, password)
    for name in ("ca_file", "cert_file", "key_file"):
        path = getattr(source.tls, name)
        if path and "ENCRYPTED" in _read_file(f"tls.{name}", path):
            raise UsageError(f"source.tls.{name} is locked with a passphrase; wanted a key without one")
    if source.tls.key_file and not source.tls.cert_file:
        raise UsageError("source.tls.key_file is set without source.tls.cert_file; wanted both, or neither")
    return Access(
        url=source.url,
        bearer_token_file=source.bearer_token_file,
        basic_auth=auth,
        ca_file=source.tls.ca_file,
        cert_file=source.tls.cert_file,
        key_file=source.tls.key_file,
        headers={name: value.get_secret_value() for name, value in source.headers.items()},
        proxy_url=source.proxy_url.get_secret_value() if source.proxy_url else None,
        timeout_seconds=source.timeout.total_seconds(),
        retries=source.retries,
    )


def _read_file(key: str, path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise UsageError(f"source.{key} cannot be read: {error.strerror}") from None
    except ValueError:
        raise UsageError(f"source.{key} is not text") from None


def open_source(settings: Settings, *, now: datetime, timing: Timing | None = None) -> OpenSource:
    """Connect, ask the server who it is, and choose how to read.

    Raise ``SourceError`` when it does not answer, and ``DeadlineReached`` when it takes longer than ``timing`` allows.
    """
    source, access = settings.source, access_from(settings)
    matchers = equal_matchers(source.match)
    reader, server = open_replicas(
        [replace(access, url=url) for url in (source.url, *source.replicas)],
        source.read,
        lookback=settings.collection.lookback,
        now_ms=to_ms(now),
        timing=timing,
        labels=source.replica_labels,
        matchers=matchers,
    )
    if settings.collection.timestamps == "raw" and reader.path != "remote-read":
        raise UsageError(
            "collection.timestamps is raw, which the query API cannot tell; wanted source.read: remote-read"
        )
    return OpenSource(settings, reader, server, matchers)


def refuse_unframed(frame: IdentityFrame, table: str) -> None:
    """Raise ``SourceError`` when a table names hosts and nothing says which node each of them is."""
    if frame.kubernetes and not frame.nodes:
        raise SourceError(
            f"table {table} has series, but {FRAME_METRIC} has none in this window, so nobody knows which node a "
            "host is; is kube-state-metrics scraped? A source without Kubernetes says source.identity: none"
        )
