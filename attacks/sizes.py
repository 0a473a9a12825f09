"""Read lengths of names off sizes: bytes of a column chunk for each token in it, against the names that they hide."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow.parquet as pq

from attacks.knowledge import Name
from attacks.published import Published
from attacks.statistics import chance_correlation, correlate, rank
from schemas.attacks import Sizes

LEAST = 10
"""Tokens in a chunk; the size of fewer is mostly headers."""


def attack_sizes(release: Published, names: Mapping[str, Name]) -> Sizes:
    """Return how sizes in indexes and data files follow the mean length of the hidden names."""
    paths = sorted(release.folder.rglob("*.parquet"))
    weighed = [pair for path in paths for pair in _weigh(path, names)]
    chance = chance_correlation(len(weighed))
    if not weighed:
        return Sizes(groups=0, correlation=0.0, chance=chance)
    sizes, lengths = zip(*weighed, strict=True)
    found = abs(correlate(rank(sizes), rank(lengths)))
    return Sizes(groups=len(weighed), correlation=min(1.0, found), chance=chance)


def _weigh(path: Path, names: Mapping[str, Name]) -> Iterator[tuple[float, float]]:
    """Yield bytes for each token and mean length of the names, of every column chunk that holds tokens alone."""
    with pq.ParquetFile(path) as file:
        metadata = file.metadata
        for group in range(metadata.num_row_groups):
            for at in range(metadata.num_columns):
                chunk = metadata.row_group(group).column(at)
                if chunk.physical_type != "BYTE_ARRAY" or chunk.path_in_schema == "series_id":
                    continue
                rows = file.read_row_group(group, columns=[chunk.path_in_schema]).column(0)
                tokens = [token for token in rows.unique().to_pylist() if token is not None]
                if len(tokens) >= LEAST and all(token in names for token in tokens):
                    lengths = [len(names[token].own) for token in tokens]
                    yield round(_dictionary_bytes(path, chunk) / len(tokens), 3), sum(lengths) / len(lengths)


def _dictionary_bytes(path: Path, chunk: pq.ColumnChunkMetaData) -> int:
    """Return what the distinct words of a chunk take: from where its dictionary begins to where its rows do."""
    if chunk.dictionary_page_offset is None:
        return chunk.total_uncompressed_size
    return chunk.data_page_offset - chunk.dictionary_page_offset
