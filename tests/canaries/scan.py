"""Look for canaries in everything that was written, without a line of the publisher's own code.

A canary is found as it is, in any case, cut to its first eight characters, percent-encoded, in hexadecimal and in
base64 at every offset, in what gzip hides and in what Parquet's pages hold, those that no row shows included.
"""

import base64
import gzip
import json
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import ahocorasick
import pyarrow.parquet as pq

from tests.canaries.planted import Canary, head_of

_PLAIN: Final = re.compile(
    rb"(?:%7a|%5a|z)(?:%71|%51|q)(?P<plain>(?:%3[0189]|[0189]){6})|(?:7a71|5a51)(?P<hex>(?:3[0189]){6})", re.IGNORECASE
)
_GZIP: Final = b"\x1f\x8b"


class Scanner:
    """Knows some canaries and finds them."""

    def __init__(self, canaries: Iterable[Canary]) -> None:
        self._canaries = {each.number: each for each in canaries}

    def find(self, content: bytes) -> set[Canary]:
        """Return the canaries that a text holds in any form; in base64 the last digit may be that of another."""
        numbers = {_number_of(found) for found in _PLAIN.finditer(content)}
        numbers |= {number for _, numbers in self._encoded.iter(content.decode("latin-1")) for number in numbers}
        return {self._canaries[number] for number in numbers & self._canaries.keys()}

    def search(self, *folders: Path) -> dict[str, set[Canary]]:
        """Return the files and folders with canaries in their name or content, by their path below a folder."""
        hits: dict[str, set[Canary]] = {}
        for folder in folders:
            for path in sorted(folder.rglob("*")):
                name = path.relative_to(folder.parent).as_posix()
                texts = (name.encode(), *(texts_of(path) if path.is_file() and not path.is_symlink() else ()))
                if found := set().union(*map(self.find, texts)):
                    hits[name] = found
        return hits

    @cached_property
    def _encoded(self) -> Any:  # noqa: ANN401 - the library has no types
        cores: dict[str, set[int]] = {}
        for number in self._canaries:
            for head in (head_of(number), head_of(number).upper()):
                for offset in range(3):
                    text = base64.b64encode(bytes(offset) + head.encode()).decode()
                    core = text[-(-8 * offset // 6) : 8 * (offset + len(head)) // 6]
                    for spelled in (core, core.replace("+", "-").replace("/", "_")):
                        cores.setdefault(spelled, set()).add(number)
        automaton = ahocorasick.Automaton()
        for core, numbers in cores.items():
            automaton.add_word(core, numbers)
        automaton.make_automaton()
        return automaton


def _number_of(found: "re.Match[bytes]") -> int:
    digits = found["plain"].replace(b"%3", b"") if found["plain"] else found["hex"][1::2]
    return sum("0189".index(chr(digit)) << 2 * place for place, digit in enumerate(reversed(digits)))


def texts_of(path: Path) -> Iterator[bytes]:
    """Yield all text of a file: its bytes, and what gzip or Parquet hides in them."""
    content = path.read_bytes()
    yield content
    if content.startswith(_GZIP):
        yield gzip.decompress(content)
    if len(content) > 12 and content.startswith(b"PAR1") and content.endswith(b"PAR1"):
        yield from (text.encode() for text in decode_parquet(path))


def decode_parquet(path: Path) -> Iterator[str]:
    """Yield every dictionary entry, statistic and footer of a Parquet file."""
    metadata = pq.read_metadata(path)
    yield json.dumps({repr(key): repr(value) for key, value in (metadata.metadata or {}).items()})
    yield str(metadata.to_dict())
    texts = [field.name for field in pq.read_schema(path) if str(field.type) == "string"]
    with pq.ParquetFile(path, read_dictionary=texts) as file:
        for group in range(file.num_row_groups):
            for column in file.read_row_group(group, columns=texts).columns:
                for chunk in column.chunks:
                    dictionary: Any = getattr(chunk, "dictionary")  # noqa: B009 - the stubs don't know it
                    yield "\n".join(text for text in dictionary.to_pylist() if text is not None)
