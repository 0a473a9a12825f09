"""What goes wrong on the way to a real S3 server ends exactly, or clearly: never with other bytes."""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from jobs.publish.attest import attest_published
from jobs.store import WholeStore, fetch_hashed, hash_object, open_store
from jobs.store.s3 import S3Store
from schemas.errors import StoreError
from tests.store.places import BucketPlace
from tests.store.s3_proxy import (
    Answer,
    Fault,
    S3Proxy,
    Spoiler,
    cut_upload,
    flip,
    flip_upload,
    lose,
    refuse,
    s3_proxy,
    truncate,
)

NOW = datetime(2026, 11, 1, tzinfo=UTC)
CONTENT = bytes(range(256)) * 400
PASSING: dict[str, Fault] = {
    "500": refuse(500, "InternalError"),
    "503": refuse(503, "SlowDown"),
    "lost": lose,
}


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)


@pytest.fixture
def proxy(bucket_place: BucketPlace) -> Iterator[S3Proxy]:
    with s3_proxy(bucket_place.endpoint_url) as running:
        yield running


@pytest.fixture
def spoilt(bucket_place: BucketPlace, proxy: S3Proxy) -> WholeStore:
    """Return a store whose every call goes through the proxy."""
    return open_store(bucket_place.url, endpoint_url=proxy.endpoint_url)


@pytest.mark.parametrize("fault", [*PASSING.values(), cut_upload], ids=[*PASSING, "cut"])
def test_a_write_that_fails_in_passing_is_done_again(
    bucket_place: BucketPlace, proxy: S3Proxy, spoilt: WholeStore, tmp_path: Path, fault: Fault
) -> None:
    source = tmp_path / "x"
    source.write_bytes(CONTENT)
    proxy.faults += [("PUT", fault)] * 2

    spoilt.put("a/x", source)

    assert not proxy.faults
    assert bucket_place.open().get("a/x") == CONTENT


@pytest.mark.parametrize("fault", [PASSING["500"], PASSING["503"], cut_upload], ids=["500", "503", "cut"])
def test_a_conditional_write_that_fails_in_passing_is_ours_or_found(
    bucket_place: BucketPlace, proxy: S3Proxy, spoilt: WholeStore, fault: Fault
) -> None:
    """The server may have written it before it failed: whose it is, the content tells."""
    proxy.faults.append(("PUT", fault))

    spoilt.put_new("a/x", CONTENT)

    assert bucket_place.open().get("a/x") == CONTENT


def test_a_lost_answer_to_a_conditional_write_looks_like_a_lost_race(
    bucket_place: BucketPlace, proxy: S3Proxy, spoilt: WholeStore
) -> None:
    """So whoever writes reads back: the commit knows its own first try by its run."""
    proxy.faults.append(("PUT", lose))

    assert not spoilt.put_new("a/x", CONTENT)
    assert bucket_place.open().get("a/x") == CONTENT


@pytest.mark.parametrize("fault", [*PASSING.values(), truncate, flip], ids=[*PASSING, "truncated", "flipped"])
def test_a_read_that_fails_in_passing_is_done_again(
    bucket_place: BucketPlace, proxy: S3Proxy, spoilt: WholeStore, fault: Fault
) -> None:
    bucket_place.open().put("a/x", CONTENT)
    proxy.faults += [("GET", fault)] * 2

    found = spoilt.get("a/x")

    assert not proxy.faults
    assert found == CONTENT


def test_that_there_is_no_object_is_believed_once_it_is_said_whole(proxy: S3Proxy, spoilt: WholeStore) -> None:
    """A 404 whose body was cut names no reason: it could be the bucket that is missing."""
    proxy.faults.append(("GET", truncate))

    assert spoilt.get("a/x") is None
    assert not proxy.faults


def test_a_bit_that_flips_every_time_is_never_believed(
    bucket_place: BucketPlace, proxy: S3Proxy, spoilt: WholeStore
) -> None:
    """A digit of a commit record that changed on the way would be believed for ever."""
    bucket_place.open().put("commits/x.json", b'{"rows": 1234567}')
    proxy.faults += [("GET", flip)] * 100

    with pytest.raises(StoreError, match="the bytes differ from the server's own checksum"):
        spoilt.get("commits/x.json")


def test_a_flipped_bit_of_a_write_is_refused_by_the_server(
    bucket_place: BucketPlace, proxy: S3Proxy, spoilt: WholeStore
) -> None:
    proxy.faults.append(("PUT", flip_upload))

    with pytest.raises(StoreError, match=r"cannot write 'a/x' in .*: the server answered \w+"):
        spoilt.put("a/x", CONTENT)

    assert bucket_place.open().get("a/x") is None


