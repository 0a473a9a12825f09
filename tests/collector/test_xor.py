"""The decoder of XOR chunks: against an encoder that shares nothing with it, and against broken chunks."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from collector.kernels.xor import BAD_VARINT, TRUNCATED
from tests.collector.effort import FULL
from tests.collector.fuzz import decode, draw_samples, fuzz
from tests.collector.gorilla import encode_chunk
from tests.collector.hostile import PAYLOADS, SPECIALS, STALE, to_bits

NOW = 1_795_460_400_000
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 119, 120, 121, 240, 4_000])
def test_what_was_encoded_is_decoded(count: int) -> None:
    samples = draw_samples(random.Random(count), count)

    assert decode(encode_chunk(samples)) == (count, samples)


def test_a_thousand_drawn_chunks_are_decoded() -> None:
    for seed in range(20_000 if FULL else 1_000):
        rng = random.Random(seed)
        samples = draw_samples(rng, rng.randint(1, 30))
        assert decode(encode_chunk(samples)) == (len(samples), samples), f"seed {seed}"


@pytest.mark.parametrize("width", [14, 17, 20])
def test_both_ends_of_every_width_of_a_delta_are_decoded(width: int) -> None:
    """Prometheus's ranges hold one number more above zero than below."""
    top = 1 << (width - 1)
    for change in (top - 1, top, top + 1, 1 - top, -top, -top - 1):
        start = 2 * top
        samples = [(NOW, 0), (NOW + start, 1), (NOW + 2 * start + change, 2)]
        assert decode(encode_chunk(samples)) == (3, samples)


def test_every_special_value_keeps_its_bits() -> None:
    samples = [(NOW + n, bits) for n, bits in enumerate((*SPECIALS, STALE, *PAYLOADS) * 3)]

    assert decode(encode_chunk(samples)) == (len(samples), samples)


def test_a_value_may_change_in_all_64_bits_and_in_the_lowest_only() -> None:
    """64 significant bits are written as 0, and 63 leading zeros as 31."""
    values = [0, (1 << 64) - 1, 0, 1, 0, 1 << 63, (1 << 63) | 1, 1 << 62]
    samples = [(NOW + n, bits) for n, bits in enumerate(values)]

    assert decode(encode_chunk(samples)) == (len(samples), samples)


def test_times_before_1970_and_far_ahead_are_decoded() -> None:
    samples = [(-(2**62), 1), (-1, 2), (0, 3), (2**62, 4)]

    assert decode(encode_chunk(samples)) == (4, samples)


def test_every_cut_of_a_chunk_is_refused() -> None:
    """All of its bits are needed, so that a cut one can't announce its samples and hold them."""
    chunk = encode_chunk([(NOW + 15_000 * n + n % 3, to_bits(n / 7)) for n in range(50)])

    for length in range(len(chunk)):
        assert decode(chunk[:length])[0] in (TRUNCATED, 0)
    assert decode(b"")[0] == TRUNCATED
    assert decode(b"\x00")[0] == TRUNCATED


def test_a_chunk_that_announces_more_than_there_is_room_for_is_refused() -> None:
    chunk = encode_chunk([(NOW + n, n) for n in range(10)])

    assert decode(chunk, room=9)[0] == TRUNCATED


def test_a_value_of_more_than_64_bits_is_refused() -> None:
    """31 leading zeros and 63 significant bits; a chunk with as many bits behind it is broken all the same."""
    header = "".join(f"{byte:08b}" for byte in (0, 2, 0)) + "0" * 64 + "00000001" + "11" + "1" * 11
    text = header + "0" * (-len(header) % 8) + "0" * 128

    assert decode(int(text, 2).to_bytes(len(text) // 8, "big"))[0] == TRUNCATED


def test_an_endless_varint_is_refused() -> None:
    assert decode(b"\x00\x01" + b"\x80" * 30)[0] == BAD_VARINT


def test_broken_chunks_are_refused_or_have_the_announced_size() -> None:
    ends = fuzz(0, 1_000_000 if FULL else 3_000)

    assert min(ends["decoded"], ends["refused"]) > 100


@pytest.mark.skipif(not FULL, reason="compiles everything with checks: make test-full")
def test_broken_chunks_never_lead_out_of_an_array(tmp_path: Path) -> None:
    """Compiled anew with numba's bounds checks, which turn any access outside an array into an error."""
    environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}  # noqa: TID251
    command = [sys.executable, "-m", "tests.collector.fuzz", "1000000", "100000"]

    ran = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stderr[-2000:]
    assert "decoded" in ran.stdout
