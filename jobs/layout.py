"""Where things lie in a release. Pure: names in, paths out."""

import re
from datetime import date
from typing import Final
from urllib.parse import quote

VERSION: Final = re.compile(r"^(?P<year>\d{4})\.(?P<month>[1-9]|1[0-2])\.(?P<number>0|[1-9]\d*)$")

MANIFEST: Final = "manifest.json"
SUMS: Final = "SHA256SUMS"
CARD: Final = "README.md"
COVERAGE: Final = "coverage.parquet"
QUALITY: Final = "quality.json"
PRIVACY: Final = "privacy.json"
CITATION: Final = "CITATION.cff"
LICENSE: Final = "LICENSE"


def release_prefix(version: str) -> str:
    """Return the prefix of all objects of a release in the public store.

    >>> release_prefix("2026.11.0")
    'releases/2026.11.0/'
    """
    return f"releases/{version}/"


def version_order(version: str) -> tuple[int, ...]:
    """Return what versions are sorted by: 2026.9.0 comes before 2026.11.0."""
    return tuple(map(int, version.split(".")))


def data_path(table: str, metric: str, day: date, part: int) -> str:
    """Return the path of a data file, with the metric in Hive's percent-encoding.

    >>> data_path("model_server", "vllm:num_requests_running", date(2026, 11, 1), 0)
    'data/model_server/metric=vllm%3Anum_requests_running/date=2026-11-01/part-0.parquet'
    """
    return f"data/{table}/metric={quote(metric, safe='')}/date={day:%Y-%m-%d}/part-{part}.parquet"


def aggregate_path(table: str, metric: str, day: date) -> str:
    """Return the path of the sums of a metric and day.

    >>> aggregate_path("node", "node_load1", date(2026, 11, 1))
    'aggregates/node/metric=node_load1/date=2026-11-01/part-0.parquet'
    """
    return data_path(table, metric, day, 0).replace("data/", "aggregates/", 1)


def series_path(table: str) -> str:
    """Return the path of a table's series index."""
    return f"series/{table}.parquet"


def schema_path(table: str) -> str:
    """Return the path of the copy of a table's schema."""
    return f"schemas/{table}.json"
