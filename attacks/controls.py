"""Where each attack must succeed: copies of a release without the treatment that stands against it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from attacks.differencing import VOCABULARY
from attacks.knowledge import Name, Truth
from attacks.published import Published
from attacks.weakened import hide_weakly, index_files, replace_texts, rewrite, sort_by_raw_names, weak_pseudonymizers
from schemas.policy import OTHER, Policy

MODEL_LABEL = "modelName"
FAMILY = "gpu_family"


def without_key(release: Published, truth: Truth, folder: Path) -> dict[str, tuple[Published, dict[str, Name]]]:
    """Return builds of the release without a secret, each with what its tokens stand for."""
    built = {}
    for number, (says, weak) in enumerate(weak_pseudonymizers().items()):
        tokens = truth.translate(weak)
        names = {tokens[token]: name for token, name in truth.names.items()}
        built[says] = hide_weakly(release, folder / f"unkeyed-{number}", tokens), names
    return built


def sorted_before_hiding(release: Published, truth: Truth, folder: Path) -> Published:
    """Return indexes whose rows stand in the order of the raw names."""
    raw = {token: "/".join(name.parts) for token, name in truth.names.items()}

    def sort(rows: pa.Table) -> pa.Table:
        column = next((name for name in ("pod", "node", "namespace") if name in rows.column_names), "series_id")
        return sort_by_raw_names(rows, column, raw)

    return rewrite(release, folder / "sorted", sort, index_files(release))


def as_long_as_names(release: Published, truth: Truth, folder: Path) -> tuple[Published, dict[str, Name]]:
    """Return indexes whose tokens are as long as the names that they hide, and what they stand for."""
    tokens = {
        token: f"{name.prefix}_{hashlib.shake_128(token.encode()).hexdigest(len(name.own))[: len(name.own)]}"
        for token, name in truth.names.items()
        if token in release.tokens and name.prefix != "s"
    }
    names = {tokens[token]: truth.names[token] for token in tokens}
    return rewrite(release, folder / "long", lambda rows: replace_texts(rows, tokens), index_files(release)), names


def families_of(release: Published, truth: Truth, policy: Policy) -> dict[tuple[str, int], str]:
    """Return each GPU's true family by node token and number, as the policy's vocabulary words it."""
    words = policy.vocabularies[VOCABULARY].members
    index = release.series("gpu")
    columns = (index.column(name).to_pylist() for name in ("series_id", "node", "gpu"))
    return {
        (node, gpu): words.get(truth.labels[series].get(MODEL_LABEL, ""), OTHER)
        for series, node, gpu in zip(*columns, strict=True)
        if node is not None and gpu is not None and series in truth.labels
    }


def with_families(release: Published, families: Mapping[tuple[str, int], str], folder: Path) -> Published:
    """Return a copy of the GPUs' table, rows included, in which each GPU's family stands as given."""

    def change(rows: pa.Table) -> pa.Table:
        if not {"node", "gpu", FAMILY} <= set(rows.column_names):
            return rows
        gpus: Any = zip(rows.column("node").to_pylist(), rows.column("gpu").to_pylist(), strict=True)
        at = rows.schema.get_field_index(FAMILY)
        return rows.set_column(at, rows.schema.field(at), pa.array([families.get(gpu) for gpu in gpus], pa.string()))

    paths = [*index_files(release), *release.files("gpu")]
    return rewrite(release, folder, change, paths)


def hide_rare(families: Mapping[tuple[str, int], str], *, k: int) -> dict[tuple[str, int], str]:
    """Return the families with ``other`` for those that fewer than ``k`` nodes have: the label hidden, and no more."""
    nodes: dict[str, set[str]] = {}
    for (node, _), family in families.items():
        nodes.setdefault(family, set()).add(node)
    return {gpu: family if len(nodes[family]) >= k else OTHER for gpu, family in families.items()}
