"""What is published is what Prometheus itself answers, bit for bit, after the declared treatment."""

from collections import Counter
from pathlib import Path

import pytest
import yaml

from tests.e2e.exact import published_series, treated
from tests.e2e.world import World

TABLES = Path(__file__).parents[2] / "schemas/tables"
SELECTED = {"real": 'cluster="this-machine"', "simulated": 'cluster="prod-ml-east-1"'}


@pytest.mark.parametrize("provenance", ["real", "simulated"])
def test_every_metric_equals_the_servers_own_query_range(world: World, provenance: str) -> None:
    """The same grid, the same lookback, the same staleness: what a researcher gets is what an operator saw."""
    folder = world.releases[provenance]
    manifest = world.manifest(folder)
    compared = 0
    for table in manifest["tables"]:
        schema = yaml.safe_load((TABLES / f"{table['table']}_v{table['schema_version']}.yaml").read_text())
        for metric in schema["metrics"]:
            if metric["name"].startswith("opscommons_"):  # made here, see test_workloads.py
                continue
            matchers = ",".join([f'__name__="{metric["name"]}"', SELECTED[provenance], *metric.get("match", [])])
            asked = world.query_range(f"{{{matchers}}}", manifest)
            wanted = Counter(treated(metric.get("value", "exact"), samples) for samples in asked)
            found = published_series(folder, manifest, metric["name"])

            assert found == wanted, f"{metric['name']}: {len(found - wanted)} series differ of {wanted.total()}"
            compared += wanted.total()
    assert compared > {"real": 20, "simulated": 3000}[provenance]


def test_windows_collected_one_by_one_equal_one_query(world: World) -> None:
    """The comparison above spans many windows; here it is certain that there were several."""
    for source in ("real", "sim"):
        assert len(list((world.root / f"staging/{source}/commits").rglob("*.json"))) >= 2


def test_both_ways_to_read_give_the_same_rows(world: World, tmp_path: Path) -> None:
    """Remote read adds external labels to every series, the query API does not; ids must not depend on it."""
    overrides = {"OPSPUB_STAGING": f"file:{tmp_path}/staging", "OPSPUB_WORK_DIR": f"{tmp_path}/work"}
    overrides["OPSPUB_PUBLIC"] = f"file:{tmp_path}/public"
    hour = world.manifest(world.releases["simulated"])["start"]
    end = hour[:11] + f"{int(hour[11:13]) + 1:02}" + hour[13:] if hour[11:13] != "23" else None
    if end is None:
        pytest.skip("the first hour of this run crosses midnight")
    for path in ("http", "remote-read"):
        overrides["OPSPUB_STAGING"] = f"file:{tmp_path}/{path}"
        done = world.opspub(
            "sim", "snapshot", "--start", hour, "--end", end, "--table", "gpu", OPSPUB_SOURCE__READ=path, **overrides
        )
        assert done.returncode == 0, done.stderr

    files = [
        {file.name: file.read_bytes() for file in (tmp_path / path / "data").rglob("*.parquet")}
        for path in ("http", "remote-read")
    ]
    assert files[0]
    assert files[0] == files[1]
