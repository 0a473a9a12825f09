"""The one door to pyarrow's readers: files in, Arrow tables out, filters pushed down to row groups."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from opscommons._errors import BadRequest, CorruptFile
from opscommons._rates import Ints, per_second
from opscommons._select import Span
from opscommons._selection import Where

READ_FAILURES = (pa.ArrowException, OSError)
TIMESTAMP = pa.timestamp("ms", tz="UTC")
DICTIONARY = pa.dictionary(pa.int32(), pa.string())
FIRST, LAST = ("timestamp", "series_id"), ("value",)


def read_whole(path: Path, *, columns: list[str] | None = None) -> pa.Table:
    """Return a small Parquet file as it is."""
    try:
        with pq.ParquetFile(path) as file:
            return file.read(columns=columns)
    except READ_FAILURES as error:
        raise CorruptFile(f"{path} is no readable Parquet: {error}", paths=[str(path)]) from error


def read_schema(path: Path) -> pa.Schema:
    """Return the columns of a data file."""
    try:
        return pq.read_schema(path)
    except READ_FAILURES as error:
        raise CorruptFile(f"{path} is no readable Parquet: {error}", paths=[str(path)]) from error


def all_columns(schemas: Sequence[pa.Schema], *, metric: bool) -> tuple[str, ...]:
    """Return every column of these tables: metric, timestamp, series_id, the labels, value or the histogram's."""
    labels = dict.fromkeys(name for schema in schemas for name in schema.names if name not in FIRST + LAST)
    first, last = (
        [name for name in names if any(name in schema.names for schema in schemas)] for names in (FIRST, LAST)
    )
    return (*(("metric",) if metric else ()), *first, *labels, *last)


def read_samples(
    paths: Sequence[Path], *, schema: pa.Schema, columns: Sequence[str], span: Span, where: Where, rate: bool
) -> pa.Table:
    """Return the samples of one metric that lie in the span and have the labels asked for."""
    needed = [name for name in columns if name in schema.names]
    reading = [*needed, *(name for name in (*FIRST, *LAST) if rate and name not in needed)]
    texts = [column.name for column in schema if pa.types.is_string(column.type)]
    condition = build_filter(schema, span=span, where=where)
    if not paths or condition is None:
        empty = [schema.field(name) for name in needed]
        return pa.schema(
            [pa.field(column.name, DICTIONARY if column.name in texts else column.type) for column in empty]
        ).empty_table()
    form = ds.ParquetFileFormat(read_options=ds.ParquetReadOptions(dictionary_columns=texts))
    files = ds.dataset([str(path) for path in paths], format=form)
    samples = files.to_table(columns=reading, filter=condition).unify_dictionaries()
    if not rate:
        return samples
    rates = per_second(
        series=np.concatenate(
            [_codes(chunk) for chunk in samples.column("series_id").chunks] or [np.zeros(0, np.int64)]
        ),
        timestamps_ms=samples.column("timestamp").cast(pa.int64()).to_numpy(),
        values=samples.column("value").to_numpy(),
    )
    if "value" not in needed:
        return samples.select(needed)
    at = samples.schema.get_field_index("value")
    return samples.set_column(at, "value", pa.array(rates)).select(needed)


def build_filter(schema: pa.Schema, *, span: Span, where: Where) -> "ds.Expression | None":
    """Return the condition on rows; ``None`` if no row can meet it, as the table lacks a column asked for."""
    start, end = span
    condition = ds.scalar(True)
    if start is not None:
        condition &= ds.field("timestamp") >= pa.scalar(start, TIMESTAMP)
    if end is not None:
        condition &= ds.field("timestamp") < pa.scalar(end, TIMESTAMP)
    for name, wanted in where.items():
        if name not in schema.names:
            return None
        several = [wanted] if isinstance(wanted, str) or not isinstance(wanted, Iterable) else list(wanted)
        kind = schema.field(name).type
        try:
            values = pa.array([value for value in several if value is not None], type=kind)
        except (pa.ArrowException, TypeError, ValueError) as error:
            raise BadRequest(f"where[{name!r}] is {wanted!r}, wanted values of type {kind}") from error
        matches = ds.field(name).isin(values)
        condition &= (matches | ds.field(name).is_null()) if None in several else matches
    return condition


def with_metric(samples: pa.Table, metric: str) -> pa.Table:
    """Return the samples with a column that names their metric."""
    indices = np.zeros(samples.num_rows, dtype=np.int32)
    return samples.append_column("metric", pa.DictionaryArray.from_arrays(indices, pa.array([metric])))


def join(parts: Sequence[pa.Table], *, columns: Sequence[str]) -> pa.Table:
    """Return the parts one below the other; a label that a table doesn't have is null there."""
    try:
        joined = pa.concat_tables(parts, promote_options="default")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise BadRequest(
            f"these metrics have columns of one name and different types ({error});"
            " load them one by one, or leave the column out with columns=[...]"
        ) from error
    return joined.select(list(columns)).unify_dictionaries()


def _codes(series: "pa.Array[Any]") -> Ints:
    """Return which entry of the dictionary, the same for all chunks, each row has."""
    if not isinstance(series, pa.DictionaryArray):
        raise TypeError(f"series_id is {series.type}, wanted a dictionary")
    return series.indices.to_numpy().astype(np.int64)
