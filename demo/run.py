"""The quick start: ``make demo`` runs this. From nothing to two public releases, by the commands a person would type.

The state lives in ``./.demo``, the staging stores in ``./staging``, the public store in ``./public``. A second run
reuses the running server, collects what is new and releases under the next free version. With ``PROMETHEUS_URL``
set it collects from that server instead and starts none.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from demo.errors import DemoError
from demo.source import BACKFILL_HOURS
from demo.source import main as bring_source

ROOT = Path(__file__).parent.parent
REAL_WINDOWS = 2
WAIT_SECONDS = 240.0
SHOWN = ("DCGM_FI_DEV_GPU_UTIL", "node_load1")  # what a first look should show, if it is there


@dataclass(frozen=True)
class Demo:
    """Where this demo keeps its things, and which server it reads."""

    root: Path
    environment: Mapping[str, str]
    url: str

    @property
    def folder(self) -> Path:
        """The servers, their state and the key."""
        return self.root / ".demo"

    @property
    def public(self) -> Path:
        """The public store."""
        return self.root / "public"

    def show(self, config: str, *arguments: str) -> dict[str, Any]:
        """Say a command as a person would type it, run it, and return its result."""
        print(f"\n$ {' '.join(('opspub', '--config', f'demo/{config}.yaml', *arguments))}", flush=True)
        return self.run(config, *arguments)

    def run(self, config: str, *arguments: str) -> dict[str, Any]:
        """Run a command and return its result; stop the demo when it fails."""
        opspub = Path(sys.executable).with_name("opspub")
        ran = subprocess.run(
            [opspub, "--config", self.root / "demo" / f"{config}.yaml", *arguments, "--json"],
            env={**self.environment, "OPSPUB_SOURCE__URL": self.url},
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        if ran.returncode:
            raise DemoError(
                f"'opspub {arguments[0]}' ended with exit code {ran.returncode}; what it found stands above"
            )
        result: dict[str, Any] = json.loads(ran.stdout)
        return result


def main(environment: Mapping[str, str], *, root: Path = ROOT, hours: int = BACKFILL_HOURS) -> int:
    """Run the whole demo below ``root`` and say what was made; return the exit code."""
    begun = time.monotonic()
    try:
        given = environment.get("PROMETHEUS_URL")
        demo = Demo(root, environment, given or _start_source(root / ".demo", environment, hours))
        if not (demo.folder / "opspub.key").exists():
            demo.show("own" if given else "sim", "key", "new")
        releases = [_run_own(demo)] if given else _run_both(demo)
        _say_what_was_made(demo, releases, seconds=time.monotonic() - begun)
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0


def _start_source(folder: Path, environment: Mapping[str, str], hours: int) -> str:
    print("starting Prometheus and node_exporter beside a simulated cluster", flush=True)
    arguments = ["up", "--folder", str(folder), "--hours", str(hours)]
    if bring_source(arguments, environment=environment, now=time.time()):  # noqa: TID251 - an entry point
        raise DemoError("the source did not start; what it found stands above")
    return str(_read_state(folder)["url"])


def _run_both(demo: Demo) -> list[dict[str, Any]]:
    """Collect the simulated cluster while the machine's own windows pass; release the simulated one last."""
    past = _read_state(demo.folder)["backfill"]
    _show_snapshot(demo.show("sim", "snapshot"))
    _await_real_windows(demo)
    _show_snapshot(demo.show("real", "snapshot"))
    last_hour = datetime.fromisoformat(past["end"]).replace(minute=0, second=0)
    return [
        _release(demo, "real", "--start", past["start"]),
        _release(demo, "sim", "--start", past["start"], "--end", f"{last_hour:%Y-%m-%dT%H:%M:%SZ}"),
    ]


def _run_own(demo: Demo) -> dict[str, Any]:
    """Collect from the server of the person who runs this."""
    for check in demo.show("own", "doctor")["checks"]:
        print(f"  {check['name']}: {check['found']}")
    _show_snapshot(demo.show("own", "snapshot"))
    return _release(demo, "own", "--start", "1970-01-01")


