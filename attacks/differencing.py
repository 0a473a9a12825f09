"""Tell a hidden word from what else is published: from capacities, from another table, from another release.

A word that few share stands as ``other``. Whoever holds a data sheet tells a GPU by its memory all the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from attacks.published import Published
from schemas.attacks import Differencing
from schemas.policy import OTHER

MEMORY_MIB = {
    "A10": (23028,), "A100": (40960, 81920), "A30": (24576,), "H100": (81559, 95830), "H200": (143771,),
    "L4": (23034,), "L40S": (46068,), "T4": (15360, 16384), "V100": (16160, 32510),
}  # fmt: skip
"""What the makers' data sheets and nvidia-smi say."""
TOLERANCE = 0.01
"""A part is reserved and in neither."""
VOCABULARY = "gpu_families"
Gpu = tuple[str, int]


def attack_hidden_families(
    release: Published, *, others: Sequence[Published] = (), truth: Mapping[Gpu, str]
) -> Differencing:
    """Return of how many GPUs with a hidden family the family can be told, and how.

    ``others`` are releases of the same key; ``truth`` is each GPU's family, to judge a guess by.
    """
    words = _read_words(release)
    hidden = {gpu for found in words.values() for gpu, word in found.items() if word == OTHER}
    memory = _read_memory(release)

    def count(guess: Mapping[Gpu, str]) -> int:
        return sum(guess.get(gpu) == truth.get(gpu, "") for gpu in hidden)

    return Differencing(
        hidden=len(hidden),
        told_by_values=count({gpu: family for gpu, mib in memory.items() if (family := _nearest(mib))}),
        told_by_tables=count(_shown(words)),
        told_by_releases=count({gpu: word for other in others for gpu, word in _shown(_read_words(other)).items()}),
    )


def _read_words(release: Published) -> dict[str, dict[Gpu, str]]:
    """Return by table what each GPU's family is said to be; what is hidden anywhere is hidden."""
    found: dict[str, dict[Gpu, str]] = defaultdict(dict)
    for table in release.tables:
        names = {label["name"] for label in release.labels(table)}
        columns = [label["name"] for label in release.labels(table) if label.get("vocabulary") == VOCABULARY]
        if {"node", "gpu"} <= names:
            index = release.series(table)
            for column in columns:
                for node, gpu, word in _rows(index.column("node"), index.column("gpu"), index.column(column)):
                    found[table][node, gpu] = OTHER if found[table].get((node, gpu)) == OTHER else word
    return found


def _shown(words: Mapping[str, Mapping[Gpu, str]]) -> dict[Gpu, str]:
    return {gpu: word for found in words.values() for gpu, word in found.items() if word != OTHER}


def _read_memory(release: Published) -> dict[Gpu, float]:
    """Return what used and free memory add up to, in MiB."""
    sums: dict[tuple[Gpu, object], float] = defaultdict(float)
    for metric in ("DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_FB_FREE"):
        if "gpu" in release.tables:
            rows = release.rows("gpu", metric, ["node", "gpu", "timestamp", "value"])
            for node, gpu, at, value in _rows(*(rows.column(name) for name in rows.column_names)):
                sums[(node, gpu), at] += value
    totals: dict[Gpu, list[float]] = defaultdict(list)
    for (gpu, _), total in sums.items():
        totals[gpu].append(total)
    return {gpu: median(found) for gpu, found in totals.items()}  # as a pod goes, both its series and the next count


def _nearest(mib: float) -> str | None:
    apart, family = min((abs(mib / size - 1), family) for family, sizes in MEMORY_MIB.items() for size in sizes)
    return family if apart <= TOLERANCE else None


def _rows(*columns: object) -> Iterator[tuple]:  # type: ignore[type-arg]
    for row in zip(*(column.to_pylist() for column in columns), strict=True):  # type: ignore[attr-defined]
        if None not in row:
            yield row
