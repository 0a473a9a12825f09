"""How to read a table's folder without the client, in each reader's documented Hive form.

One place for the dataset card, datasets/README.md and the tests. ``{path}`` is the folder of one table,
``data/<table>``; each snippet leaves its result in ``result``
(DuckDB: a relation, to query on or to turn into a frame with ``.df()``, ``.pl()`` or ``.arrow()``).
"""

PANDAS = """\
import pandas as pd

result = pd.read_parquet("{path}", partitioning="hive")
"""

PYARROW = """\
import pyarrow.dataset as ds

result = ds.dataset("{path}", partitioning="hive").to_table()
"""

DUCKDB = """\
import duckdb

result = duckdb.sql("SELECT * FROM read_parquet('{path}/*/*/*.parquet', hive_partitioning = true)")
"""

POLARS = """\
import polars as pl

result = pl.scan_parquet("{path}", hive_partitioning=True).collect()
"""

SNIPPETS = {"pandas": PANDAS, "pyarrow": PYARROW, "duckdb": DUCKDB, "polars": POLARS}
