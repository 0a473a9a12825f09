"""The order of a file's rows must tell nothing of the order of raw names: a shuffled one passes, any other does not."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from anonymize.audit.raworder import OrderCheck, Origin, chance_of_order, check_raw_order
from schemas.arrow import staged_schema
from schemas.raw import Raw
from schemas.registry import find_table

TABLE = find_table("container")
BASE32 = "234567abcdefghijklmnopqrstuvwxyz"  # as they sort


def as_token(prefix: str, number: int) -> str:
    """Return a token that sorts as its number does."""
    return f"{prefix}_{''.join(BASE32[number >> 5 * place & 31] for place in reversed(range(16)))}"


def a_world(namespaces: int, pods: int, *, shuffled: bool) -> tuple[list[tuple[str, str]], dict[str, Origin]]:
    """Return pairs of tokens of namespaces and pods, and what they were made from: in order, or as chance has it."""
    chance = random.Random(7)

    def numbers(count: int) -> list[int]:
        return chance.sample(range(1 << 30), count) if shuffled else list(range(count))

    origins: dict[str, Origin] = {}
    pairs = []
    for one, number in enumerate(numbers(namespaces)):
        ns = as_token("ns", number)
        origins[ns] = ("namespace", f"team-{one:04}")
        for two, own in enumerate(numbers(pods)):
            pod = as_token("pod", one << 40 | own)
            origins[pod] = ("pod", f"team-{one:04}", f"web-{two:04}")
            pairs.append((ns, pod))
    return pairs, origins


def check(path: Path, pairs: Sequence[tuple[str, str]], origins: Mapping[str, Origin]) -> OrderCheck:
    """Write a file with three rows for each pair, as they come, and check it."""
    columns: dict[str, Any] = {
        "metric": ["container_cpu_usage_seconds_total"] * 3 * len(pairs),
        "timestamp": [0, 1, 2] * len(pairs),
        "series_id": ["s_" + 16 * "a"] * 3 * len(pairs),
        "namespace": [ns for ns, _ in pairs for _ in range(3)],
        "pod": [pod for _, pod in pairs for _ in range(3)],
        "value": [0.0] * 3 * len(pairs),
    }
    schema = staged_schema(TABLE)
    arrays = [
        pa.array(columns[each.name], each.type) if each.name in columns else pa.nulls(3 * len(pairs), each.type)
        for each in schema
    ]
    pq.write_table(pa.table(arrays, schema=schema), path, store_schema=False)

    def names_of(tokens: Collection[str]) -> Raw[Mapping[str, Origin]]:
        return Raw("names", {token: origins[token] for token in tokens if token in origins})

    return check_raw_order(path, place="a file", table=TABLE, names_of=names_of)


def codes(found: OrderCheck) -> list[tuple[str, str]]:
    return [(each.place, each.code) for each in found.findings]


@pytest.mark.parametrize(("namespaces", "pods"), [(16, 1), (200, 1), (1, 16), (8, 8)])
def test_rows_in_the_order_of_raw_names_are_found(namespaces: int, pods: int, tmp_path: Path) -> None:
    """Few names are enough, in one scope or in several together; and so is the reverse."""
    pairs, origins = a_world(namespaces, pods, shuffled=True)

    for rows in (pairs, pairs[::-1]):
        found = check(tmp_path / "a.parquet", rows, origins)
        assert {code for _, code in codes(found)} == {"order-of-raw-names"}, len(rows)
        assert "team-" not in str(found)
        assert "web-" not in str(found)


@pytest.mark.parametrize("pods", [1, 20])
def test_rows_that_are_sorted_by_random_tokens_pass(pods: int, tmp_path: Path) -> None:
    pairs, origins = a_world(60, pods, shuffled=True)

    found = check(tmp_path / "a.parquet", sorted(pairs), origins)

    assert found == OrderCheck(60 + (60 * pods if pods > 1 else 0), ())


def test_tokens_that_are_counted_in_the_order_of_names_are_found_in_a_file_that_is_sorted(tmp_path: Path) -> None:
    """As a tool does that numbers what it meets: no look at the tokens alone can tell."""
    pairs, origins = a_world(40, 1, shuffled=False)

    found = check(tmp_path / "a.parquet", sorted(pairs), origins)

    assert codes(found) == [("a file: order of namespace", "order-of-raw-names")]


def test_what_every_pod_repeats_counts_once(tmp_path: Path) -> None:
    """Three names in order are chance; a thousand namespaces of one pod each are compared among themselves alone."""
    pairs, origins = a_world(3, 1, shuffled=False)

    assert check(tmp_path / "a.parquet", sorted(pairs * 400), origins) == OrderCheck(3, ())


def test_a_token_that_the_run_did_not_make_is_found(tmp_path: Path) -> None:
    pairs, origins = a_world(30, 1, shuffled=True)
    del origins[pairs[0][0]]

    assert codes(check(tmp_path / "a.parquet", sorted(pairs), origins)) == [
        ("a file: order of namespace", "token-of-no-name")
    ]


def test_the_bound_is_never_below_the_true_chance() -> None:
    """By counting all orders of some rows: a file is refused for what chance would do too rarely, not for chance."""
    for lengths in ((6,), (4, 3), (2, 2, 2, 3)):
        orders = [list(itertools.permutations(range(length))) for length in lengths]
        every = list(itertools.product(*orders))
        mean = sum(length * (length - 1) for length in lengths) / 4
        off = [abs(sum(a > b for row in each for a, b in itertools.combinations(row, 2)) - mean) for each in every]
        some = slice(None, None, max(1, len(every) // 20))
        for each, own in zip(every[some], off[some], strict=True):
            true = sum(other >= own for other in off) / len(off)
            assert chance_of_order(each) >= min(1.0, true) - 1e-9


def test_the_bound_is_sharp_where_it_matters() -> None:
    """Of a row in order it is hardly more than the truth; a shuffled one of thousands is as likely as any other."""
    chance = random.Random(3)
    assert chance_of_order([range(12)]) < 4 / math.factorial(12)
    for _ in range(5):
        assert chance_of_order([chance.sample(range(2_000), 2_000), chance.sample(range(9), 9)]) > 1e-5
