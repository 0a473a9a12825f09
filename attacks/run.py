"""``make attack``: build two releases of a simulated cluster, attack them, print a table, write the reports.

``reports/attack.json`` and ``demo/attacks.json`` are the same report: the second is what the demo's card,
docs/privacy.md and the README print.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from anonymize.keys import read_ring
from attacks.curves import Curves, Entity, simulate_curves
from attacks.knowledge import LabelSet, Truth, learn_truth, pseudonymizer_of
from attacks.measure import (
    Known,
    Material,
    describe_material,
    measure_channels,
    measure_names,
    measure_relinking,
    measure_values,
)
from attacks.published import Published
from attacks.render import render_report
from attacks.scraped import INTERVAL_MS, Scraped, scrape_targets
from attacks.world import SOURCE, START, Publisher, hours_after_start, make_publisher, serve_cluster
from benchmarks.machine import describe_machine, read_commit
from demo.cluster import CLUSTER, Span
from demo.cluster.nodes import build_nodes
from demo.cluster.world import World
from demo.errors import DemoError
from demo.packages import find_programs
from demo.servers import Server
from demo.source import DEFAULT_SEED
from schemas.attacks import AttackReport, Machine
from schemas.digest import readable_json
from schemas.registry import latest_tables, read_policy

REPOSITORY: Final = Path(__file__).resolve().parents[1]
HOURS: Final = 24
"""Of each release."""
FURTHER_CLUSTERS: Final = 64


def main(argv: Sequence[str]) -> int:
    """Measure everything, write the reports and print the table."""
    parser = argparse.ArgumentParser(prog="python -m attacks.run", description=__doc__)
    parser.add_argument("--hours", type=int, default=HOURS, help="of each release (%(default)s)")
    parser.add_argument("--further", type=int, default=FURTHER_CLUSTERS, help="simulated clusters beside (%(default)s)")
    parser.add_argument("--report", type=Path, default=REPOSITORY / "reports/attack.json")
    parser.add_argument("--demo", type=Path, default=REPOSITORY / "demo/attacks.json")
    args = parser.parse_args(argv)
    begun = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="opscommons-attack-") as name:
            measured = measure_all(Path(name), hours=args.hours, further=args.further)
    except DemoError as error:
        print(error, file=sys.stderr)
        return 1
    report = AttackReport(
        commit=read_commit(REPOSITORY),
        measured=datetime.now(UTC).date(),  # noqa: TID251 - an entry point
        seconds=round(time.monotonic() - begun),
        machine=Machine.model_validate(describe_machine()),
        **measured,
    )
    for path in (args.report, args.demo):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(readable_json(report))
    if args.demo == REPOSITORY / "demo/attacks.json":
        from docs.generate import main as write_pages  # the pages print the report's figures

        write_pages()
    print("\n".join(render_report(report)))
    return 0


def measure_all(folder: Path, *, hours: int, further: int) -> dict[str, Any]:
    """Build the releases below ``folder`` and return what each attack gave."""
    programs = find_programs(REPOSITORY / ".demo", environment=dict(os.environ))  # noqa: TID251 - PROMETHEUS_BIN
    with scrape_targets(programs, folder / "scraped") as scraped:
        _say("simulating and serving a cluster")
        with serve_cluster(programs, folder / "cluster", seed=DEFAULT_SEED, hours=2 * hours) as server:
            material = _build(folder, server, scraped, hours=hours, further=further)
    found: dict[str, Any] = {"on": describe_material(material)}
    _say("attacking names")
    found |= measure_names(material.first, folder / "copies")
    _say("attacking times, orders, sizes and values")
    found |= measure_channels(material, folder / "copies") | measure_values(material, folder / "copies")
    _say("linking what two keys hide")
    return found | measure_relinking(material)


def _build(folder: Path, server: Server, scraped: Scraped, *, hours: int, further: int) -> Material:
    middle, end = hours_after_start(hours), hours_after_start(2 * hours)
    quarter = hours_after_start(hours - hours // 4)
    first, second = (make_publisher(folder, name, server.url) for name in ("first", "second"))
    _say("building two releases under two keys")
    releases = [
        first.publish("2026.1.0", START, middle),
        second.publish("2026.1.0", middle, end),
        second.publish("2026.1.1", quarter, middle),
    ]
    _say("asking who is who")
    asked = {"match[]": f'{{cluster="{CLUSTER}"}}', "start": START.isoformat(), "end": end.isoformat()}
    _, body = server.get(f"/api/v1/series?{urlencode(asked)}")
    label_sets = list(json.loads(body)["data"])
    scraped.wait()
    return Material(
        first=Known(Published(releases[0]), _learn(first, label_sets)),
        second=Known(Published(releases[1]), _learn(second, label_sets)),
        overlapping=Published(releases[2]),
        policy=read_policy("default"),
        starts_ms=_raw_starts(hours),
        capacities={node.name: node.memory_bytes for node in build_nodes(DEFAULT_SEED)},
        grid_times=scraped.take("grid"),
        raw_times=scraped.take("raw"),
        interval_ms=INTERVAL_MS,
        further=_simulate(further, hours),
    )


def _learn(publisher: Publisher, label_sets: Sequence[LabelSet]) -> Truth:
    (entry, _) = next(iter(read_ring(publisher.key_file).living()))
    return learn_truth(
        label_sets,
        tables=latest_tables().values(),
        policy=read_policy("default"),
        pseudonymizer=pseudonymizer_of(entry.key),
        source=SOURCE,
    )


def _raw_starts(hours: int) -> Mapping[Entity, int]:
    begin = int(START.timestamp())
    pods = World(DEFAULT_SEED, Span(begin, begin + hours * 3600)).pods
    return {(pod.namespace, pod.name): pod.started * 1000 for pod in pods}


def _simulate(clusters: int, hours: int) -> tuple[Curves, Curves]:
    """Return the curves of further clusters in both spans; their number stands before their names."""
    _say(f"simulating the containers of {clusters} further clusters")
    begin, width = int(START.timestamp()), hours * 3600
    both: tuple[dict[Entity, Any], dict[Entity, Any]] = ({}, {})
    for number in range(clusters):
        for at, found in enumerate(both):
            curves = simulate_curves(DEFAULT_SEED + 1 + number, begin + at * width, begin + (at + 1) * width)
            found |= {(str(number), *entity): each for entity, each in curves.items()}
    return both


def _say(what: str) -> None:
    print(f"{what} ...", flush=True)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
