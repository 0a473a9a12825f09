"""What is public: the manifests and retractions of the public store, read back by every job that must know them."""

import hashlib
from collections.abc import Mapping
from typing import TypeVar

from pydantic import ValidationError

from jobs.layout import MANIFEST, VERSION
from jobs.store import Store
from schemas.errors import StoreError
from schemas.manifest import Manifest, Retraction

_Model = TypeVar("_Model", Manifest, Retraction)


def retraction_key(version: str) -> str:
    """Return where the tombstone of a release lies.

    >>> retraction_key("2026.11.0")
    'retractions/2026.11.0.json'
    """
    return f"retractions/{version}.json"


def read_manifests(store: Store) -> dict[str, Manifest]:
    """Return the manifest of every release that is published: one without its manifest is not, nor a retracted one."""
    return {version: manifest for version, (manifest, _) in read_published(store).items()}


def read_published(store: Store) -> dict[str, tuple[Manifest, str]]:
    """Return the same, each with the SHA-256 of its manifest's bytes."""
    return read_standing(store, read_retractions(store))


def read_retraction(store: Store, version: str) -> Retraction | None:
    """Return the tombstone of a release, if it has one."""
    key = retraction_key(version)
    content = store.get(key)
    return None if content is None else parse_public(Retraction, key, content)


def read_standing(store: Store, retractions: Mapping[str, Retraction]) -> dict[str, tuple[Manifest, str]]:
    """Return every manifest but those of retracted releases, which may be anything and on their way out."""
    found = {}
    for key in store.list("releases/"):
        folders = key.split("/")
        if len(folders) == 3 and folders[2] == MANIFEST and VERSION.fullmatch(folders[1]):
            version = folders[1]
            content = None if version in retractions else store.get(key)
            if content is not None:
                found[version] = (parse_public(Manifest, key, content), hashlib.sha256(content).hexdigest())
    return found


def read_retractions(store: Store) -> dict[str, Retraction]:
    """Return the tombstone of every release that was withdrawn."""
    found = {}
    for key in store.list("retractions/"):
        content = store.get(key)
        if content is not None:
            tombstone = parse_public(Retraction, key, content)
            found[tombstone.version] = tombstone
    return found


def parse_public(model: type[_Model], key: str, content: bytes) -> _Model:
    """Return what an object of the public store says; raise ``StoreError`` for one that says nothing."""
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        raise StoreError(f"{key} in the public store cannot be read: {error.error_count()} problems") from None
