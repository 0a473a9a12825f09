"""The shapes of things that never belong in what people read: addresses, ids, secrets. The second net for text."""

import re
from collections.abc import Collection
from typing import Final

SHAPES: Final = {
    "ipv4-address": re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])"),
    "ipv6-address": re.compile(r"(?<![0-9a-fA-F:])(?:[0-9a-fA-F]{1,4}:){3,7}[0-9a-fA-F]{1,4}(?![0-9a-fA-F:])"),
    "mac-address": re.compile(r"(?<![0-9a-fA-F:])(?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}(?![0-9a-fA-F:])"),
    "uuid": re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"),
    "e-mail-address": re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+"),
    "jwt": re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\."),
    "openshift-token": re.compile(r"\bsha256~[\w-]{20,}"),
    "pem-block": re.compile(r"-----BEGIN [A-Z ]+-----"),
    "bearer-token": re.compile(r"\bBearer\s+[\w.~+/-]{16,}"),
    "aws-key-id": re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    "aws-arn": re.compile(r"\barn:aws[\w-]*:"),
    "url-with-password": re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s/:@]+:[^\s/@]+@"),
    "gpu-uuid": re.compile(r"\bGPU-[0-9a-f]{8}-"),
}

_SHORTEST_ADDRESS: Final = 5
"""No shape is shorter, so a shorter phrase has none to excuse; taken out, it would tear those of others apart."""


def find_shapes(text: str, *, allowed: Collection[str] = ()) -> dict[str, int]:
    """Return shape name to how often it occurs, once what the operator publishes on purpose is taken out.

    >>> find_shapes("Ask ops@lab.example, or 10.0.0.7", allowed=["ops@lab.example", "0"])
    {'ipv4-address': 1}
    """
    for known in allowed:
        if len(known) >= _SHORTEST_ADDRESS:
            text = text.replace(known, " ")
    counts = {name: len(shape.findall(text)) for name, shape in SHAPES.items()}
    return {name: count for name, count in counts.items() if count}
