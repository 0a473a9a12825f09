"""From configuration to a source that can be read: connection, server facts, matchers, identity frame."""

from dataclasses import dataclass
from datetime import datetime

from anonymize.identity import FRAME_METRIC, IdentityFrame, build_frame
from collector.connection import Access, Connection
from collector.grid import Grid
from collector.promql import Matcher, equal_matchers
from collector.reader import Reader, choose_reader
from collector.server import ServerInfo, check_lookback, find_oldest, read_server_info
from jobs.config import Settings
from schemas.commit import ReadInfo
from schemas.errors import SourceError, UsageError
from schemas.windows import Window, span_ms, to_ms


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

    def oldest(self, *, now: datetime, span: Window | None) -> datetime:
        """Return since when the source has samples: in ``span``, or as far back as catching up may go."""
        collection = self.settings.collection
        since, until = (span.start, span.end) if span else (now - collection.max_catch_up, now)
        return find_oldest(self.reader.api, self.matchers, since=since, until=until, width=collection.window)

    def read_frame(self, grid: Grid) -> IdentityFrame:
        """Read who is who in one window; empty where the source has no cluster to tell."""
        if self.settings.source.identity == "none":
            return IdentityFrame(kubernetes=False)
        blocks = self.reader.read(FRAME_METRIC, self.matchers, grid)
        return build_frame(labels for block in blocks for labels in block.labels)


def access_from(settings: Settings) -> Access:
    """Return how the source is reached; raise ``UsageError`` when a password file cannot be read."""
    source = settings.source
    auth = None
    if source.basic_auth:
        try:
            password = source.basic_auth.password_file.read_text("utf-8").strip()
        except OSError as error:
            raise UsageError(f"source.basic_auth.password_file cannot be read: {error.strerror}") from None
        auth = (source.basic_auth.username, password)
    return Access(
        url=source.url,
        bearer_token_file=source.bearer_token_file,
        basic_auth=auth,
        ca_file=source.tls.ca_file,
        cert_file=source.tls.cert_file,
        key_file=source.tls.key_file,
        headers={name: value.get_secret_value() for name, value in source.headers.items()},
        timeout_seconds=source.timeout.total_seconds(),
    )


def open_source(settings: Settings, *, now: datetime) -> OpenSource:
    """Connect, ask the server who it is, and choose how to read; raise ``SourceError`` when it does not answer."""
    connection = Connection(access_from(settings))
    server = read_server_info(connection)
    check_lookback(server, settings.collection.lookback)
    reader = choose_reader(connection, settings.source.read, now_ms=to_ms(now))
    return OpenSource(settings, reader, server, equal_matchers(settings.source.match))


def refuse_unframed(frame: IdentityFrame, table: str) -> None:
    """Raise ``SourceError`` when a table names hosts and nothing says which node each of them is."""
    if frame.kubernetes and not frame.nodes:
        raise SourceError(
            f"table {table} has series, but {FRAME_METRIC} has none in this window, so nobody knows which node a "
            "host is; is kube-state-metrics scraped? A source without Kubernetes says source.identity: none"
        )
