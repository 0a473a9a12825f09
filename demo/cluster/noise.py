"""Randomness without state: every value is a function of a key and of absolute time.

Only additions, multiplications and table look-ups touch the arrays: their results don't depend on an array's
length or alignment, so a value is the same whichever span it is computed in.
"""

from __future__ import annotations

import hashlib
import math
import random

import numpy as np

from demo.cluster.span import DAY, STEP, Floats, Ints

_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"  # Kubernetes leaves out vowels and look-alikes
_TEMPLATE_LETTERS = "456789bcdf"  # what Kubernetes writes for the ten digits of a hash
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_DAY_STEPS = DAY // STEP
_COSINE = np.array([0.5 + 0.5 * math.cos(2 * math.pi * step / _DAY_STEPS) for step in range(_DAY_STEPS)])


def derive_key(*parts: object) -> int:
    """Return 64 bits that stand for ``parts``."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def seed_random(*parts: object) -> random.Random:
    """Return a generator whose draws depend on ``parts`` only."""
    return random.Random(derive_key(*parts))


def white(key: int, ticks: Ints) -> Floats:
    """Return independent uniform values in [0, 1), one per tick (splitmix64)."""
    mixed = ticks.astype(np.uint64) * _GOLDEN + np.full(1, key, dtype=np.uint64)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _MIX_1
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIX_2
    mixed ^= mixed >> np.uint64(31)
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53


def smooth(key: int, times: Ints, period: int) -> Floats:
    """Return uniform-ish values in [0, 1) that wander from one multiple of ``period`` to the next."""
    if not len(times):
        return np.zeros(0)
    knots = times // period
    first = int(knots.min())
    heights = white(key, np.arange(first, int(knots.max()) + 2, dtype=np.int64))
    left, right = heights[knots - first], heights[knots - first + 1]
    share = (times - knots * period) / period
    return left + (right - left) * (share * share * (3.0 - 2.0 * share))


def rhythm(times: Ints, *, peak_hour: float) -> Floats:
    """Return the daily rhythm in [0, 1], 1 at ``peak_hour`` UTC."""
    shift = int(peak_hour * 3600 // STEP)
    return _COSINE[(times // STEP - shift) % _DAY_STEPS]


def draw_suffix(source: random.Random, length: int = 5) -> str:
    """Return a random suffix as Kubernetes gives pods."""
    return "".join(source.choices(_SUFFIX_LETTERS, k=length))


def draw_template_hash(source: random.Random) -> str:
    """Return what a Deployment puts behind the name of its ReplicaSet."""
    return "".join(source.choices(_TEMPLATE_LETTERS, k=10))


def draw_hex(source: random.Random, length: int) -> str:
    """Return ``length`` random hexadecimal digits."""
    return f"{source.getrandbits(4 * length):0{length}x}"


def draw_uuid(source: random.Random) -> str:
    """Return a random UUID in its usual spelling."""
    digits = draw_hex(source, 32)
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"
