"""Two published releases, one of which is withdrawn, and what must be so afterwards."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from jobs.config import Settings
from jobs.publish.catalog import CATALOG, INDEX
from jobs.publish.retract import RetractResult, run_retract
from jobs.publish.run import run_publish
from jobs.store import WholeStore, open_store
from tests.jobs.audited import CONTENTS, NOW, VERSION, a_clock, publisher_settings, write_audited
from tests.lab.rgw import Gateway
from tests.store.places import BucketPlace

BEFORE: Final = "2026.10.0"
REASON: Final = "A column held what it should not."
EARLIER: Final[Any] = {"start": NOW - timedelta(days=40), "end": NOW - timedelta(days=39)}
PREFIX: Final = f"releases/{VERSION}/"
FILES: Final = len(CONTENTS) + 2


def a_public_bucket(gateway: Gateway) -> BucketPlace:
    """Return a bucket that everybody may read and that keeps versions."""
    place = BucketPlace(gateway, prefix="")
    place.let_everybody_read()
    place.keep_versions()
    return place


def in_bucket(folder: Path, place: BucketPlace, prefix: str = "", **changed: object) -> Settings:
    url = f"{place.url}/{prefix}".rstrip("/")
    return publisher_settings(folder, url, s3_endpoint_url=place.endpoint_url, **changed)


def publish_two(settings: Settings) -> Settings:
    write_audited(settings, BEFORE, **EARLIER)
    write_audited(settings)
    for version in (BEFORE, VERSION):
        run_publish(settings, version, clock=a_clock())
    return settings


def withdraw(settings: Settings, reason: str = REASON) -> RetractResult:
    return run_retract(settings, VERSION, reason=reason, clock=a_clock(NOW + timedelta(hours=3)))


def public_of(settings: Settings) -> WholeStore:
    return open_store(settings.public, endpoint_url=settings.s3_endpoint_url)


def keys_of(settings: Settings) -> list[str]:
    return list(public_of(settings).list(""))


def assert_withdrawn(settings: Settings) -> None:
    """Nothing of it is left but the notice, the attestations and its line in the catalog."""
    store = public_of(settings)
    assert not list(store.survey(PREFIX, now=NOW))
    assert store.get(f"retractions/{VERSION}.json")
    assert store.get(f"releases/{BEFORE}/manifest.json")
    catalog = json.loads(store.get(CATALOG) or b"")
    assert catalog["latest"] == BEFORE
    assert [(entry["version"], entry["status"], entry["reason"]) for entry in catalog["releases"]] == [
        (BEFORE, "published", None),
        (VERSION, "retracted", REASON),
    ]
    assert REASON.encode() in (store.get(INDEX) or b"")
