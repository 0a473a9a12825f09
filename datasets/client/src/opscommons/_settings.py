"""The one door to the environment."""

import os
from pathlib import Path


def default_url() -> str | None:
    """Return the store that the command reads when none is named: ``OPSCOMMONS_URL``."""
    return os.environ.get("OPSCOMMONS_URL") or None  # noqa: TID251 - this is the client's door


def cache_folder() -> Path:
    """Return where files of remote stores are kept: ``OPSCOMMONS_CACHE``, else ``~/.cache/opscommons``."""
    named = os.environ.get("OPSCOMMONS_CACHE")  # noqa: TID251
    if named:
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")  # noqa: TID251
    return (Path(base) if base else Path.home() / ".cache") / "opscommons"


def s3_endpoint() -> str | None:
    """Return the S3 server to ask instead of Amazon's."""
    return os.environ.get("S3_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT_URL") or None  # noqa: TID251


def s3_region() -> str | None:
    """Return the region that the environment names."""
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or None  # noqa: TID251
