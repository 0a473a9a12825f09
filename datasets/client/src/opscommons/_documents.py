"""What catalog.json and manifest.json say, as frozen values. Pure: bytes in, values out.

The publisher's models are stricter; a reader passes over keys and roles that it doesn't know, since minor
versions of the format may add them, and stops at a newer major version.
"""

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any, TypeVar

from opscommons._errors import CorruptFile, NewerFormat, NotARelease
from opscommons._instants import parse_instant

KNOWN_MAJOR = 1

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ReleaseFile:
    """One file of a release; ``path`` is relative to the release's folder and not yet URL-encoded."""

    path: str
    role: str
    bytes: int
    sha256: str
    rows: int | None = None
    table: str | None = None
    metric: str | None = None
    date: dt.date | None = None
    min_timestamp: datetime | None = None
    max_timestamp: datetime | None = None


@dataclass(frozen=True, slots=True)
class ReleaseTable:
    """One table of a release."""

    table: str
    schema_version: str
    rows: int
    series: int
    metrics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a release says of itself. ``document`` is the whole JSON, for what this library has no name for."""

    format_version: str
    version: str
    title: str
    license: str
    provenance: str
    created: datetime
    start: datetime
    end: datetime
    step_ms: int
    time: str
    """``calendar``, or ``shifted`` or ``relative``: then every instant is moved by whole weeks or days."""
    tier: str
    """``series``, or ``aggregate``: then it holds sums over groups, and no series."""
    sources: tuple[str, ...]
    key_id: str
    policy: str
    tables: tuple[ReleaseTable, ...]
    files: tuple[ReleaseFile, ...]
    document: Mapping[str, Any] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """One release in a store's catalog."""

    version: str
    path: str
    created: datetime
    manifest_sha256: str
    bytes: int
    rows: int
    provenance: str
    status: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Catalog:
    """Which releases a store has, the newest last."""

    latest: str | None
    releases: tuple[CatalogEntry, ...]


class _Reader:
    """A JSON object that is read key by key, and says what is wrong with which key."""

    def __init__(self, document: object, *, name: str) -> None:
        if not isinstance(document, dict):
            raise NotARelease(f"{name} holds {type(document).__name__}, wanted a JSON object")
        self.document: dict[str, Any] = document
        self._name = name

    def get(self, key: str, kind: type[T]) -> T:
        value = self.document.get(key)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            found = "nothing" if key not in self.document else type(value).__name__
            raise NotARelease(f"{self._name} has {found} at {key!r}, wanted {kind.__name__}")
        return value

    def maybe(self, key: str, kind: type[T]) -> T | None:
        return None if self.document.get(key) is None else self.get(key, kind)

    def instant(self, key: str) -> datetime:
        return parse_instant(self.get(key, str))

    def maybe_instant(self, key: str) -> datetime | None:
        return None if self.document.get(key) is None else self.instant(key)

    def strings(self, key: str) -> tuple[str, ...]:
        return tuple(str(item) for item in self.get(key, list))

    def children(self, key: str) -> "list[_Reader]":
        return [_Reader(item, name=f"{self._name} {key}[{i}]") for i, item in enumerate(self.get(key, list))]

    def child(self, key: str) -> "_Reader":
        return _Reader(self.document.get(key), name=f"{self._name} {key}")


def parse_manifest(content: bytes, *, name: str) -> Manifest:
    """Return the manifest that these bytes hold."""
    reader = _Reader(_parse_json(content, name=name), name=name)
    release = reader.child("release")
    return Manifest(
        format_version=_check_format(reader, name=name),
        version=release.get("version", str),
        title=release.get("title", str),
        license=release.get("license", str),
        provenance=reader.get("provenance", str),
        created=reader.instant("created"),
        start=reader.instant("start"),
        end=reader.instant("end"),
        step_ms=reader.get("step_ms", int),
        time=reader.maybe("time", str) or "calendar",
        tier=reader.maybe("tier", str) or "series",
        sources=reader.strings("sources"),
        key_id=reader.get("key_id", str),
        policy=reader.get("policy", str),
        tables=tuple(
            ReleaseTable(
                table=table.get("table", str),
                schema_version=table.get("schema_version", str),
                rows=table.get("rows", int),
                series=table.get("series", int),
                metrics=table.strings("metrics"),
            )
            for table in reader.children("tables")
        ),
        files=tuple(_parse_file(file, name=name) for file in reader.children("files")),
        document=reader.document,
    )


def parse_catalog(content: bytes, *, name: str) -> Catalog:
    """Return the catalog that these bytes hold."""
    reader = _Reader(_parse_json(content, name=name), name=name)
    _check_format(reader, name=name)
    return Catalog(
        latest=reader.maybe("latest", str),
        releases=tuple(
            CatalogEntry(
                version=entry.get("version", str),
                path=_check_path(entry.get("path", str), name=name),
                created=entry.instant("created"),
                manifest_sha256=entry.get("manifest_sha256", str).lower(),
                bytes=entry.get("bytes", int),
                rows=entry.get("rows", int),
                provenance=entry.get("provenance", str),
                status=entry.get("status", str),
                reason=entry.maybe("reason", str),
            )
            for entry in reader.children("releases")
        ),
    )


def _parse_file(file: _Reader, *, name: str) -> ReleaseFile:
    day = file.maybe("date", str)
    return ReleaseFile(
        path=_check_path(file.get("path", str), name=name),
        role=file.get("role", str),
        bytes=file.get("bytes", int),
        sha256=file.get("sha256", str).lower(),
        rows=file.maybe("rows", int),
        table=file.maybe("table", str),
        metric=file.maybe("metric", str),
        date=None if day is None else dt.date.fromisoformat(day),
        min_timestamp=file.maybe_instant("min_timestamp"),
        max_timestamp=file.maybe_instant("max_timestamp"),
    )


def _parse_json(content: bytes, *, name: str) -> object:
    if looks_like_html(content):
        raise NotARelease(f"{name} is a web page, wanted JSON; is the address that of the store itself?")
    try:
        document: object = json.loads(content)
    except ValueError as error:
        raise NotARelease(f"{name} is not JSON: {error}") from error
    return document


def _check_format(reader: _Reader, *, name: str) -> str:
    found = reader.get("format_version", str)
    major = found.split(".")[0]
    if not major.isdigit():
        raise NotARelease(f"{name} has format_version {found!r}, wanted a number such as {KNOWN_MAJOR}.0")
    if int(major) > KNOWN_MAJOR:
        raise NewerFormat(name, found=found, known_major=KNOWN_MAJOR)
    return found


def _check_path(path: str, *, name: str) -> str:
    """Return the path if it stays inside its folder: it is joined to folders on the reader's machine."""
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or ".." in pure.parts or "\\" in path or "\0" in path:
        raise CorruptFile(f"{name} names {path!r}, which leads out of its folder", paths=[path])
    return path.rstrip("/")


def looks_like_html(content: bytes) -> bool:
    """Tell whether these bytes begin like a web page or an XML error.

    >>> looks_like_html(b"<!DOCTYPE html><title>504</title>"), looks_like_html(b"PAR1")
    (True, False)
    """
    return content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<"
