"""Real exporters and servers on one machine, a release of them, and whether it is right: ``make lab`` runs this.

First everything is installed, then the lab runs in namespaces of its own, where the loopback is all that there is.
The exit code is 0 if all is well, 1 if something is wrong with a release or a server, and 2 if all is well of what
could be had, but something could not.
"""

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from http.client import HTTPException
from pathlib import Path

from demo.errors import DemoError
from demo.packages import Programs, find_programs, read_version
from demo.servers import find_free_port, start_node_exporter
from tests.lab import LabUnavailable
from tests.lab.check import check_drift, check_release, check_sources, describe_tables
from tests.lab.isolation import bring_up_loopback, can_isolate, is_inside, run_inside
from tests.lab.pages import ROOT, find_folder, plan_sources, read_pages, serve_pages
from tests.lab.place import Place
from tests.lab.publish import Timing, await_facts, make_release, publish_release, start_scraping
from tests.lab.report import Report, render_report
from tests.lab.servers import Server, alertmanager, etcd, jupyterhub, kserve, mlserver, ray, spark
from tests.lab.sources import Source, Target

SERVERS: Sequence[Server] = tuple(
    module.SERVER for module in (alertmanager, etcd, jupyterhub, kserve, mlserver, ray, spark)
)
REPORT = ROOT / "reports" / "lab.json"
NO_PAGES = "found no captured pages; name their folder in OPSCOMMONS_EXPOSITIONS"


def main(arguments: Sequence[str], *, environment: Mapping[str, str]) -> int:
    """Run the lab and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.run", description=__doc__)
    parser.add_argument("--only", action="append", choices=[server.name for server in SERVERS], help="of the servers")
    parser.add_argument("--windows", type=int, default=Timing().windows, help="of a minute each (%(default)s)")
    parser.add_argument("--missing", type=json.loads, default={}, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    home = ROOT / ".demo" / "lab"
    servers = [server for server in SERVERS if server.name in (given.only or [each.name for each in SERVERS])]
    try:
        if is_inside(environment):
            bring_up_loopback()
            return run_lab(home, servers, Timing(windows=given.windows), given.missing, environment)
        missing = install(home, servers, environment)
        if can_isolate():
            return run_inside("tests.lab.run", [*arguments, "--missing", json.dumps(missing)], environment)
        reason = "it listens on every address, and this machine gives no network of its own to keep it in"
        missing |= {server.name: reason for server in servers if server.listens_widely}
        return run_lab(home, servers, Timing(windows=given.windows), missing, environment)
    except (DemoError, LabUnavailable) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1


def install(home: Path, servers: Sequence[Server], environment: Mapping[str, str]) -> dict[str, str]:
    """Install everything; return what cannot be had, with the reason."""
    missing = {}
    find_programs(ROOT / ".demo", environment=environment)
    for server in servers:
        try:
            server.install(home, environment)
        except LabUnavailable as error:
            missing[server.name] = str(error)
    return missing


def run_lab(
    home: Path, servers: Sequence[Server], timing: Timing, missing: Mapping[str, str], environment: Mapping[str, str]
) -> int:
    """Start all, make a release, check and report it; return the exit code. Whatever happens, all is stopped."""
    begun, missing = time.monotonic(), dict(missing)
    folder = home / "run"
    shutil.rmtree(folder, ignore_errors=True)
    programs = find_programs(ROOT / ".demo", environment=environment)
    with ExitStack() as stack:
        with Place(home, folder, environment) as place:
            pages = read_pages(shared) if (shared := find_folder(environment)) else {}
            if not pages:
                missing["captured pages"] = NO_PAGES
            sources = start_basics(stack, programs, folder, pages, port := find_free_port())
            sources += start_servers(place, [server for server in servers if server.name not in missing], missing)
            print(
                f"scraping {len(sources)} sources for {timing.windows} whole windows of {timing.window} s", flush=True
            )
            prometheus = start_scraping(programs, folder / "prometheus", sources, timing=timing, port=port)
            stack.enter_context(prometheus)
            facts = await_facts(prometheus.url, sources, timing=timing)
        print("the servers are stopped; making a release of what Prometheus has", flush=True)
        made = make_release(folder / "publisher", prometheus.url, facts, timing=timing, environment=environment)
        made = publish_release(made)  # while Prometheus is there: an audit looks for the label values that it has
    without = f"without {', '.join(sorted(missing))}" if missing else ""
    found = [*check_sources(facts, sources), *check_release(facts, made.release, without=without)]
    found += check_drift(made.results["snapshot"]["drift"])
    rows = describe_tables(facts, made.release, without=without)
    report = Report(sources, rows, missing, found, made, time.monotonic() - begun)
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(report.as_json(), indent=1) + "\n", "utf-8")
    print(render_report(report), flush=True)
    return report.exit_code


def start_basics(
    stack: ExitStack, programs: Programs, folder: Path, pages: Mapping[str, bytes], prometheus_port: int
) -> list[Source]:
    """Start what needs no environment of its own: node_exporter and the captured pages; Prometheus scrapes itself."""
    loopback = ["--collector.netdev.device-exclude=^$"]  # the only interface in a network of its own
    exporter = stack.enter_context(start_node_exporter(programs, folder / "node-exporter", flags=loopback))
    own = {"instance": "prometheus.lab.test:9090", "namespace": "monitoring", "pod": "prometheus-lab-0"}
    target = Target("node-exporter", exporter.port, labels={"instance": "machine.lab.test:9100"})
    itself = Target("prometheus", prometheus_port, labels=own)
    versions = [read_version(program) for program in (programs.node_exporter, programs.prometheus)]
    sources = [
        Source("node_exporter", "real", versions[0], (target,), frozenset({"node"}), ("node_exporter",)),
        Source("prometheus", "real", versions[1], (itself,), frozenset({"alert", "scrape"}), ("Prometheus",)),
    ]
    return [*sources, *plan_sources(pages, port=stack.enter_context(serve_pages(pages)))]


def start_servers(place: Place, servers: Sequence[Server], missing: dict[str, str]) -> list[Source]:
    """Start servers side by side, then wait for each; note in ``missing`` those that do not work."""
    started = {}
    for server in servers:
        print(f"starting {server.name}", flush=True)
        try:
            started[server.name] = server.start(place)
        except LabUnavailable as error:
            missing[server.name] = str(error)
    sources = []
    for name, one in started.items():
        try:
            one.finish()
            sources.append(one.source)
        except (LabUnavailable, OSError, HTTPException, KeyError, ValueError) as error:
            missing[name] = f"does not work here: {error}"
    return sources


if __name__ == "__main__":
    environ = dict(os.environ)  # noqa: TID251 - the entry point reads the environment once
    raise SystemExit(main(sys.argv[1:], environment=environ))
