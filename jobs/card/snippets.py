"""How to load a table with each common reader: one place, which the card prints and the tests run."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

SNIPPETS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "pandas": """\
import pandas as pd

result = pd.read_parquet("{path}", partitioning="hive")
""",
        "pyarrow": """\
import pyarrow.dataset as ds

result = ds.dataset("{path}", partitioning="hive").to_table()
""",
        "duckdb": """\
import duckdb

result = duckdb.sql("SELECT * FROM read_parquet('{path}/*/*/*.parquet', hive_partitioning = true)")
""",
        "polars": """\
import polars as pl

result = pl.scan_parquet("{path}", hive_partitioning=True).collect()
""",
    }
)
"""Reader to code that leaves a whole table in ``result``; ``{path}`` is its folder, such as ``data/node``."""

CLIENT_SNIPPET: Final = """\
import opscommons as oc

release = oc.open("{store}"{version})
result = release.load("{metric}")
"""
"""The same for one metric, with the project's own client. ``{store}`` is a release's folder or a store's address."""


def fill_client_snippet(*, store: str, metric: str, version: str | None = None) -> str:
    """Return the client's snippet for a store's address, or for a folder that is itself one release.

    >>> print(fill_client_snippet(store=".", metric="node_load1").splitlines()[2])
    release = oc.open(".")
    """
    return CLIENT_SNIPPET.format(store=store, metric=metric, version=f', release="{version}"' if version else "")
