"""A survey shows all that takes room, and what it shows can be removed for good: clean-up and retraction rest on it."""

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from jobs.clock import read_clock
from jobs.store import WholeStore
from jobs.store.folder import FolderStore
from schemas.errors import StoreError
from tests.store.places import BucketPlace, FolderPlace, Place

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def test_every_object_is_shown_with_its_size_and_age(store: WholeStore) -> None:
    store.put("data/a/1.parquet", b"12345")
    store.put("data/a/2.parquet", b"")
    store.put("other/3.parquet", b"1")

    found = list(store.survey("data/", now=read_clock()))

    assert [(each.key, each.kind, each.bytes) for each in found] == [
        ("data/a/1.parquet", "object", 5),
        ("data/a/2.parquet", "object", 0),
    ]
    assert all(-MINUTE < each.age < MINUTE for each in found)


def test_a_clock_that_is_behind_makes_everything_young(store: WholeStore) -> None:
    """Clean-up keeps what is young: a clock that jumped backwards must not cost anything."""
    store.put("data/a/1.parquet", b"1")

    (found,) = store.survey("data/", now=read_clock() - 5 * HOUR)

    assert found.age < -4 * HOUR


def test_a_clock_that_runs_ahead_is_not_believed_where_the_server_has_one(bucket_place: BucketPlace) -> None:
    """Everything that a run has just written would be old otherwise, and be removed before its commit."""
    store = bucket_place.open()
    store.put("data/a/1.parquet", b"1")
    bucket_place.begin_upload("data/a/2.parquet")

    found = list(store.survey("", now=read_clock() + 50 * HOUR))

    assert len(found) == 2
    assert all(each.age < MINUTE for each in found)


def test_the_beginning_of_names_is_a_prefix_too(store: WholeStore) -> None:
    for key in ("releases/2026.1.1/a", "releases/2026.1.10/a", "releases/2026.1.1.json"):
        store.put(key, b"1")

    assert [each.key for each in store.survey("releases/2026.1.1/", now=read_clock())] == ["releases/2026.1.1/a"]
    assert len(list(store.survey("releases/2026.1.1", now=read_clock()))) == 3
    assert not list(store.survey("nothing/", now=read_clock()))
    with pytest.raises(StoreError, match="wanted one inside the store"):
        list(store.survey("../", now=read_clock()))


def test_what_was_erased_is_gone_and_may_be_erased_again(place: Place, store: WholeStore) -> None:
    store.put("data/a/1.parquet", b"1")
    store.put("data/a/2.parquet", b"2")
    first, _ = store.survey("data/", now=read_clock())

    store.erase(first)
    store.erase(first)

    assert place.raw_names() == ["data/a/2.parquet"]


def test_a_folder_that_holds_nothing_any_more_goes_too(tmp_path: Path) -> None:
    """Names of folders tell: a partition is called by its metric and day."""
    place = FolderPlace(tmp_path / "store")
    store = place.open()
    for key in ("releases/1/data/metric=a/x", "releases/1/data/metric=b/x", "releases/2/x"):
        store.put(key, b"1")

    store.delete("releases/1/data/metric=a/x")
    (item,) = store.survey("releases/1/", now=read_clock())
    store.erase(item)

    assert sorted(path.name for path in (tmp_path / "store/releases").iterdir()) == ["2"]
    assert (tmp_path / "store").is_dir()


def test_an_object_is_written_although_its_folder_goes_at_that_moment(tmp_path: Path) -> None:
    """One run removes its probe while another writes beside it."""
    store = FolderStore(tmp_path / "store")
    removed: list[Path] = []

    class Racing(FolderStore):
        def _make_folders(self, folder: Path) -> None:
            super()._make_folders(folder)
            if folder.name == "a" and len(removed) < 3:
                removed.append(folder)
                folder.rmdir()

    assert Racing(tmp_path / "store").put_new("a/x", b"1")
    Racing(tmp_path / "store").put("a/x", b"2")

    assert len(removed) == 3
    assert store.get("a/x") == b"2"


def test_what_a_killed_writer_left_in_a_folder_is_an_unfinished_upload(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    store.put("data/x", b"1")
    leftover = tmp_path / "store/.incoming/0123"
    leftover.write_bytes(b"hal")
    os.utime(leftover, (0, 0))

    found = {each.kind: each for each in store.survey("", now=read_clock())}
    store.erase(found["unfinished upload"])

    assert found["unfinished upload"].key == ".incoming/0123"
    assert found["unfinished upload"].age > 1000 * HOUR
    assert [each.key for each in store.survey("", now=read_clock())] == ["data/x"]
    assert store.put_new("data/y", b"1")


@pytest.mark.parametrize("later", ["Enabled", "Suspended"])
def test_nothing_is_left_of_a_bucket_that_keeps_versions(bucket_place: BucketPlace, later: str) -> None:
    """A deleted object is only hidden there, and anybody who knows the version may go on reading it."""
    store = bucket_place.open()
    store.put("releases/1/before", b"from before the bucket kept versions")
    bucket_place.keep_versions()
    for content in (b"1", b"22"):
        store.put("releases/1/x", content)
    store.delete("releases/1/x")
    store.put("releases/1/y", b"333")
    bucket_place.begin_upload("releases/1/z")
    bucket_place.begin_upload("releases/2/z")
    bucket_place.keep_versions(later)
    store.put("releases/1/w", b"4")

    found = sorted((each.key, each.kind) for each in store.survey("releases/1/", now=read_clock()))
    for item in list(store.survey("releases/1/", now=read_clock())):
        store.erase(item)

    assert found == [
        ("releases/1/before", "object"),
        ("releases/1/w", "object"),
        ("releases/1/x", "delete marker"),
        ("releases/1/x", "old version"),
        ("releases/1/x", "old version"),
        ("releases/1/y", "object"),
        ("releases/1/z", "unfinished upload"),
    ]
    assert not list(store.survey("releases/1/", now=read_clock()))
    assert bucket_place.hidden_names() == ["upload releases/2/z"]


def test_the_folder_objects_of_web_consoles_are_shown(bucket_place: BucketPlace) -> None:
    """No listing of ours does, but they keep a name alive."""
    with bucket_place.client() as client:
        client.put_object(Bucket=bucket_place.bucket, Key=f"{bucket_place.prefix}releases/1/", Body=b"")

    (found,) = bucket_place.open().survey("releases/1/", now=read_clock())
    bucket_place.open().erase(found)

    assert found.key == "releases/1/"
    assert not bucket_place.raw_names()


def test_a_survey_is_longer_than_one_page(bucket_place: BucketPlace) -> None:
    """Servers answer a thousand versions at a time. Deleting what is not there leaves a marker as well."""
    bucket_place.keep_versions()
    with bucket_place.client() as client, ThreadPoolExecutor(8) as pool:
        names = [f"{bucket_place.prefix}a/{number}" for number in range(1003)]
        list(pool.map(lambda name: client.delete_object(Bucket=bucket_place.bucket, Key=name), names))

    assert len(list(bucket_place.open().survey("a/", now=read_clock()))) == 1003
