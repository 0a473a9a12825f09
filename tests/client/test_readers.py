"""Other readers' documented Hive option on a table's folder, with no client at all.

What each makes of the partition columns is pinned, since the card and datasets/README.md say it.
"""

from pathlib import Path
from typing import Any

import pytest

from jobs.card.snippets import SNIPPETS
from tests.client.builders import tables

ROWS = 288


def read(engine: str, folder: Path) -> Any:  # noqa: ANN401 - a frame of whichever reader
    scope: dict[str, Any] = {}
    exec(SNIPPETS[engine].format(path=folder), scope)  # noqa: S102 - the snippets are ours
    return scope["result"]


def columns(engine: str, df: Any) -> dict[str, str]:  # noqa: ANN401
    if engine == "pandas":
        return {name: str(kind) for name, kind in df.dtypes.items()}
    if engine == "duckdb":
        return dict(zip(df.columns, map(str, df.types), strict=True))
    if engine == "pyarrow":
        return {field.name: str(field.type) for field in df.schema}
    return {name: str(kind) for name, kind in df.schema.items()}


def rows(engine: str, df: Any) -> list[tuple[str, int | None, float | None]]:  # noqa: ANN401
    """Return (metric, gpu or None, value) of every row, sorted."""
    wanted = ["metric", "gpu", "value"] if "gpu" in columns(engine, df) else ["metric", "value"]
    if engine == "duckdb":
        found = df.project(", ".join(wanted)).fetchall()
    elif engine == "pandas":
        found = df[wanted].astype(object).where(df[wanted].notna(), None).to_numpy().tolist()
    elif engine == "pyarrow":
        found = [tuple(row.values()) for row in df.select(wanted).to_pylist()]
    else:
        found = df.select(wanted).rows()
    return sorted((tuple(row) for row in found), key=repr)


def planted_rows(table: str) -> list[Any]:
    (planted,) = (entry for entry in tables() if entry.name == table)
    found = [
        (metric.name, *((labels["gpu"],) if "gpu" in planted.labels else ()), metric.value(number, point))
        for metric in planted.metrics
        for number, labels in enumerate(metric.series)
        for point in range(ROWS)
    ]
    return sorted(found, key=repr)


PARTITIONS = {
    "pandas": {"metric": "category", "date": "category"},
    "pyarrow": {"metric": "string", "date": "string"},
    "duckdb": {"metric": "VARCHAR", "date": "DATE"},
    "polars": {"metric": "String", "date": "Date"},
}
TIMESTAMPS = {
    "pandas": "datetime64[ms, UTC]",
    "pyarrow": "timestamp[ms, tz=UTC]",
    "duckdb": "TIMESTAMP WITH TIME ZONE",
    "polars": "Datetime(time_unit='ms', time_zone='UTC')",
}


@pytest.mark.parametrize("engine", SNIPPETS)
@pytest.mark.parametrize("table", ["node", "gpu", "model_server"])
def test_every_reader_gives_every_row(store: Path, engine: str, table: str) -> None:
    """``vllm%3A...`` in the path comes back as the metric's own name."""
    df = read(engine, store / "releases/2026.11.0/data" / table)

    assert rows(engine, df) == planted_rows(table)


@pytest.mark.parametrize("engine", SNIPPETS)
def test_partition_columns_have_these_types(store: Path, engine: str) -> None:
    df = read(engine, store / "releases/2026.11.0/data/gpu")

    found = columns(engine, df)
    labels = {"timestamp", "series_id", "node", "gpu", "namespace", "pod", "workload_kind", "value"}
    assert set(found) == labels | {"metric", "date"}
    assert {name: found[name] for name in ("metric", "date")} == PARTITIONS[engine]
    assert found["timestamp"] == TIMESTAMPS[engine]


def test_the_readme_shows_these_very_calls() -> None:
    readme = Path(__file__).parents[2] / "datasets/README.md"
    shown = readme.read_text("utf-8")

    for snippet in SNIPPETS.values():
        assert snippet.format(path="data/container") in shown
