"""The catalog: a pure function of the manifests and retractions that are in the public store."""

import hashlib
from typing import TypeVar

from pydantic import ValidationError

from jobs.publish.site import render_site
from jobs.release.layout import MANIFEST, VERSION, release_prefix, version_order
from jobs.store import Store
from schemas.digest import readable_json
from schemas.errors import StoreError
from schemas.manifest import Catalog, CatalogEntry, Manifest, Retraction

_Model = TypeVar("_Model", Manifest, Retraction)

CATALOG = "catalog.json"
INDEX = "index.html"


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
    return _manifests(store, _retractions(store))


def read_retraction(store: Store, version: str) -> Retraction | None:
    """Return the tombstone of a release, if it has one."""
    key = retraction_key(version)
    content = store.get(key)
    return None if content is None else _parse(Retraction, key, content)


def build_catalog(manifests: dict[str, tuple[Manifest, str]], retractions: dict[str, Retraction]) -> Catalog:
    """Return the catalog, newest version last. Pure."""
    entries = [
        CatalogEntry(
            version=version,
            path=release_prefix(version),
            created=manifest.created,
            manifest_sha256=sha256,
            bytes=manifest.totals.bytes,
            rows=manifest.totals.rows,
            provenance=manifest.provenance,
            time=manifest.time,
        )
        for version, (manifest, sha256) in manifests.items()
        if version not in retractions
    ]
    latest = max((entry.version for entry in entries), key=version_order, default=None)
    entries += [
        CatalogEntry(
            version=version,
            path=release_prefix(version),
            created=tombstone.created,
            manifest_sha256=tombstone.manifest_sha256,
            bytes=tombstone.bytes,
            rows=tombstone.rows,
            provenance=tombstone.provenance,
            time=tombstone.time,
            status="retracted",
            reason=tombstone.reason,
        )
        for version, tombstone in retractions.items()
    ]
    return Catalog(latest=latest, releases=tuple(sorted(entries, key=lambda entry: version_order(entry.version))))


def rebuild_catalog(store: Store) -> Catalog:
    """Write catalog and index from what is in the store, again until nothing came in between."""
    while True:
        catalog = _write_catalog(store, {})
        if _present_catalog(store, {}) == catalog:
            return catalog


def check_catalog(store: Store, found: Catalog, content: bytes) -> str | None:
    """Return what is wrong with a catalog, which must be what the manifests and retractions that it names give.

    Needs no right to list. A release that it leaves out is seen only by who may.
    """
    manifests, retractions = {}, {}
    for entry in found.releases:
        if entry.status == "retracted":
            if tombstone := read_retraction(store, entry.version):
                retractions[entry.version] = tombstone
        elif manifest := store.get(release_prefix(entry.version) + MANIFEST):
            parsed = _parse(Manifest, release_prefix(entry.version) + MANIFEST, manifest)
            manifests[entry.version] = (parsed, hashlib.sha256(manifest).hexdigest())
    if readable_json(build_catalog(manifests, retractions)) == content:
        return None
    return "is not what the manifests and retractions say; the next 'opspub publish' mends it"


def announce_retraction(store: Store, tombstone: Retraction) -> Catalog:
    """Write catalog and index as if the tombstone were there already: readers learn of it before anything else."""
    return _write_catalog(store, {tombstone.version: tombstone})


def _write_catalog(store: Store, pending: dict[str, Retraction]) -> Catalog:
    catalog = _present_catalog(store, pending)
    store.put(CATALOG, readable_json(catalog))
    store.put(INDEX, render_site(catalog))
    return catalog


def _present_catalog(store: Store, pending: dict[str, Retraction]) -> Catalog:
    retractions = pending | _retractions(store)
    return build_catalog(_manifests(store, retractions), retractions)


def _manifests(store: Store, retractions: dict[str, Retraction]) -> dict[str, tuple[Manifest, str]]:
    """Return every manifest but those of retracted releases, which may be anything and on their way out."""
    found = {}
    for key in store.list("releases/"):
        folders = key.split("/")
        if len(folders) == 3 and folders[2] == MANIFEST and VERSION.fullmatch(folders[1]):
            version = folders[1]
            content = None if version in retractions else store.get(key)
            if content is not None:
                found[version] = (_parse(Manifest, key, content), hashlib.sha256(content).hexdigest())
    return found


def _retractions(store: Store) -> dict[str, Retraction]:
    found = {}
    for key in store.list("retractions/"):
        content = store.get(key)
        if content is not None:
            tombstone = _parse(Retraction, key, content)
            found[tombstone.version] = tombstone
    return found


def _parse(model: type[_Model], key: str, content: bytes) -> _Model:
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        raise StoreError(f"{key} in the public store cannot be read: {error.error_count()} problems") from None
