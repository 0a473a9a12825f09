"""A bucket is cleaned too: of uploads and hidden versions, and by its own clock."""

import time
from pathlib import Path

import pytest

from jobs.clock import read_clock
from jobs.config import Settings
from jobs.publish.verify import run_verify
from jobs.store import Remains, open_store
from jobs.store.s3 import S3Store
from tests.jobs.audited import VERSION, publisher_settings
from tests.jobs.orphans import DAY, HOUR, SECOND, clean, commit_files, stage
from tests.jobs.withdrawn import publish_two
from tests.store.conftest import bucket_place, gateway
from tests.store.places import FULL, BucketPlace

__all__ = ["bucket_place", "gateway"]


def in_buckets(folder: Path, place: BucketPlace) -> Settings:
    """Return settings for a bucket whose clock no test can turn: a run there may take a second only."""
    return publisher_settings(
        folder,
        f"s3://{place.bucket}/public",
        staging=f"s3://{place.bucket}/staging",
        s3_endpoint_url=place.endpoint_url,
        limits={"deadline": "1s"},
    )


@pytest.mark.skipif(not FULL, reason="many processes: make test-full")
@pytest.mark.parametrize("versioned", [False, True] if FULL else [True])
def test_a_bucket_is_cleaned_of_uploads_and_of_every_version_of_an_orphan(
    bucket_place: BucketPlace, tmp_path: Path, versioned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Markers last: without its marker, a version that was deleted before would be an object again."""
    if versioned:
        bucket_place.keep_versions()
    bucket_place.prefix = ""
    settings = in_buckets(tmp_path, bucket_place)
    staging = open_store(settings.staging, endpoint_url=settings.s3_endpoint_url)
    kept = stage(staging, tmp_path, b"kept", 0)
    commit_files(staging, 0, kept)
    orphan = stage(staging, tmp_path, b"orphan", 1)
    staging.put(orphan.path, b"orphan")
    hidden = stage(staging, tmp_path, b"orphan that somebody deleted", 2)
    staging.delete(hidden.path)
    staging.put(kept.path, b"kept")
    for key in ("staging/data/a", "staging/commits/b", "public/releases/2026.11.0/c", "elsewhere/d"):
        bucket_place.begin_upload(key)
    publish_two(settings)
    held = bucket_place.hidden_names()
    assert clean(settings, grace=HOUR) == []
    time.sleep(2.2)

    kinds: list[str] = []
    erase = S3Store.erase

    def erase_and_note(self: S3Store, remains: Remains) -> None:
        erase(self, remains)
        kinds.extend([remains.kind] * remains.key.startswith(hidden.path))

    monkeypatch.setattr(S3Store, "erase", erase_and_note)
    removed = clean(settings, grace=SECOND)

    assert kinds == (["old version", "delete marker"] if versioned else [])
    expected = {f"staging/{orphan.path}"} | ({f"staging/{hidden.path}"} if versioned else set())
    uploads = {"staging/data/a", "staging/commits/b", "public/releases/2026.11.0/c"}
    gone = set(held) - set(bucket_place.hidden_names())
    assert {f"{found.where}/{found.key}" for found in removed} == expected | uploads
    assert {name.partition(" ")[2] for name in gone} == expected | uploads
    assert "upload elsewhere/d" in bucket_place.hidden_names()
    assert not [name for name in bucket_place.hidden_names() if name.endswith(tuple(expected | uploads))]
    assert run_verify(settings, VERSION).problems == ()
    assert staging.get(kept.path) == b"kept"
    assert clean(settings, grace=SECOND) == []


def test_the_clock_of_the_bucket_counts_where_ours_runs_ahead(bucket_place: BucketPlace, tmp_path: Path) -> None:
    """A node that comes up a year ahead would otherwise take away what the others are writing."""
    settings = in_buckets(tmp_path, bucket_place)
    staging = open_store(settings.staging, endpoint_url=settings.s3_endpoint_url)
    stage(staging, tmp_path, b"being written", 0)

    assert clean(settings, grace=HOUR, now=read_clock() + 365 * DAY) == []
