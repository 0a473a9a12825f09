"""Keep a long-lived or hourly process small."""

import sys
from collections.abc import Sequence
from types import ModuleType


class _NoPandas:
    """Finds nothing, and lets nobody else find pandas."""

    @staticmethod
    def find_spec(name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None) -> None:
        """Raise ``ImportError`` for pandas."""
        if name == "pandas":
            raise ImportError("not in this process")


def leave_pandas_out() -> None:
    """Let pyarrow think that there is no pandas: it would import it at the first array, for 50 MB and 0.4 s.

    For processes that never make a data frame. pyarrow asks once; whoever imports pandas afterwards still can.
    """
    if "pandas" in sys.modules:
        return
    import pyarrow as pa

    sys.meta_path.insert(0, _NoPandas)
    try:
        pa.array([0])
    finally:
        sys.meta_path.remove(_NoPandas)
