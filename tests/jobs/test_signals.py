"""A pod that is told to end ends within its grace period, with what was committed kept."""

import signal
import socket
import subprocess
import threading

import yaml

from jobs.signals import told_to_stop
from tests.jobs.bench import OPSPUB, Bench


def test_sigterm_ends_a_snapshot_in_the_middle_of_a_hanging_read(bench: Bench) -> None:
    """Kubernetes kills what has not ended 30 seconds after SIGTERM; a server that says nothing must not hold it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        bench.set("source", url=f"http://127.0.0.1:{server.getsockname()[1]}")
        config = bench.folder / "opspub.yaml"
        config.write_text(yaml.safe_dump(bench.config))
        process = subprocess.Popen(
            [OPSPUB, "--config", config, "snapshot"], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        connection, _ = server.accept()
        with connection:
            assert connection.recv(1)  # it has asked, and waits
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=20)

    assert process.returncode == 8
    assert "told to stop; nothing was begun, the next run goes on" in said
    assert "Traceback" not in said


def test_the_second_signal_ends_at_once() -> None:
    before = signal.getsignal(signal.SIGTERM)

    with told_to_stop() as stopped:
        assert signal.getsignal(signal.SIGTERM) != before
        signal.raise_signal(signal.SIGTERM)
        assert stopped.is_set()
        assert signal.getsignal(signal.SIGTERM) == before


def test_signals_mean_what_they_meant_when_the_work_is_done() -> None:
    before = signal.getsignal(signal.SIGINT)
    event = threading.Event()

    with told_to_stop(event) as stopped:
        assert stopped is event

    assert signal.getsignal(signal.SIGINT) == before
    assert not event.is_set()
