"""The one door to pandas: Arrow tables in, frames out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa


def long_frame(samples: pa.Table) -> pd.DataFrame:
    """Return one row per sample; whole-number labels are nullable ``Int32``, so that no null makes them floats."""
    return samples.to_pandas(
        ignore_metadata=True, types_mapper=lambda kind: pd.Int32Dtype() if kind == pa.int32() else None
    )


def wide_frame(samples: pa.Table, *, heads: Sequence[str]) -> pd.DataFrame:
    """Return timestamps as index and one column per series, headed by metric, series_id and these labels."""
    long = long_frame(samples)
    metric_codes = long["metric"].cat.codes.to_numpy(np.int64)
    series_codes = long["series_id"].cat.codes.to_numpy(np.int64)
    pairs = metric_codes * max(len(long["series_id"].cat.categories), 1) + series_codes
    _, first, column = np.unique(pairs, return_index=True, return_inverse=True)
    instants, row = np.unique(long["timestamp"].to_numpy("datetime64[ms]"), return_inverse=True)
    grid = np.full((len(instants), len(first)), np.nan)
    grid[row, column] = long["value"].to_numpy(np.float64)

    in_order_of_appearance = np.argsort(first, kind="stable")
    owners = long.iloc[first[in_order_of_appearance]]
    names = ["metric", "series_id", *heads]
    header: Any = pd.MultiIndex.from_arrays(
        [owners[name].astype(str) if name in names[:2] else owners[name].astype(object) for name in names],
        names=names,
    )
    index = pd.DatetimeIndex(instants, tz="UTC", name="timestamp")
    return pd.DataFrame(grid[:, in_order_of_appearance], index=index, columns=header)
