"""An operator's own table goes the whole way, by the very example of docs/own-tables.md."""

import json
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

import opscommons
from jobs.clock import read_clock
from jobs.config import Settings
from jobs.publish.run import run_publish
from jobs.release.audited import run_audit
from jobs.release.run import run_release
from jobs.snapshot.run import run_snapshot
from schemas.errors import PrivacyError
from schemas.registry import POLICIES
from schemas.windows import Window
from tests.collector.histogram_chunks import to_bits
from tests.docs.pages import ROOT, fenced_blocks
from tests.jobs.bench import KEY, Bench
from tests.prometheus.server import RealPrometheus

QUARTER = timedelta(minutes=15)
SECRETS = ("acme-shop-of-zoe", "zoe-the-customer", "orders-7d9f")
HERE = {"cluster": "of-the-shop"}


def lay_out(folder: Path) -> None:
    """Write the page's files; of the policy the page shows what is added to the shipped one."""
    (folder / "my-tables").mkdir(parents=True)
    policy: dict[str, Any] = yaml.safe_load((POLICIES / "default.yaml").read_text("utf-8"))
    for block in fenced_blocks(ROOT / "docs/own-tables.md"):
        named = re.match(r"# ([\w/.-]+\.yaml)", block.text)
        if named and named[1] != "my-policy.yaml":
            (folder / named[1]).write_text(block.text)
        elif named:
            for section, added in yaml.safe_load(block.text).items():
                policy[section].update(added)
    (folder / "my-policy.yaml").write_text(yaml.safe_dump(policy))
    key = folder / "opspub.key"
    key.touch(mode=0o600)
    key.write_text(json.dumps(KEY))


def settings_in(folder: Path, url: str) -> Settings:
    return Settings.model_validate(
        {
            "source": {"name": "shop", "url": url, "identity": "none", "match": HERE, "retries": 0},
            "collection": {
                "window": "15m", "step": "30s", "settle": "0s", "schemas": folder / "my-tables", "tables": ["orders"],
            },
            "privacy": {"policy": str(folder / "my-policy.yaml"), "key_file": folder / "opspub.key"},
            "staging": f"file:{folder}/staging",
            "public": f"file:{folder}/public",
            "work_dir": folder / "work",
        }
    )  # fmt: skip


def plant(server: RealPrometheus, end: datetime) -> None:
    times = range(_ms(end - 2 * QUARTER), _ms(end), 30_000)
    namespace, customer, pod = SECRETS
    who = {"namespace": namespace, "customer": customer, "pod": pod, "instance": "10.8.7.6:80", "job": "shop", **HERE}
    server.write(
        [
            ({"__name__": "up", "job": "shop", "instance": "10.8.7.6:80", **HERE}, [(t, to_bits(1.0)) for t in times]),
            *(
                ({"__name__": "acme_orders_total", "state": state, **who}, [(t, to_bits(t / 1e4)) for t in times])
                for state in ("placed", "paid", "haunted")
            ),
        ]
    )


def test_the_page_leads_from_a_metric_to_a_frame(
    native_server: RealPrometheus, native_end: datetime, tmp_path: Path
) -> None:
    """Snapshot, release, audit, publish and client; without the folder the audit refuses: a release brings no rules."""
    lay_out(tmp_path)
    plant(native_server, native_end)
    settings = settings_in(tmp_path, native_server.url)

    assert run_snapshot(settings, clock=read_clock, span=Window(native_end - QUARTER, native_end)).failures == []
    run_release(settings, "2026.1.0", clock=read_clock)
    run_publish(settings, "2026.1.0", clock=read_clock)

    release = opscommons.open(tmp_path / "public", cache=tmp_path / "cache")
    frame = release.load("acme_orders_total")
    assert release.tables == ("orders",)
    assert len(frame) == 3 * 30
    assert set(frame["state"]) == {"placed", "paid", "other"}
    assert set(frame["namespace"].str.slice(0, 3)) == {"ns_"}
    assert not {"pod", "customer"} & set(frame.columns)
    schema = json.loads((tmp_path / "public/releases/2026.1.0/schemas/orders.json").read_text())
    assert schema["metrics"][0]["name"] == "acme_orders_total"
    without = settings.model_copy(update={"collection": settings.collection.model_copy(update={"schemas": None})})
    report = run_audit(without, tmp_path / "public/releases/2026.1.0", now=read_clock())
    assert ("table of the manifest", "unknown-schema") in {(each.place, each.code) for each in report.findings}
    for path in (tmp_path / "public").rglob("*"):
        assert path.is_dir() or not [secret for secret in SECRETS if secret.encode() in path.read_bytes()]


def test_the_commands_of_the_page_accept_it_and_refuse_what_is_not_reviewed(bench: Bench) -> None:
    lay_out(bench.folder / "page")
    (bench.folder / "page/my-tables").rename(bench.folder / "my-tables")
    (bench.folder / "page/my-policy.yaml").rename(bench.folder / "my-policy.yaml")
    bench.set("collection", schemas="./my-tables", tables="all")
    bench.set("privacy", policy="./my-policy.yaml")

    linted, listed = bench.run("policy", "lint"), bench.run("schema", "list")
    locked = [bench.run("schema", "lock").out for _ in range(2)]
    next_minor = bench.folder / "my-tables/orders_v1.1.yaml"
    next_minor.write_text(bench.run("schema", "new", "orders").out)
    unlocked = bench.run("schema", "check")
    next_minor.unlink()
    begun = bench.run("schema", "new", "returns", "--folder", "my-tables")
    refused = bench.run("schema", "check")

    assert linted.code == 0, linted.out + linted.err
    assert "orders" in [line.split()[0] for line in listed.out.splitlines() if line.endswith("your own")]
    assert locked == ["locked orders 1.0\n", "every version was locked already\n"]
    assert unlocked.code == 2
    assert "table orders 1.1 is not in tables.lock; run 'opspub schema lock' to add it" in unlocked.line
    assert begun.out == "wrote my-tables/returns_v1.0.yaml\n"
    assert refused.code == 2
    assert "returns_v1.0.yaml" in refused.line
    assert "is marked unreviewed, so nothing of it may be published" in refused.line


def test_a_policy_that_does_not_name_the_table_keeps_it_private(
    native_server: RealPrometheus, native_end: datetime, tmp_path: Path
) -> None:
    lay_out(tmp_path)
    settings = settings_in(tmp_path, native_server.url)
    default = settings.model_copy(update={"privacy": settings.privacy.model_copy(update={"policy": "default"})})

    with pytest.raises(PrivacyError, match="the policy does not name table orders"):
        run_snapshot(default, clock=read_clock, span=Window(native_end - QUARTER, native_end))


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
