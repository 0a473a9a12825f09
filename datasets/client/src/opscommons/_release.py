"""One release: what it says of itself, and the way to its data."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from opscommons._cache import Cache
from opscommons._documents import Manifest, ReleaseFile
from opscommons._errors import BadRequest, CorruptFile, MissingFile, NotARelease, UnknownMetric, UnknownTable
from opscommons._instants import Instant, parse_span
from opscommons._places import Place
from opscommons._select import choose_data_files
from opscommons._selection import Columns, Names, Selection, Where, as_names

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from opscommons._download import Download
    from opscommons._verify import Verification


class Release:
    """An immutable, named set of tables. Made by ``opscommons.open``."""

    def __init__(self, place: Place, manifest: Manifest, *, manifest_content: bytes, cache: Cache) -> None:
        self.place = place
        self.manifest = manifest
        self.manifest_content = manifest_content
        self._cache = cache
        self._types: dict[str, dict[str, str]] = {}

    def __repr__(self) -> str:
        rows = sum(table.rows for table in self.manifest.tables)
        return (
            f"<opscommons.Release {self.version} ({self.provenance}): {len(self.tables)} tables, {rows:,} rows,"
            f" {self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC, at {self.place.name}>"
        )

    @property
    def version(self) -> str:
        """The release's name, such as ``2026.11.0``."""
        return self.manifest.version

    @property
    def provenance(self) -> str:
        """``real``, or ``simulated`` when no cluster's people and workloads are behind the data."""
        return self.manifest.provenance

    @property
    def tier(self) -> str:
        """``series``, or ``aggregate``: sums over the entities of a namespace and kind of workload, and no series."""
        return self.manifest.tier

    @property
    def start(self) -> datetime:
        """The first moment that the release covers."""
        return self.manifest.start

    @property
    def end(self) -> datetime:
        """The moment at which the release ends; it isn't part of it."""
        return self.manifest.end

    @property
    def manifest_sha256(self) -> str:
        """The digest that pins every byte of the release: cite it."""
        return hashlib.sha256(self.manifest_content).hexdigest()

    @property
    def tables(self) -> tuple[str, ...]:
        """The names of the tables."""
        return tuple(table.table for table in self.manifest.tables)

    def metrics(self, table: str | None = None) -> tuple[str, ...]:
        """Return the names of the metrics of one table, or of all."""
        self._check_table(table)
        chosen = [entry for entry in self.manifest.tables if table in (None, entry.table)]
        return tuple(dict.fromkeys(metric for entry in chosen for metric in entry.metrics))

    def native_metrics(self, table: str | None = None) -> tuple[str, ...]:
        """Return the names of the metrics that have native histograms, in one table or in any."""
        self._check_table(table)
        files = self.data_files(metrics=None, tables=None if table is None else [table], native=True)
        return tuple(dict.fromkeys(file.metric for file in files if file.metric))

    @property
    def card(self) -> str:
        """The dataset card: what the data are, how they were made, what they must not be used for."""
        return self.local_path("card").read_text("utf-8")

    @property
    def coverage(self) -> "pd.DataFrame":
        """Samples received against expected, per source, table, metric and hour, and why some are missing."""
        return self._read_parquet("coverage").to_pandas(ignore_metadata=True)

    def series(self, table: str) -> "pd.DataFrame":
        """Return one row per series of a table: its labels, type, unit, first and last timestamp, rows."""
        self._check_table(table)
        self._refuse_without_series("a list of series")
        return self._read_parquet("series", table).to_pandas(ignore_metadata=True)

    def select(
        self,
        metrics: Names,
        *,
        start: Instant | None = None,
        end: Instant | None = None,
        where: Where | None = None,
        columns: Columns | None = None,
        rate: bool = False,
        table: str | None = None,
        native: bool = False,
    ) -> Selection:
        """Choose samples, or an aggregate release's sums, without reading any; the result gives them in several forms.

        Args:
            metrics: one name, or several; several (also a list of one) add a ``metric`` column.
            start: first moment, ISO 8601 text or datetime, naive is UTC.
            end: first moment that is no longer part of it.
            where: label column to the value, or the values, that rows must have; ``None`` is "has no such label".
            columns: the columns wanted, in this order; without it all.
            rate: counters and histograms as per-second rates between consecutive points of a series.
            table: only this table, should a metric be in several.
            native: the native histograms of the metrics, in the place of their values.

        """
        self._check_table(table)
        names = as_names(metrics)
        if rate:
            self._refuse_without_series("rates: its values of counters are increases already")
        if native and rate:
            raise BadRequest("native histograms have no rate; take the difference of their counts")
        known = self.native_metrics(table) if native else self.metrics(table)
        for name in names:
            if name not in known:
                where_not = f"release {self.version}" + (f", table {table}" if table else "")
                where_not += ", native histograms" if native else ""
                raise UnknownMetric(name, known=known, where=where_not)
        return Selection(
            release=self,
            metrics=names,
            has_metric_column=not isinstance(metrics, str),
            table=table,
            span=parse_span(start, end),
            where=dict(where or {}),
            columns=None if columns is None else as_names(columns),
            rate=rate,
            native=native,
        )

    def load(
        self,
        metrics: Names,
        *,
        start: Instant | None = None,
        end: Instant | None = None,
        where: Where | None = None,
        columns: Columns | None = None,
        layout: Literal["long", "wide"] = "long",
        rate: bool = False,
        table: str | None = None,
        native: bool = False,
    ) -> "pd.DataFrame":
        """Return samples as a pandas DataFrame: ``select(...)`` with the same arguments, then ``.pandas(layout)``.

        ``long`` has one row per sample; ``wide`` has timestamps as index and one column per series.
        """
        chosen = self.select(
            metrics, start=start, end=end, where=where, columns=columns, rate=rate, table=table, native=native
        )
        return chosen.pandas(layout=layout)

    def download(
        self,
        to: str | Path,
        *,
        tables: Names | None = None,
        metrics: Names | None = None,
        start: Instant | None = None,
        end: Instant | None = None,
    ) -> "Download":
        """Copy the release, or the part of it that was asked for, into a folder; repairs what is bad there."""
        from opscommons._download import download, plan_download

        return download(self, plan_download(self, Path(to), tables=tables, metrics=metrics, start=start, end=end))

    def verify(self, *, manifest_sha256: str | None = None) -> "Verification":
        """Read every byte again and compare it with the manifest."""
        from opscommons._verify import verify

        return verify(self, manifest_sha256=manifest_sha256)

    def data_files(
        self,
        *,
        metrics: Sequence[str] | None,
        tables: Sequence[str] | None,
        span: tuple[int | None, int | None] = (None, None),
        native: bool = False,
    ) -> tuple[ReleaseFile, ...]:
        """Return the data files that may hold such samples, by what the manifest says of them."""
        return choose_data_files(self.manifest.files, metrics=metrics, tables=tables, span=span, native=native)

    def local_paths(self, files: Sequence[ReleaseFile]) -> list[Path]:
        """Return where the files lie on this machine: in place if the release does, else verified in the cache."""
        folder = self.place.folder
        if folder is None:
            return self._cache.ensure(self.place, files)
        for file in files:
            path = folder / file.path
            if not path.is_file():
                raise MissingFile(
                    f"{file.path} is in the manifest but not in {folder};"
                    f" bring it: opscommons download {self.version} --to {folder}",
                    paths=[file.path],
                )
            if path.stat().st_size != file.bytes:
                raise CorruptFile(
                    f"{file.path} in {folder} has {path.stat().st_size} bytes, wanted {file.bytes};"
                    f" repair it: opscommons download {self.version} --to {folder}",
                    paths=[file.path],
                )
        return [folder / file.path for file in files]

    def local_path(self, role: str, table: str | None = None) -> Path:
        """Return where the one file of a role lies on this machine."""
        for file in self.manifest.files:
            if file.role == role and table in (None, file.table):
                return self.local_paths([file])[0]
        of_table = f" for table {table}" if table else ""
        raise NotARelease(f"release {self.version} has no file of the role {role}{of_table}")

    def metric_types(self, table: str) -> dict[str, str]:
        """Return each metric's type in Prometheus's words, from the table's list of series."""
        if table not in self._types:
            listed = self._read_parquet("series", table, columns=["metric", "type"])
            pairs = listed.group_by(["metric", "type"]).aggregate([]).to_pylist()
            self._types[table] = {pair["metric"]: pair["type"] for pair in pairs}
        return self._types[table]

    def _read_parquet(self, role: str, table: str | None = None, *, columns: list[str] | None = None) -> "pa.Table":
        from opscommons._read import read_whole

        return read_whole(self.local_path(role, table), columns=columns)

    def _refuse_without_series(self, what: str) -> None:
        if self.tier == "aggregate":
            raise BadRequest(f"release {self.version} holds sums over groups (tier aggregate), so it has no {what}")

    def _check_table(self, table: str | None) -> None:
        if table is not None and table not in self.tables:
            raise UnknownTable(table, known=self.tables, where=f"release {self.version}")
