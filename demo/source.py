"""Bring up the quick start's Prometheus: ``python -m demo.source up|down|status [--folder .demo]``.

The first ``up`` writes 26 hours of a simulated cluster into a new TSDB, then scrapes this machine; later ones start
or reuse what is there. ``<folder>/state.json`` says where everything is.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

from demo.backfill import backfill, refuse_used
from demo.cluster import CLUSTER, Span, build_series
from demo.cluster.span import HOUR, floor_step
from demo.errors import DemoError
from demo.packages import Programs, find_programs, read_version
from demo.servers import (
    NODE_EXPORTER,
    PROMETHEUS,
    Server,
    attach,
    find_free_port,
    start_node_exporter,
    start_prometheus,
)

BACKFILL_HOURS = 26
DEFAULT_SEED = 7
LIVE_CLUSTER = "this-machine"
LIVE_JOBS = (NODE_EXPORTER, PROMETHEUS)
SCRAPED_WITHIN = 20.0
_STATE, _PAST = "state.json", "backfill.json"


def main(argv: Sequence[str], *, environment: Mapping[str, str], now: float) -> int:
    """Run one command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m demo.source", description=__doc__)
    parser.add_argument("command", choices=("up", "down", "status"))
    parser.add_argument("--folder", type=Path, default=Path(".demo"), help="where everything is kept (%(default)s)")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="of the simulated cluster (%(default)s)")
    parser.add_argument("--hours", type=int, default=BACKFILL_HOURS, help="of simulated past (%(default)s)")
    args = parser.parse_args(argv)
    folder: Path = args.folder.resolve()
    try:
        if args.command == "status":
            return _show_status(folder)
        with _locked(folder):
            if args.command == "down":
                return _bring_down(folder)
            return _bring_up(folder, args.seed, args.hours * HOUR, environment, now)
    except DemoError as error:
        print(error, file=sys.stderr)
        return 1


def render_config(*, node_exporter_port: int, prometheus_port: int) -> str:
    """Return Prometheus's configuration: this machine, and the server itself."""
    jobs = "".join(
        f"  - job_name: {job}\n"
        f"    static_configs: [{{targets: ['127.0.0.1:{port}'], labels: {{cluster: {LIVE_CLUSTER}}}}}]\n"
        for job, port in zip(LIVE_JOBS, (node_exporter_port, prometheus_port), strict=True)
    )
    return (
        "global:\n"
        "  scrape_interval: 5s\n"
        "  scrape_timeout: 4s\n"
        "  external_labels: {prometheus_replica: prometheus-k8s-0}\n"
        f"scrape_configs:\n{jobs}"
    )


def _bring_up(folder: Path, seed: int, length: int, environment: Mapping[str, str], now: float) -> int:
    programs = find_programs(folder, environment=environment)
    past = prepare_past(folder, programs, seed, length, now)
    prometheus, exporter = attach(folder, PROMETHEUS), attach(folder, NODE_EXPORTER)
    if prometheus and exporter:
        _await_scrapes(prometheus, since=now - SCRAPED_WITHIN)
    else:
        for server in (prometheus, exporter):  # half a pair is of no use: each knows the other's port
            if server:
                server.stop()
        prometheus, exporter = _start_both(folder, programs, now)
    state = {
        "url": prometheus.url,
        "ports": {"prometheus": prometheus.port, "node_exporter": exporter.port},
        "pids": {"prometheus": prometheus.pid, "node_exporter": exporter.pid},
        "clusters": {"simulated": CLUSTER, "live": LIVE_CLUSTER},
        **past,
        "versions": {
            "prometheus": read_version(programs.prometheus),
            "node_exporter": read_version(programs.node_exporter),
        },
    }
    _write_json(folder / _STATE, state)
    print(f"Prometheus is running at {prometheus.url}")
    return 0


def _start_both(folder: Path, programs: Programs, now: float) -> tuple[Server, Server]:
    """Start both servers, on the ports that they had before if those are free; on failure none is left."""
    ports = _read_json(folder / _STATE).get("ports", {})
    with ExitStack() as undo:
        port = find_free_port(ports.get("node_exporter"))
        exporter = undo.enter_context(start_node_exporter(programs, folder, port=port))
        port = find_free_port(ports.get("prometheus"))
        config = render_config(node_exporter_port=exporter.port, prometheus_port=port)
        prometheus = undo.enter_context(start_prometheus(programs, folder, config=config, port=port))
        _await_scrapes(prometheus, since=now)  # what was scraped before a stop still answers for five minutes
        undo.pop_all()
    return prometheus, exporter


