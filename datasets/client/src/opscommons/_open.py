"""From an address to a release: find the catalog, choose a version, check its manifest."""

import hashlib
import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from opscommons import _settings
from opscommons._cache import Cache
from opscommons._documents import Catalog, CatalogEntry, looks_like_html, parse_catalog, parse_manifest
from opscommons._errors import (
    BadRequest,
    CorruptFile,
    MissingFile,
    NotARelease,
    Retracted,
    UnknownRelease,
    Unreachable,
)
from opscommons._http import HttpPlace
from opscommons._places import FolderPlace, NotThere, Place, read_document
from opscommons._release import Release
from opscommons._s3 import S3Place

Location = str | os.PathLike[str]
DOORSTEPS = ("catalog.json", "manifest.json", "index.html")


def open_release(
    location: Location,
    release: str | None = None,
    *,
    manifest_sha256: str | None = None,
    cache: Location | None = None,
    anonymous: bool = True,
) -> Release:
    """Open a release of a public store, or a folder that is itself one release.

    Args:
        location: a folder, ``http(s)://...`` or ``s3://bucket/prefix``.
        release: a version such as ``2026.11.0``; without it the latest that isn't retracted.
        manifest_sha256: the digest that was cited; another manifest is refused.
        cache: where files of remote stores are kept, instead of ``OPSCOMMONS_CACHE`` or ``~/.cache/opscommons``.
        anonymous: ask S3 without credentials; ``False`` uses the environment's.

    """
    place = place_of(location, anonymous=anonymous)
    catalog = read_catalog(place)
    expected = None
    if catalog is not None:
        entry = choose_release(catalog, release, store=place.name)
        place, expected = place.at(entry.path), entry.manifest_sha256
    opened = _read_release(place, expected=expected, cache=Cache(Path(cache or _settings.cache_folder())))
    if release not in (None, opened.version):
        raise UnknownRelease(str(release), known=[opened.version], where=place.name)
    if manifest_sha256 is not None and manifest_sha256.lower() != opened.manifest_sha256:
        raise CorruptFile(
            f"{place.name}/manifest.json has the SHA-256 {opened.manifest_sha256}, cited was {manifest_sha256.lower()}:"
            " this is not the release that was cited",
            paths=["manifest.json"],
        )
    return opened


def read_releases(location: Location, *, anonymous: bool = True) -> tuple[CatalogEntry, ...]:
    """Return every release that a store's catalog names, retracted ones too, the newest last."""
    place = place_of(location, anonymous=anonymous)
    catalog = read_catalog(place)
    if catalog is None:
        raise NotARelease(f"{place.name} has no catalog.json, wanted a public store")
    return catalog.releases


def place_of(location: Location, *, anonymous: bool = True) -> Place:
    """Return the place that an address or a path names."""
    text = os.fspath(location)
    scheme = urlsplit(text).scheme.lower()
    if scheme in ("http", "https"):
        parts = urlsplit(text)
        return HttpPlace(parts._replace(path=_without_doorstep(parts.path)).geturl())
    if scheme == "s3":
        return S3Place(_without_doorstep(text), anonymous)
    if scheme == "file":
        text = unquote(urlsplit(text).path)
    elif "://" in text:
        raise BadRequest(f"{scheme}:// is no address of a store; wanted a folder, http(s):// or s3://")
    folder = Path(_without_doorstep(text) or ".").expanduser()
    if not folder.is_dir():
        raise Unreachable(f"no folder {text}; wanted a store (with catalog.json) or a release (with manifest.json)")
    return FolderPlace(folder)


def choose_release(catalog: Catalog, version: str | None, *, store: str) -> CatalogEntry:
    """Return the entry of a version; without one the catalog's latest, passing over what is retracted."""
    by_version = {entry.version: entry for entry in catalog.releases}
    published = [entry for entry in catalog.releases if entry.status != "retracted"]
    if version is None:
        latest = by_version.get(catalog.latest or "")
        if latest in published:
            return latest
        if published:
            return published[-1]
        raise UnknownRelease("latest", known=[], where=f"{store} (none is published)")
    if version not in by_version:
        raise UnknownRelease(version, known=by_version, where=store)
    entry = by_version[version]
    if entry.status == "retracted":
        raise Retracted(version, reason=entry.reason or "no reason given")
    return entry


def read_catalog(place: Place) -> Catalog | None:
    """Return the store's catalog, or ``None`` if the place has none."""
    try:
        content = read_document(place, "catalog.json")
    except NotThere:
        return None
    return parse_catalog(content, name=f"{place.name}/catalog.json")


def _read_release(place: Place, *, expected: str | None, cache: Cache) -> Release:
    name = f"{place.name}/manifest.json"
    try:
        content = read_document(place, "manifest.json")
    except NotThere as error:
        if expected is not None:
            raise MissingFile(f"the catalog names {name}, which is not there", paths=["manifest.json"]) from error
        raise NotARelease(f"{place.name} has neither catalog.json (a store) nor manifest.json (a release)") from error
    digest = hashlib.sha256(content).hexdigest()
    if expected not in (None, digest):
        found = "is a web page" if looks_like_html(content) else f"has the SHA-256 {digest[:16]}..."
        raise CorruptFile(f"{name} {found}, the catalog says {str(expected)[:16]}...", paths=["manifest.json"])
    return Release(place, parse_manifest(content, name=name), manifest_content=content, cache=cache)


def _without_doorstep(path: str) -> str:
    for name in DOORSTEPS:
        path = path.removesuffix(f"/{name}")
    return path
