"""Servers outlive their starter, are found again, and nobody else's process is ever stopped."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from demo import source
from demo.cluster import STEP
from demo.cluster.span import HOUR
from demo.errors import DemoError
from demo.packages import Programs, find_programs
from demo.servers import NODE_EXPORTER, PROMETHEUS, attach, find_free_port, is_running, start_prometheus
from tests.demo.builders import END, REPOSITORY, SEED
from tests.store.places import FULL

NO_TARGETS = "scrape_configs: []\n"


def test_a_stale_record_never_stops_somebody_elses_process(tmp_path: Path) -> None:
    """The system gives process ids out again; a folder whose name begins alike is not ours either."""
    flag = f"--storage.tsdb.path={tmp_path}-other/tsdb"
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", flag]) as stranger:
        (tmp_path / f"{PROMETHEUS}.json").write_text(json.dumps({"pid": stranger.pid, "port": 9090}))

        assert attach(tmp_path) is None
        assert source.main(["down", "--folder", str(tmp_path)], environment={}, now=0.0) == 0

        assert stranger.poll() is None
        stranger.kill()


def test_a_started_server_is_found_and_stopped_by_its_folder(programs: Programs, tmp_path: Path) -> None:
    flags = ["--web.enable-remote-write-receiver", "--storage.tsdb.retention.time=5d"]

    with start_prometheus(programs, tmp_path, config=NO_TARGETS, flags=flags) as server:
        assert attach(tmp_path) == server
        assert server.get("/-/ready")[0] == 200
        assert b'"5d"' in server.get("/api/v1/status/flags")[1]
        with pytest.raises(DemoError, match="stop it first"):
            start_prometheus(programs, tmp_path, config=NO_TARGETS)

    assert not is_running(tmp_path)
    assert server.get("/-/ready")[0] == 0


def test_a_server_that_cannot_start_says_why(programs: Programs, tmp_path: Path) -> None:
    with pytest.raises(DemoError, match=r"ended with code \d+.*it said: .*nonsense"):
        start_prometheus(programs, tmp_path, config="nonsense: 1\n")

    assert not is_running(tmp_path)


def test_a_wanted_port_is_kept_while_it_is_free() -> None:
    port = find_free_port()

    assert find_free_port(port) == port


def test_a_prometheus_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match="found no program at PROMETHEUS_BIN=/nowhere/prometheus"):
        find_programs(tmp_path, environment={"PROMETHEUS_BIN": "/nowhere/prometheus"})


@pytest.mark.skipif(not FULL, reason="tests/e2e has it in its world: make test-full")
def test_the_source_comes_up_on_its_past_and_goes_down(programs: Programs, tmp_path: Path) -> None:
    """What is simulated is written once; bringing the servers up must not write it again."""
    environment = {"PROMETHEUS_BIN": str(programs.prometheus), "PATH": str(programs.node_exporter.parent)}

    def run(command: str) -> int:
        return source.main([command, "--folder", str(tmp_path)], environment={}, now=0.0)

    past = source.prepare_past(tmp_path, programs, SEED, HOUR, END)
    blocks = sorted(path.name for path in (tmp_path / "tsdb").iterdir())
    assert run("status") == 1
    try:
        whole = [sys.executable, "-m", "demo.source", "up", "--folder", str(tmp_path)]
        subprocess.run(whole, cwd=REPOSITORY, env=environment, check=True)  # the servers outlive this process

        state = json.loads((tmp_path / "state.json").read_text())
        server = attach(tmp_path)
        assert server is not None
        assert (server.url, server.pid) == (state["url"], state["pids"]["prometheus"])
        assert {name: state[name] for name in past} == past
        assert state["backfill"] == {"start": "2026-11-23T18:00:00Z", "end": "2026-11-23T19:00:00Z"}
        assert set(blocks) <= {path.name for path in (tmp_path / "tsdb").iterdir()}
        answer = server.get(f"/api/v1/query?query=count(kube_node_info)&time={END - STEP}")[1]
        assert b'"18"' in answer
        assert run("status") == 0
    finally:
        assert run("down") == 0
    assert not is_running(tmp_path)
    assert not is_running(tmp_path, NODE_EXPORTER)