def prepare_past(folder: Path, programs: Programs, seed: int, length: int, now: float) -> dict[str, Any]:
    """Simulate and backfill unless an earlier run has done so; return what the TSDB holds of the past."""
    tsdb, record = folder / "tsdb", folder / _PAST
    if tsdb.exists() and (past := _read_json(record)):
        if past["seed"] != seed:
            print(f"the TSDB holds seed {past['seed']}; remove {folder} to simulate seed {seed}")
        return past
    refuse_used(tsdb)  # before a minute of work, not after
    end = floor_step(now)
    span = Span(end - length, end)
    begun = time.monotonic()
    series = build_series(seed, span)
    samples = sum(len(one.times) for one in series)
    print(f"simulated {samples / 1e6:.1f} M samples in {time.monotonic() - begun:.1f} s", flush=True)
    past = {
        "seed": seed,
        "backfill": {"start": _render_time(span.start), "end": _render_time(span.end)},
        "series": len(series),
        "samples": samples,
    }
    _write_json(record, past)
    begun = time.monotonic()
    written = backfill(programs.promtool, tsdb, series, span)
    print(f"wrote {written / 1e6:.1f} M samples to Prometheus's blocks in {time.monotonic() - begun:.1f} s", flush=True)
    return past


def _await_scrapes(prometheus: Server, *, since: float) -> None:
    """Wait until every live target was scraped after ``since``.

    A server whose blocks reach into the future answers queries and silently drops every scrape.
    """
    up = f'up{{cluster="{LIVE_CLUSTER}"}}'
    query = f"{up} == 1 and timestamp({up}) >= {since:.3f}"
    deadline = time.monotonic() + SCRAPED_WITHIN
    missing = set(LIVE_JOBS)
    while missing and time.monotonic() < deadline:
        status, body = prometheus.get(f"/api/v1/query?query={quote(query)}")
        if status == HTTPStatus.OK:
            answered = {result["metric"]["job"] for result in json.loads(body)["data"]["result"]}
            missing = set(LIVE_JOBS) - answered
        if missing:
            time.sleep(0.3)
    if missing:
        raise DemoError(
            f"found no scrape of {', '.join(sorted(missing))} within {SCRAPED_WITHIN:g} s, wanted up = 1; "
            f"last errors: {_read_scrape_errors(prometheus)}; "
            f"{prometheus.log} ends: {prometheus.read_log_end() or '(empty)'}"
        )


def _read_scrape_errors(prometheus: Server) -> str:
    status, body = prometheus.get("/api/v1/targets?state=active")
    if status != HTTPStatus.OK:
        return "unknown"
    targets = json.loads(body)["data"]["activeTargets"]
    return ", ".join(f"{one['labels']['job']}: {one['lastError'] or 'none'}" for one in targets)


def _bring_down(folder: Path) -> int:
    servers = [server for name in (PROMETHEUS, NODE_EXPORTER) if (server := attach(folder, name))]
    for server in servers:
        server.stop()
    print(f"stopped {' and '.join(server.name for server in servers)}" if servers else "nothing was running")
    return 0


def _show_status(folder: Path) -> int:
    running = {name: attach(folder, name) is not None for name in (PROMETHEUS, NODE_EXPORTER)}
    print(json.dumps({"running": all(running.values()), "servers": running, **_read_json(folder / _STATE)}, indent=2))
    return 0 if all(running.values()) else 1


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one command at a time work in ``folder``; the lock goes with the process."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DemoError(f"found another run at work in {folder}, wanted none; wait for it to end") from error
        yield


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write_json(path: Path, content: Mapping[str, object]) -> None:
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(json.dumps(content, indent=2) + "\n")
    partial.replace(path)


def _render_time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


if __name__ == "__main__":
    environ = dict(os.environ)  # noqa: TID251 - the one place where the demo reads the environment
    moment = time.time()  # noqa: TID251 - and the clock
    raise SystemExit(main(sys.argv[1:], environment=environ, now=moment))
