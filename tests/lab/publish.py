"""Scrape for some whole windows, then make a release by the commands that an operator types."""

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

from demo.packages import Programs
from demo.run import Demo
from demo.servers import Server, start_prometheus
from tests.lab import LabUnavailable
from tests.lab.facts import Facts, read_facts
from tests.lab.sources import Source, all_targets, render_config, render_rules

VERSION = "2026.1.0"
NAME = "lab"
_SCRAPED_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Timing:
    """How often is scraped, and how wide windows are; both in whole seconds."""

    interval: int = 5
    window: int = 60
    windows: int = 2


@dataclass(frozen=True, slots=True)
class Made:
    """A release, and what Prometheus said when it was made."""

    demo: Demo
    release: Path
    facts: Facts
    results: Mapping[str, dict[str, Any]]
    """What each command answered."""


def start_scraping(programs: Programs, folder: Path, sources: Sequence[Source], *, timing: Timing, port: int) -> Server:
    """Start a Prometheus that scrapes the sources; return it when it has asked each at least once."""
    folder.mkdir(parents=True, exist_ok=True)
    rules = folder / "rules.yml"
    rules.write_text(render_rules(), "utf-8")
    manager = next((source.targets[0].port for source in sources if source.name == "alertmanager"), None)
    config = render_config(all_targets(sources), interval=f"{timing.interval}s", rules=str(rules), alertmanager=manager)
    prometheus = start_prometheus(programs, folder, config=config, port=port)
    deadline = time.monotonic() + _SCRAPED_SECONDS
    while time.monotonic() < deadline:
        status, body = prometheus.get("/api/v1/targets?state=active")
        active = json.loads(body)["data"]["activeTargets"] if status == HTTPStatus.OK else []
        if len(active) == len(all_targets(sources)) and all(one["health"] != "unknown" for one in active):
            return prometheus
        time.sleep(0.2)
    prometheus.stop()
    raise LabUnavailable(f"Prometheus has not asked every target within {_SCRAPED_SECONDS:g} s")


def await_facts(url: str, sources: Sequence[Source], *, timing: Timing, only: Sequence[str] = ()) -> Facts:
    """Wait until whole windows have passed; return what Prometheus says of these, by all tables or ``only`` some."""
    start = math.ceil(time.time() / timing.window) * timing.window  # noqa: TID251 - windows are of the real clock
    end = start + timing.windows * timing.window
    time.sleep(max(0.0, end + 1 - time.time()))  # noqa: TID251
    return read_facts(url, sources, start=_render(start), end=_render(end), step_ms=1000 * timing.interval, only=only)


def make_release(root: Path, url: str, facts: Facts, *, timing: Timing, environment: Mapping[str, str]) -> Made:
    """Collect the span and the tables that ``facts`` are of, and build a release of them below ``root``."""
    (root / "demo").mkdir(parents=True)
    (root / ".demo").mkdir()
    (root / "demo" / f"{NAME}.yaml").write_text(_render_settings(timing, facts), "utf-8")
    demo = Demo(root, environment, url)
    demo.run(NAME, "key", "new")
    span = ("--start", facts.start, "--end", facts.end)
    results = {"snapshot": demo.run(NAME, "snapshot", *span), "release": demo.run(NAME, "release", VERSION, *span)}
    return Made(demo, Path(results["release"]["folder"]), facts, results)


def publish_release(made: Made) -> Made:
    """Audit, publish and verify a release; return it as everybody may read it."""
    results = {
        "audit": made.demo.run(NAME, "audit", str(made.release)),
        "publish": made.demo.run(NAME, "publish", VERSION),
        "verify": made.demo.run(NAME, "verify", VERSION),
    }
    return replace(made, release=made.demo.public / "releases" / VERSION, results={**made.results, **results})


def _render(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _render_settings(timing: Timing, facts: Facts) -> str:
    return json.dumps(
        {
            "source": {
                "name": NAME,
                "provenance": "simulated",  # pages stand still, whatever the servers beside them do
                "url": "http://127.0.0.1:9090",  # the lab names its own server
                "identity": "kubernetes" if facts.tells_nodes else "none",
            },
            "collection": {
                "window": f"{timing.window}s",
                "step": f"{timing.interval}s",
                "settle": "0s",
                "tables": list(facts.tables),
            },
            "privacy": {"key_file": "../.demo/opspub.key"},
            "staging": "file:../staging",
            "public": "file:../public",
            "work_dir": "../.opspub",
            "release": {"title": "The lab", "maintainer": "tests/lab", "contact": "whoever ran make lab"},
        }
    )
