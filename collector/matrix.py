"""Decode a range query's answer by columns: from text to arrays, without a Python object for every sample."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as csv

_OPEN: Final = b'"values":[['  # within a JSON string its quotes would be escaped, so this is never a label's value
_CLOSE: Final = b"]]"
_BETWEEN: Final = b'"],['


@dataclass(frozen=True, slots=True)
class MatrixSeries:
    """One series of a matrix, ``__name__`` among its labels."""

    labels: Mapping[str, str] = field(repr=False)
    times_ms: npt.NDArray[np.int64] = field(repr=False)
    values: npt.NDArray[np.float64] = field(repr=False)
    has_histograms: bool = False


def decode_matrix(content: bytes) -> dict[str, Any]:
    """Return the answer as JSON, but with every series of its result as a ``MatrixSeries``.

    Raises ``ValueError``, ``TypeError``, ``KeyError``, ``IndexError`` or ``AttributeError`` for anything else.
    """
    heads, texts = [], []
    at = 0
    while (found := content.find(_OPEN, at)) >= 0:
        begin = found + len(_OPEN)
        end = content.index(_CLOSE, begin)
        heads.append(content[at:found])
        texts.append(content[begin:end])
        at = end + len(_CLOSE)
    heads.append(content[at:])
    answer: dict[str, Any] = json.loads(b'"values":0'.join(heads))
    columns = iter(_parse_samples(texts))
    result = [_make_series(each, columns) for each in answer["data"]["result"]]
    answer["data"]["result"] = result
    if next(columns, None) is not None:
        raise ValueError("samples outside the result")
    return answer


def _make_series(series: Mapping[str, Any], columns: Any) -> MatrixSeries:  # noqa: ANN401 - an iterator of columns
    labels = dict(series["metric"].items())
    if "histograms" in series:
        return MatrixSeries(labels, np.empty(0, np.int64), np.empty(0), has_histograms=True)
    if series["values"] == 0:
        seconds, values = next(columns)
    else:  # spaces between the tokens: right, but no Prometheus writes so
        pairs = [(float(time), float(value)) for time, value in series["values"]]
        seconds, values = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
    return MatrixSeries(labels, np.rint(seconds * 1000).astype(np.int64), values)


def _parse_samples(texts: list[bytes]) -> list[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
    """Return (seconds, values) of every series; ``texts`` hold ``1767225600,"1"],[1767225630,"2"``."""
    if not texts:
        return []
    counts = [text.count(_BETWEEN) + 1 for text in texts]
    lines = _BETWEEN.join(texts).replace(_BETWEEN, b"\n").replace(b'"', b"")
    table = csv.read_csv(
        BytesIO(lines),
        read_options=csv.ReadOptions(column_names=["seconds", "value"]),
        parse_options=csv.ParseOptions(quote_char=False, ignore_empty_lines=False),
        convert_options=csv.ConvertOptions(
            column_types={"seconds": pa.float64(), "value": pa.float64()}, null_values=[], strings_can_be_null=False
        ),
    )
    if table.num_rows != sum(counts):
        raise ValueError("not one pair of time and value for each sample")
    ends = np.cumsum(counts)[:-1]
    seconds, values = (np.split(table.column(name).to_numpy(), ends) for name in ("seconds", "value"))
    return list(zip(seconds, values, strict=True))