def _await_real_windows(demo: Demo) -> None:
    """Wait until this machine has been scraped for whole windows; that takes as long as it takes."""
    deadline = time.monotonic() + WAIT_SECONDS
    told = False
    while _count_windows(demo) < REAL_WINDOWS:
        if time.monotonic() > deadline:
            raise DemoError(f"found fewer than {REAL_WINDOWS} whole windows of this machine in {WAIT_SECONDS:g} s")
        if not told:
            print(f"\nwaiting until {REAL_WINDOWS} whole minutes of this machine were scraped ...", flush=True)
            told = True
        time.sleep(5)


def _count_windows(demo: Demo) -> int:
    """Count the real machine's windows that are due or committed."""
    committed = len(list((demo.root / "staging/real/commits").rglob("*.json")))
    return committed + int(demo.run("real", "plan")["windows"])


def _release(demo: Demo, config: str, *span: str) -> dict[str, Any]:
    version = _next_version(demo.public)
    built = demo.show(config, "release", version, *span)
    print(
        f"  {built['rows']:,} rows of {built['series']:,} series in {built['tables']} tables, "
        f"{built['bytes_per_sample']:.2f} bytes per sample, coverage {_percent(built['coverage'])}, "
        f"audit findings: {built['audit_findings']} in {built['strings_audited']:,} strings"
    )
    published = demo.show(config, "publish", version)
    print(f"  {published['files']} files, {published['bytes'] / (1 << 20):.1f} MiB")
    proven = demo.show(config, "verify", version)
    print(f"  {proven['proven']}")
    return {**built, "config": config}


def _next_version(public: Path) -> str:
    """Return the next free version of this month."""
    month = datetime.now(UTC).strftime("%Y.%-m")  # noqa: TID251 - the demo's own entry
    used = [
        path.name.removesuffix(".json") for name in ("releases", "retractions") for path in (public / name).glob("*")
    ]
    numbers = [int(version.rpartition(".")[2]) for version in used if version.rpartition(".")[0] == month]
    return f"{month}.{max(numbers, default=-1) + 1}"


def _show_snapshot(result: Mapping[str, Any]) -> None:
    print(
        f"  {result['commits']} of {result['due']} due snapshots committed: {result['rows']:,} rows in "
        f"{result['seconds']:.1f} s"
        if result["due"]
        else "  nothing was due"
    )


def _say_what_was_made(demo: Demo, releases: Sequence[Mapping[str, Any]], *, seconds: float) -> None:
    latest = releases[-1]
    took = timedelta(seconds=round(seconds))
    print(f"\n{len(releases)} public releases in {took}; the store is ./public")
    print(f"{'version':12} {'from':6} {'rows':>11} {'series':>7} {'B/sample':>9} {'coverage':>9} {'audit':>7}")
    for release in releases:
        clean = "clean" if not release["audit_findings"] else "RED"
        print(
            f"{release['version']:12} {release['config']:6} {release['rows']:11,} {release['series']:7,} "
            f"{release['bytes_per_sample']:9.2f} {_percent(release['coverage']):>9} {clean:>7}"
        )
    tables = json.loads((demo.public / f"releases/{latest['version']}/manifest.json").read_text())["tables"]
    metrics = [metric for table in tables for metric in table["metrics"]]
    shown = next((metric for metric in SHOWN if metric in metrics), metrics[0])
    if "PROMETHEUS_URL" not in demo.environment:
        print(f"\nPrometheus stays up at {demo.url} (make demo-stop ends it).")
    print(
        "\nThree things to try:\n"
        f"  .venv/bin/opscommons --url public info\n"
        f'  .venv/bin/python -c "import opscommons as oc; '
        f"print(oc.open('public').load('{shown}'))\"\n"
        f"  less public/releases/{latest['version']}/README.md    # the dataset card; public/index.html lists all"
    )


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{100 * share:.2f} %"


def _read_state(folder: Path) -> dict[str, Any]:
    state: dict[str, Any] = json.loads((folder / "state.json").read_text())
    return state


if __name__ == "__main__":
    raise SystemExit(main(dict(os.environ)))  # noqa: TID251 - the entry point reads the environment once
