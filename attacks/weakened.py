"""Copies of a release that were weakened on purpose: what an attack must succeed on, to be worth anything elsewhere."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from anonymize.keys import PseudonymKey
from anonymize.pseudonyms import Pseudonymizer
from attacks.published import Published

Change = Callable[[pa.Table], pa.Table]
GUESSABLE: Final = hashlib.sha256(b"opscommons").digest()
"""A key that somebody might think up."""


class Unkeyed(Pseudonymizer):
    """The project's own way to tokens, less the key: what a plain digest would give."""

    def __init__(self, algorithm: str, *, with_domain: bool) -> None:
        super().__init__(PseudonymKey("k_none", b""))
        self._algorithm = algorithm
        self._with_domain = with_domain

    def _subkey(self, domain: str) -> Any:  # noqa: ANN401 - a digest stands in for the MAC
        return hashlib.new(self._algorithm, f"{domain}:".encode() if self._with_domain else b"")


def weak_pseudonymizers() -> dict[str, Pseudonymizer]:
    """Return builds that a dictionary must break: without a key in two ways, and under a key that can be guessed."""
    return {
        "unkeyed sha256": Unkeyed("sha256", with_domain=False),
        "unkeyed blake2b behind the domain": Unkeyed("blake2b", with_domain=True),
        "a key that can be guessed": Pseudonymizer(PseudonymKey("k_guess", GUESSABLE)),
    }


def hide_weakly(release: Published, folder: Path, tokens: Mapping[str, str]) -> Published:
    """Return a copy of manifest and indexes in which each token is the weak one for it."""
    weak = rewrite(release, folder, lambda rows: replace_texts(rows, tokens), index_files(release))
    manifest = release.manifest
    sources = [tokens.get(source, source) for source in manifest["sources"]]
    (folder / "manifest.json").write_text(json.dumps({**manifest, "sources": sources}), "utf-8")
    return weak


def rewrite(release: Published, folder: Path, change: Change, paths: Iterable[Path]) -> Published:
    """Return a copy of a release in which some Parquet files, and no others, are there, changed."""
    folder.mkdir(parents=True)
    shutil.copy(release.folder / "manifest.json", folder)
    shutil.copytree(release.folder / "schemas", folder / "schemas")
    for path in paths:
        target = folder / path.relative_to(release.folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(change(pq.read_table(path, partitioning=None)), target, store_schema=False)
    return Published(folder)


def index_files(release: Published) -> list[Path]:
    """Return the indexes of series."""
    return [release.folder / f"series/{table}.parquet" for table in release.tables]


def replace_texts(table: pa.Table, texts: Mapping[str, str]) -> pa.Table:
    """Return rows in which every text that is a key of ``texts`` is its value."""
    for at, column in enumerate(table.schema):
        if pa.types.is_string(column.type) and column.name not in ("metric", "path", "type", "unit"):
            encoded: Any = table.column(at).combine_chunks().dictionary_encode()
            words: Any = pa.array([texts.get(word, word) for word in encoded.dictionary.to_pylist()], pa.string())
            table = table.set_column(at, column, words.take(encoded.indices))
    return table


def sort_by_raw_names(table: pa.Table, column: str, raw: Mapping[str, str]) -> pa.Table:
    """Return rows in the order of what a column's tokens stand for, as a build that sorts before it hides has them."""
    named = pa.array([raw.get(token or "", token) for token in table.column(column).to_pylist()])
    return table.take(pc.sort_indices(named))
