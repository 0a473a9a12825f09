"""Look at everything a run needs, one by one, and say how to mend what is wrong."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from anonymize.keys import read_ring
from collector.promql import render_selector
from jobs.config import Settings
from jobs.publish.sign import read_signing_key
from jobs.registry import choose_tables
from jobs.source import OpenSource, open_source
from jobs.store import open_store, refuse_unguarded
from schemas.errors import PrivacyError, PublisherError, SourceError
from schemas.registry import read_policy
from schemas.windows import format_duration, snap_outward, to_ms

_SKEW = timedelta(seconds=30)


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. ``exit_code`` is 0 when it is well."""

    name: str
    exit_code: int
    found: str


def run_doctor(settings: Settings, *, now: datetime) -> tuple[Check, ...]:
    """Return the outcome of every check; one that fails hides no other."""
    return tuple(_checks(settings, now))


def _checks(settings: Settings, now: datetime) -> Iterator[Check]:
    opened: list[OpenSource] = []

    def source() -> str:
        opened.append(open_source(settings, now=now))
        server = opened[0].server
        lookback = format_duration(server.lookback) if server.lookback else "unknown"
        return (
            f"Prometheus {server.version or 'of unknown version'}, read by {opened[0].reader.path}, lookback {lookback}"
        )

    yield _run("source", source)
    if opened:
        yield _run("targets", lambda: _count_targets(opened[0], now))
        yield _run("clock", lambda: _compare_clocks(opened[0], now))
    for place, url in enumerate(settings.source.replicas, 1):
        yield _run(f"replica{place}", lambda url=url: _look_at_replica(settings, url, now))  # type: ignore[misc] # bound on purpose
    for name, url in (("staging", settings.staging), ("public", settings.public)):
        yield _run(name, lambda url=url: _probe_store(settings, url, now))  # type: ignore[misc] # bound on purpose
    yield _run("key", lambda: _check_key(settings, now))
    yield _run("policy", lambda: _check_policy(settings))
    if settings.publish.signing_key_file:
        yield _run("signing", lambda path=settings.publish.signing_key_file: _check_signing_key(path))  # type: ignore[misc] # bound on purpose


def _run(name: str, check: Callable[[], str]) -> Check:
    try:
        return Check(name, 0, check())
    except PublisherError as error:
        return Check(name, error.exit_code, str(error))


def _count_targets(source: OpenSource, now: datetime) -> str:
    vector = source.reader.api.query(f"count({render_selector('up', source.matchers)})", at_ms=to_ms(now))
    if not vector:
        raise SourceError(
            "no target of this source has an 'up' series now; is source.match right, and does the server scrape?"
        )
    try:
        return f"{int(float(vector[0]['value'][1]))} targets"
    except (IndexError, KeyError, TypeError, ValueError):  # what a strange server says is not repeated
        raise source.reader.api.strange("query") from None


def _look_at_replica(settings: Settings, url: str, now: datetime) -> str:
    alone = settings.source.model_copy(update={"url": url, "replicas": ()})
    source = open_source(settings.model_copy(update={"source": alone}), now=now)
    return (
        f"Prometheus {source.server.version or 'of unknown version'}, read by {source.reader.path}, "
        f"{_count_targets(source, now)}"
    )


def _compare_clocks(source: OpenSource, now: datetime) -> str:
    data = source.reader.connection.get_json("/api/v1/query", {"query": "time()"})
    try:
        skew = timedelta(seconds=abs(float(data["result"][0]) - now.timestamp()))
    except (IndexError, KeyError, OverflowError, TypeError, ValueError):
        raise source.reader.api.strange("query") from None
    if skew > _SKEW:
        raise SourceError(
            f"this clock and the server's differ by {skew.total_seconds():.0f} s; wanted at most "
            f"{_SKEW.total_seconds():.0f} s: set the clocks, or windows are read before they have settled"
        )
    return f"within {max(1, round(skew.total_seconds()))} s of the server's"


def _probe_store(settings: Settings, url: str, now: datetime) -> str:
    """Try the rights that a run needs, and that the second of two conditional writes is refused."""
    store = open_store(url, endpoint_url=settings.s3_endpoint_url)
    refuse_unguarded(store)
    next(iter(store.survey("probe/", now=now)), None)  # what retract and gc need: versions and uploads can be listed
    return f"{store.url} is writable and refuses a second conditional write"


def _check_key(settings: Settings, now: datetime) -> str:
    ring = read_ring(settings.privacy.key_file)
    ring.key_for(snap_outward(now, now + timedelta(milliseconds=1), settings.collection.window))
    return f"{len(ring.keys)} keys in the ring, one for the present"


def _check_signing_key(path: Path) -> str:
    return f"releases are signed by {read_signing_key(path).public.key_id}"


def _check_policy(settings: Settings) -> str:
    policy = read_policy(settings.privacy.policy)
    tables = choose_tables(settings)
    if problems := [problem for table in tables for problem in policy.check_table(table)]:
        raise PrivacyError(f"{problems[0]} ({len(problems)} problems in all)")
    return f"policy {policy.policy} version {policy.version} covers {len(tables)} tables"
