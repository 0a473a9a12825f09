"""One way to write JSON for digests, commits and manifests: sorted keys, no spaces that vary, one newline."""

import hashlib
import json

from pydantic import BaseModel


def canonical_json(value: object) -> bytes:
    """Return the one byte form of a JSON value.

    >>> canonical_json({"b": 1, "a": [1.5]})
    b'{"a":[1.5],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def readable_json(model: BaseModel) -> bytes:
    """Return a model as JSON for people and machines: indented, keys in the model's order."""
    return (json.dumps(model.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n").encode()


def digest(model: BaseModel) -> str:
    """Return the SHA-256 of what a model says, whatever its file looked like.

    Defaults are left out, so that a field added to the model later leaves older digests as they are.
    """
    return "sha256:" + hashlib.sha256(canonical_json(model.model_dump(mode="json", exclude_defaults=True))).hexdigest()