def test_a_file_that_changes_while_it_is_written_is_refused_by_the_server(
    bucket_place: BucketPlace, tmp_path: Path
) -> None:
    """Between looking at a file and sending it somebody may write to it; over TLS nothing else would notice."""
    source = tmp_path / "x"
    source.write_bytes(CONTENT)

    class Slow(S3Store):
        def _put(self, key: str, content: bytes | Path, md5: str, **condition: Any) -> None:  # noqa: ANN401
            source.write_bytes(CONTENT[::-1])
            super()._put(key, content, md5, **condition)

    store = Slow(bucket_place.bucket, bucket_place.prefix, endpoint_url=bucket_place.endpoint_url)
    with pytest.raises(StoreError, match="the server answered BadDigest; the bytes changed on the way, or while they"):
        store.put_new("a/x", source, sha256=hashlib.sha256(CONTENT).hexdigest())

    assert not bucket_place.raw_names()


def test_a_truncated_file_is_fetched_again(
    bucket_place: BucketPlace, proxy: S3Proxy, spoilt: WholeStore, tmp_path: Path
) -> None:
    bucket_place.open().put("a/x", CONTENT)
    proxy.faults += [("GET", truncate)] * 2

    spoilt.fetch("a/x", tmp_path / "x")

    assert (tmp_path / "x").read_bytes() == CONTENT


def test_a_file_with_a_flipped_bit_is_fetched_again_and_never_believed(
    bucket_place: BucketPlace, proxy: S3Proxy, spoilt: WholeStore, tmp_path: Path
) -> None:
    """A staged file that differs ends a release; a bit that toppled once on the way is no reason to."""
    bucket_place.open().put("a/x", CONTENT)
    wanted = hashlib.sha256(CONTENT).hexdigest()
    proxy.faults.append(("GET", flip))

    assert fetch_hashed(spoilt, "a/x", tmp_path / "x", wanted) == wanted
    assert not proxy.faults
    assert (tmp_path / "x").read_bytes() == CONTENT
    proxy.faults += [("GET", flip)] * 2
    assert fetch_hashed(spoilt, "a/x", tmp_path / "x", wanted) != wanted


def test_a_flipped_bit_is_never_written_into_the_sums_of_attestations(
    bucket_place: BucketPlace, proxy: S3Proxy, spoilt: WholeStore
) -> None:
    """They are written once: a hash of what came over a bad line would call the release damaged for ever."""
    written = bucket_place.open()
    for name in ("audit.json", "approvals.json"):
        written.put(f"attestations/2026.11.0/{name}", CONTENT)
    proxy.choose = lambda method, number: flip if (method, number) == ("GET", 4) else None

    attest_published(spoilt, "2026.11.0", "0" * 64, at="2026-11-02T12:00:00+00:00")

    assert proxy.numbers["GET"] >= 4
    stamp = written.get("attestations/2026.11.0/published.json") or b""
    sums = (written.get("attestations/2026.11.0/SHA256SUMS") or b"").decode()
    assert f"{hashlib.sha256(stamp).hexdigest()}  published.json\n" in sums


def rename(_: Spoiler, answer: Answer) -> None:
    """Change one letter of a name in a listing."""
    answer.body = re.sub(rb"<Key>.", b"<Key>~", answer.body, count=1)


@pytest.mark.parametrize("look", [lambda store: store.list("a/"), lambda store: store.survey("a/", now=NOW)])
def test_a_listing_with_other_names_than_were_asked_for_is_refused(
    bucket_place: BucketPlace, proxy: S3Proxy, spoilt: WholeStore, look: Callable[[WholeStore], Iterable[object]]
) -> None:
    """What a listing names may be removed, and a listing has no checksum."""
    bucket_place.open().put("a/x", b"x")
    proxy.choose = lambda method, _: rename if method == "GET" else None

    with pytest.raises(StoreError, match=r"^the listing of '.*a/' in s3://.* holds other names; was it changed on the"):
        list(look(spoilt))

    proxy.choose = lambda _method, _number: None
    assert len(list(look(spoilt))) == 1


def test_a_hash_over_a_bad_line_is_the_hash(bucket_place: BucketPlace, proxy: S3Proxy, spoilt: WholeStore) -> None:
    bucket_place.open().put("a/x", CONTENT)
    proxy.faults += [("GET", truncate), ("GET", PASSING["503"]), ("GET", truncate)]

    assert hash_object(spoilt, "a/x", block_bytes=40_000) == hash_object(bucket_place.open(), "a/x")


def test_a_server_that_stays_ill_is_one_clear_line(proxy: S3Proxy, spoilt: WholeStore) -> None:
    proxy.faults += [("GET", PASSING["503"])] * 100

    with pytest.raises(StoreError, match=r"cannot read 'a/x' in .*: the server answered SlowDown") as caught:
        spoilt.get("a/x")

    assert len(str(caught.value).splitlines()) == 1
