"""What an object is served with, told from its key alone. Pure.

Nobody can call back what a cache has, only bound for how long it may answer: docs/adr/0015 tells more.
"""

from pathlib import PurePosixPath
from typing import Final

PUBLIC_MAX_AGE_SECONDS: Final = 300
"""How long a cache may go on answering after a release was retracted."""

_REWRITTEN: Final = frozenset({"catalog.json", "index.html"})
_PUBLIC: Final = frozenset({"releases", "attestations", "retractions"})
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".md": "text/markdown; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".parquet": "application/vnd.apache.parquet",
    ".cff": "application/yaml",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    "": "text/plain; charset=utf-8",  # LICENSE, SHA256SUMS
}


def object_headers(key: str) -> dict[str, str]:
    """Return all that an object is served with beside its bytes, as S3 takes it: no names, no metadata."""
    return {"ContentType": content_type(key), "CacheControl": cache_control(key)}


def content_type(key: str) -> str:
    """Return what kind of content a key holds.

    >>> content_type("releases/2026.11.0/data/node/metric=node_load1/date=2026-11-01/part-0.parquet")
    'application/vnd.apache.parquet'
    >>> content_type("releases/2026.11.0/SHA256SUMS")
    'text/plain; charset=utf-8'
    """
    return _TYPES.get(PurePosixPath(key).suffix, "application/octet-stream")


def cache_control(key: str) -> str:
    """Return for how long, and by whom, an object may be kept.

    ``no-cache`` is kept but asked for every time: a changed catalog is seen at once, an unchanged one costs a 304.
    ``must-revalidate`` forbids to go on serving what is gone when the store no longer gives it.
    What is not meant for the public is kept by nobody.

    >>> cache_control("catalog.json"), cache_control("commits/lab/node/v1/20261101T000000Z.json")
    ('no-cache', 'private, no-store')
    """
    if key in _REWRITTEN:
        return "no-cache"
    if key.partition("/")[0] in _PUBLIC:
        return f"public, max-age={PUBLIC_MAX_AGE_SECONDS}, must-revalidate, no-transform"
    return "private, no-store"
