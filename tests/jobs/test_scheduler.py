"""The long-running mode: when it runs, what it counts, and that it stops when told."""

from datetime import UTC, datetime, timedelta
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from jobs.health import Health, start_health_server
from jobs.scheduler import first_run_after

MOMENT = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "wanted"),
    [("05:30", "06:10"), ("06:09", "06:10"), ("06:10", "07:10"), ("23:59", "00:10")],
)
def test_a_run_begins_when_a_window_has_settled(now: str, wanted: str) -> None:
    """Earlier it would find nothing due, later it would only be late."""
    hour, minute = map(int, now.split(":"))

    found = first_run_after(
        MOMENT.replace(hour=hour, minute=minute), width=timedelta(hours=1), settle=timedelta(minutes=10)
    )

    assert f"{found:%H:%M}" == wanted


def test_health_and_metrics_are_served() -> None:
    """The kubelet asks one, Prometheus the other: a publisher of metrics has some of its own."""
    health = Health()
    health.succeeded(commits=7, rows=100, at=MOMENT)
    health.failed(3, at=MOMENT + timedelta(hours=1))

    with start_health_server(health, host="127.0.0.1", port=0) as address:
        with urlopen(f"{address}/healthz") as answer:
            assert answer.read() == b"ok\n"
        with urlopen(f"{address}/metrics") as answer:
            text = answer.read().decode()
        with pytest.raises(HTTPError, match="404") as refused:
            urlopen(f"{address}/nothing")
        refused.value.close()

    assert 'opspub_snapshot_runs_total{exit_code="0"} 1.0' in text
    assert 'opspub_snapshot_runs_total{exit_code="3"} 1.0' in text
    assert "opspub_rows_total 100.0" in text
