"""A release as a stranger finds it: manifest, schemas, index of series and rows. No key, no raw name."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

TOKEN: Final = re.compile(r"(?P<prefix>[a-z]{1,8})_(?P<body>\S{6,})")
"""A pseudonym, of whatever alphabet and length: weakened builds have others."""


@dataclass(frozen=True)
class Published:
    """One release in a folder."""

    folder: Path

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The manifest as JSON."""
        return dict(json.loads((self.folder / "manifest.json").read_bytes()))

    @cached_property
    def tables(self) -> tuple[str, ...]:
        """The tables that have an index of series."""
        return tuple(sorted(path.stem for path in (self.folder / "series").glob("*.parquet")))

    def labels(self, table: str) -> list[dict[str, Any]]:
        """Return the label columns of a table as its public schema declares them."""
        return list(json.loads((self.folder / f"schemas/{table}.json").read_bytes())["labels"])

    def identities(self, table: str) -> dict[str, str]:
        """Return the columns that hold pseudonyms, with the domain of each."""
        return {column["name"]: column["identity"] for column in self.labels(table) if column.get("identity")}

    def metrics(self, table: str) -> dict[str, dict[str, Any]]:
        """Return the metrics of a table as its public schema declares them."""
        found = json.loads((self.folder / f"schemas/{table}.json").read_bytes())["metrics"]
        return {metric["name"]: metric for metric in found}

    def series(self, table: str) -> pa.Table:
        """Return the index of a table: one row for each series, label set and day."""
        return pq.read_table(self.folder / f"series/{table}.parquet")

    def files(self, table: str, metric: str | None = None) -> list[Path]:
        """Return the data files of a table, or of one metric, in the order of the manifest."""
        return [
            self.folder / file["path"]
            for file in self.manifest["files"]
            if file["role"] == "data" and file["table"] == table and metric in (None, file["metric"])
        ]

    def rows(self, table: str, metric: str, columns: list[str] | None = None) -> pa.Table:
        """Return the rows of one metric; without any if the release has none."""
        parts = [pq.read_table(path, columns=columns, partitioning=None) for path in self.files(table, metric)]
        return pa.concat_tables(parts) if parts else pa.table({name: [] for name in columns or ()})

    @cached_property
    def tokens(self) -> frozenset[str]:
        """Every pseudonym of the release: of sources, series and all that has a name."""
        found = set(self.manifest["sources"])
        for table in self.tables:
            index = self.series(table)
            for column in ("series_id", *self.identities(table)):
                found.update(index.column(column).unique().to_pylist())
        return frozenset(text for text in found if text and TOKEN.fullmatch(text))
