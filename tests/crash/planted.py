"""A small known world in a real Prometheus: a day of two tables, and what the server itself says is in it."""

import struct
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from tests.prometheus.server import RealPrometheus
from tests.prometheus.wire import Samples

CLUSTER: Final = "crash-lab"
STEP: Final = timedelta(minutes=1)
LOAD, CPU, HUB = "node_load1", "node_cpu_seconds_total", "jupyterhub_running_servers"
METRICS: Final = (LOAD, CPU, HUB)
HOURS: Final = 26
_HOSTS: Final = 3

SeriesValues = Counter[tuple[tuple[int, bytes], ...]]
"""How often each series of these (milliseconds, bits of the value) is there. No two planted ones are equal, and no
value of one occurs again: a lost, doubled or mixed sample shows."""


@dataclass(frozen=True)
class Planted:
    """The server, and the full hour at which the planted day ends."""

    server: RealPrometheus
    now: datetime

    def truth(self, metric: str, start: datetime, end: datetime) -> SeriesValues:
        """Return what Prometheus itself answers on the grid of a span."""
        answer = self.server.query_range(
            f'{metric}{{cluster="{CLUSTER}"}}',
            start_ms=_ms(start),
            end_ms=_ms(end - STEP),
            step_ms=STEP // timedelta(milliseconds=1),
        )
        return count_series(
            ((round(1000 * float(at)), float(value)) for at, value in series["values"]) for series in answer
        )


def count_series(series: Iterable[Iterable[tuple[int, float]]]) -> SeriesValues:
    """Return series of (milliseconds, value) so that they can be compared bit for bit."""
    return Counter(tuple(sorted((at, struct.pack("<d", value)) for at, value in one)) for one in series)


def plant(server: RealPrometheus) -> Planted:
    """Write the world."""
    now = datetime.fromtimestamp(time.time() // 3600 * 3600, UTC)  # noqa: TID251 - the server takes today's samples
    times = range(_ms(now - timedelta(hours=HOURS)), _ms(now), STEP // timedelta(milliseconds=1))
    hosts = [f"host-{number}:9100" for number in range(_HOSTS)]
    identities: list[dict[str, str]] = [
        *({"__name__": LOAD, "instance": host} for host in hosts),
        *({"__name__": CPU, "instance": host, "cpu": cpu, "mode": "user"} for host in hosts for cpu in "01"),
        *({"__name__": HUB, "namespace": f"hub-{number}", "job": "hub"} for number in range(2)),
    ]
    server.write((_labels(identity), _values(number, times)) for number, identity in enumerate(identities))
    ups = ({"__name__": "up", "instance": host, "job": "node"} for host in hosts)
    server.write((_labels(up), [(at, _bits(1.0)) for at in times]) for up in ups)
    return Planted(server, now)


def _labels(identity: dict[str, str]) -> dict[str, str]:
    return {**identity, "cluster": CLUSTER}


def _values(number: int, times: range) -> Samples:
    return [(at, _bits(1e6 * (number + 1) + place + 1 / 3)) for place, at in enumerate(times)]


def _bits(value: float) -> int:
    return int(struct.unpack("<Q", struct.pack("<d", value))[0])


def _ms(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)
