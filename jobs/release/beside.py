"""Private records beside a built release: each is bound to its bytes, and without it nothing may be published."""

from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from schemas.errors import PrivacyError
from schemas.of_release import OfRelease

_Model = TypeVar("_Model", bound=OfRelease)


def path_beside(folder: Path, name: str) -> Path:
    """Return where a record of a release lies: beside it, never inside."""
    return folder.with_name(f"{folder.name}.{name}.json")


def read_beside(folder: Path, name: str, model: type[_Model], *, manifest_sha256: str, tells: str) -> _Model:
    """Return a record of the release in ``folder``; raise ``PrivacyError`` unless it is one of exactly its bytes.

    ``tells`` says in words what nobody knows without it.
    """
    path, hint = path_beside(folder, name), f"build {folder.name} again"
    try:
        record = model.model_validate_json(path.read_bytes())
    except OSError:
        raise PrivacyError(f"nobody knows {tells}; {hint}") from None
    except ValidationError:
        raise PrivacyError(f"{path} does not tell {tells}; {hint}") from None
    if (record.version, record.manifest_sha256) != (folder.name, manifest_sha256):
        raise PrivacyError(f"{path} speaks of other bytes; {hint}")
    return record
