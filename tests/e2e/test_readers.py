"""What people run: the card's snippets on the demo's release, the client, the notebook."""

import os
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

import opscommons as oc
from jobs.card.snippets import SNIPPETS
from tests.e2e.world import World

TYPES = {
    "pandas": ("category", "category"),
    "pyarrow": ("string", "string"),
    "duckdb": ("VARCHAR", "DATE"),
    "polars": ("String", "Date"),
}


def partition_types(engine: str, result: Any) -> tuple[str, str]:  # noqa: ANN401 - one of four libraries' tables
    if engine == "pandas":
        return str(result["metric"].dtype), str(result["date"].dtype)
    if engine == "pyarrow":
        return str(result.schema.field("metric").type), str(result.schema.field("date").type)
    if engine == "duckdb":
        types = dict(zip(result.columns, map(str, result.types), strict=True))
        return types["metric"], types["date"]
    return str(result.schema["metric"]), str(result.schema["date"])


@pytest.mark.parametrize("engine", sorted(TYPES))
@pytest.mark.parametrize("table", ["gpu", "model_server"])
def test_each_reader_loads_a_table_as_the_card_says(world: World, engine: str, table: str) -> None:
    """Without our client, by the reader's own Hive option; the metric with a colon in its name included."""
    folder = world.releases["simulated"]
    found: dict[str, Any] = {}
    code = SNIPPETS[engine].format(path=(folder / "data" / table).as_posix())

    exec(code, found)  # noqa: S102 - the very lines that the card prints

    result = found["result"]
    count = len(result.fetchall()) if engine == "duckdb" else len(result)
    wanted = next(entry for entry in world.manifest(folder)["tables"] if entry["table"] == table)
    assert count == wanted["rows"]
    assert partition_types(engine, result) == TYPES[engine]


def test_the_card_prints_exactly_these_calls(world: World) -> None:
    """A snippet that nobody runs is a snippet that is wrong."""
    for folder in world.releases.values():
        card = (folder / "README.md").read_text("utf-8")
        tables = [table["table"] for table in world.manifest(folder)["tables"]]
        for snippet in SNIPPETS.values():
            assert any(snippet.format(path=f"data/{table}").strip() in card for table in tables)


def test_the_client_loads_the_latest_release(world: World) -> None:
    """Two lines in a notebook; the simulated cluster is the latest."""
    release = oc.open(str(world.public))
    frame = release.load("container_memory_working_set_bytes")

    assert release.provenance == "simulated"
    assert len(frame) > 10_000
    assert frame["namespace"].astype(str).str.match(r"ns_[a-z2-7]{16}|[a-z-]+").all()


def test_tokens_join_tables(world: World) -> None:
    """A pod of the container table is the same token in the pod and GPU tables; a node has one name everywhere."""
    release = oc.open(str(world.public))
    series = {table: release.series(table) for table in ("container", "pod", "gpu", "node")}

    nodes = set(series["node"]["node"].dropna())
    assert set(series["gpu"]["node"].dropna()) <= nodes
    assert set(series["container"]["node"].dropna()) <= nodes
    pods = set(zip(series["pod"]["namespace"], series["pod"]["pod"], strict=True))
    used = series["gpu"].dropna(subset=["pod"])
    assert set(zip(used["namespace"], used["pod"], strict=True)) <= pods


def test_the_notebook_runs_on_the_demo(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The notebook is documentation, and documentation is run."""
    monkeypatch.setenv("OPSCOMMONS_URL", str(world.public))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{world.environment['PATH']}")
    path = Path(__file__).parents[2] / "datasets/notebooks/first_look.ipynb"
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]

    done = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()

    pictures = [out for cell in done.cells for out in cell.get("outputs", []) if "image/png" in out.get("data", {})]
    assert len(pictures) >= 3
