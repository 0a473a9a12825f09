"""The demo's rare GPUs are not told by their family, and its common ones are."""

import json

import pyarrow.dataset as ds
import pyarrow.parquet as pq

from tests.e2e.world import World


def test_the_rare_family_is_hidden_and_the_common_one_is_not(world: World) -> None:
    """Two of twenty machines have the rare GPUs; that they do tells them to anybody who bought them."""
    folder = world.releases["simulated"]
    raw = set(world.ask("label/modelName/values"))
    assert raw == {"NVIDIA A100-SXM4-80GB", "NVIDIA H200"}

    rows = ds.dataset(folder / "data/gpu", partitioning="hive").to_table(columns=["node", "gpu_family"])
    index = pq.read_table(folder / "series/gpu.parquet", columns=["gpu_family"])
    machines = {
        row["node"]: row["gpu_family"] for row in rows.group_by(["node", "gpu_family"]).aggregate([]).to_pylist()
    }

    assert sorted(machines.values()) == ["A100"] * 8 + ["other"] * 2
    assert set(index.column("gpu_family").to_pylist()) == {"A100", "other"}
    privacy = json.loads((folder / "privacy.json").read_text())
    assert "gpu.gpu_family" in json.dumps(privacy)
    coverage = pq.read_table(folder / "coverage.parquet", columns=["table", "reason"]).to_pylist()
    assert {"table": "gpu", "reason": "suppressed"} in coverage
