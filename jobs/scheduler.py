"""The one door to APScheduler: take a snapshot whenever a window has settled, until told to stop.

The scheduler only decides when; what is due is found from the commits, so a run that was missed, late or refused
heals at the next one. Two runs never overlap, and any number of missed ones become one.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from jobs.config import Settings
from jobs.guard import locate_crash
from jobs.health import Health, start_health_server
from jobs.signals import told_to_stop
from jobs.snapshot.run import run_snapshot
from schemas.errors import PublisherError
from schemas.windows import from_ms, span_ms, to_ms

logger = logging.getLogger(__name__)


def first_run_after(now: datetime, *, width: timedelta, settle: timedelta) -> datetime:
    """Return the next instant at which a window has settled.

    >>> first_run_after(datetime(2026, 1, 1, 5, 30, tzinfo=UTC), width=timedelta(hours=1), settle=timedelta(minutes=10))
    datetime.datetime(2026, 1, 1, 6, 10, tzinfo=datetime.timezone.utc)
    """
    width_ms = span_ms(width)
    settled_ms = to_ms(now - settle)
    return from_ms((settled_ms // width_ms + 1) * width_ms) + settle


@dataclass
class Service:
    """The long-running mode: one job, its health, and a way to stop between two windows."""

    settings: Settings
    clock: Callable[[], datetime]
    health: Health
    stopped: threading.Event = field(default_factory=threading.Event)

    def take_snapshot(self) -> None:
        """Run the snapshot job once; whatever it raises is counted and logged, and the next run goes on."""
        try:
            result = run_snapshot(self.settings, clock=self.clock, stop=self.stopped.is_set)
        except PublisherError as error:
            logger.error("snapshot failed", extra={"exit_code": error.exit_code, "reason": str(error)})
            self.health.failed(error.exit_code, at=self.clock())
        except Exception as error:  # a defect must not be silent, and its text may hold what must not be read
            logger.error("snapshot failed", extra={"exit_code": 1, "where": locate_crash(error)})
            self.health.failed(1, at=self.clock())
        else:
            logger.info("snapshot done", extra={"commits": result.commits, "rows": result.rows})
            self.health.succeeded(commits=result.commits, rows=result.rows, at=self.clock())

    def serve(self, *, host: str, port: int) -> None:
        """Run at once, then whenever a window has settled; return after SIGTERM or SIGINT."""
        collection = self.settings.collection
        begin = first_run_after(self.clock(), width=collection.window, settle=collection.settle)
        trigger = IntervalTrigger(seconds=int(collection.window.total_seconds()), start_date=begin, timezone=UTC)
        scheduler = BackgroundScheduler(timezone=UTC)
        scheduler.add_job(
            self.take_snapshot,
            trigger,
            next_run_time=self.clock(),
            max_instances=1,
            coalesce=True,
            misfire_grace_time=None,  # a late run is as good as one in time
        )
        with told_to_stop(self.stopped), start_health_server(self.health, host=host, port=port) as address:
            scheduler.start()
            logger.warning("serving", extra={"address": address, "next": begin.isoformat()})
            self.stopped.wait()
            scheduler.shutdown(wait=True)
