"""The catalog: a pure function of the manifests and retractions that are in the public store."""

import hashlib

from jobs.layout import MANIFEST, release_prefix, version_order
from jobs.publish.site import render_site
from jobs.published import parse_public, read_retraction, read_retractions, read_standing
from jobs.store import Store
from schemas.digest import readable_json
from schemas.manifest import Catalog, CatalogEntry, Manifest, Retraction

CATALOG = "catalog.json"
INDEX = "index.html"


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
        catalog = write_catalog(store)
        if _present_catalog(store) == catalog:
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
            parsed = parse_public(Manifest, release_prefix(entry.version) + MANIFEST, manifest)
            manifests[entry.version] = (parsed, hashlib.sha256(manifest).hexdigest())
    if readable_json(build_catalog(manifests, retractions)) == content:
        return None
    return "is not what the manifests and retractions say; the next 'opspub publish' mends it"


def announce_retraction(store: Store, tombstone: Retraction) -> Catalog:
    """Write catalog and index as if the tombstone were there already: readers learn of it before anything else."""
    return write_catalog(store, tombstone)


def write_catalog(store: Store, *pending: Retraction) -> Catalog:
    """Write catalog and index once, from what is in the store and the tombstones that are about to be."""
    catalog = _present_catalog(store, *pending)
    store.put(CATALOG, readable_json(catalog))
    store.put(INDEX, render_site(catalog))
    return catalog


def _present_catalog(store: Store, *pending: Retraction) -> Catalog:
    retractions = {tombstone.version: tombstone for tombstone in pending} | read_retractions(store)
    return build_catalog(read_standing(store, retractions), retractions)
