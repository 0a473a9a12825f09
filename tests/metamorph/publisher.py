"""The publisher's own command line in a process, but for the clock, and for tokens that match those of another naming.

``python -m tests.metamorph.publisher PLAN``: a JSON file with the commands to run one after another.
"""

import importlib
import json
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import jobs.clock
from anonymize.keys import PseudonymKey
from anonymize.pseudonyms import Pseudonymizer, encode_parts
from schemas.raw import open_raw


def decode_parts(encoded: bytes) -> Iterator[str | None]:
    """Yield the parts of an encoding, read by the documentation of the format."""
    while encoded:
        length, encoded = int.from_bytes(encoded[:4], "big"), encoded[4:]
        if length == 0xFFFFFFFF:
            yield None
        else:
            yield encoded[:length].decode("utf-8", "surrogatepass")
            encoded = encoded[length:]


class MatchingPseudonymizer(Pseudonymizer):
    """Makes the tokens that the same things have under the other naming; knows all names, or fails."""

    def __init__(self, key: PseudonymKey, back: Mapping[str, str]) -> None:
        super().__init__(key)
        self._back = back

    def token(self, prefix: str, domain: str, parts: Iterable[str | None]) -> str:
        """See the base."""
        source, *rest = parts
        return super().token(prefix, domain, [source, *map(self._rename, rest)])

    def tokens(self, prefix: str, domain: str, scope: Iterable[str | None], encoded: Iterable[bytes]) -> Any:  # noqa: ANN401
        """See the base: the parts of a series are names and values of labels, sorted by name."""
        return super().tokens(prefix, domain, scope, map(self._rename_series, encoded))

    def _rename_series(self, encoded: bytes) -> bytes:
        parts = list(decode_parts(encoded))
        pairs = zip(map(self._rename_label, parts[::2]), map(self._rename, parts[1::2]), strict=True)
        return encode_parts(part for pair in sorted(pairs) for part in pair)

    def _rename(self, part: str | None) -> str | None:
        return None if part is None else self._back[part]

    def _rename_label(self, name: str | None) -> str:
        assert name is not None
        return self._back.get(name, name)


def leak_order() -> None:
    """Leave series in the order in which they came: that of their raw names."""
    series = importlib.import_module("jobs.snapshot.series")
    series.sort_rows = lambda columns, table: np.arange(len(columns))  # type: ignore[attr-defined]


def leak_dictionary() -> None:
    """Write dictionaries as they came, not what rows show of them."""
    import jobs.parquet

    exact = jobs.parquet._spread

    def spread(column: Any, lengths: Any) -> Any:  # noqa: ANN401
        as_it_came = pa.types.is_dictionary(column.type)
        return (
            column.take(pa.array(np.repeat(np.arange(len(column)), lengths))) if as_it_came else exact(column, lengths)
        )

    jobs.parquet._spread = spread


def leak_length() -> None:
    """Count only the raw values that are long."""
    from jobs.snapshot.collect import TableCollector
    from schemas.commit import CommitFile, RawScan

    scan = TableCollector._scan

    def scanned(self: TableCollector, *given: Any) -> CommitFile:  # noqa: ANN401 - handed on
        found, raw = scan(self, *given), given[3]
        long = sum(len(value) >= 5 for value in open_raw(raw))
        return found.model_copy(update={"raw_scan": RawScan(searched=long, hits=0)})

    TableCollector._scan = scanned  # type: ignore[method-assign, assignment]


def leak_log() -> None:
    """Log how long the names of a window are."""
    from jobs.source import OpenSource

    read = OpenSource.read_frame

    def told(self: Any, grid: Any) -> Any:  # noqa: ANN401
        frame = read(self, grid)
        logging.getLogger("jobs.snapshot").info("frame read", extra={"bytes": len("".join(open_raw(frame.nodes)))})
        return frame

    OpenSource.read_frame = told  # type: ignore[method-assign]


LEAKS: dict[str, Callable[[], None]] = {
    "order": leak_order,
    "dictionary": leak_dictionary,
    "length": leak_length,
    "log": leak_log,
}


def main(plan: Mapping[str, Any]) -> None:
    """Run the commands; say how each ended."""
    now = datetime.fromisoformat(plan["now"])
    jobs.clock.read_clock = lambda: now  # before anybody takes it from there
    jobs.clock.read_stopwatch = lambda: 0.0
    for module, name, value in plan["sizes"]:
        found = importlib.import_module(module)
        assert hasattr(found, name)
        setattr(found, name, value)
    if plan["back"]:
        snapshot = importlib.import_module("jobs.snapshot.run")
        snapshot.Pseudonymizer = partial(MatchingPseudonymizer, back=plan["back"])  # type: ignore[attr-defined]
    for leak in plan["leaks"]:
        LEAKS[leak]()
    cli = importlib.import_module("jobs.cli")
    for command in plan["commands"]:
        sys.argv = ["opspub", *command]
        try:
            cli.main()
        except SystemExit as ended:
            for stream in (sys.stdout, sys.stderr):
                stream.write(f"{command[-1]} ended with {ended.code}\n")
                stream.flush()


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text("utf-8")))
