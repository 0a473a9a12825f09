"""One contract, every store: what the commit protocol and the readers of a release rely on."""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from jobs.store import ContentChanged, WholeStore, hash_object, refuse_unguarded
from schemas.errors import StoreError
from tests.store.places import FULL, PREFIX, Place

WRITERS = 8
ROUNDS = 40 if FULL else 2
ODD_KEYS = [
    "data/t/metric=a%3Ab/date=2026-11-01/part-0.parquet",
    "data/t/metric=node load/part-0.parquet",
    "data/t/a+b.json",
    "data/t/é ü.json",
    "data/t/%20.json",
    "data/t/it's (a) ~name!.json",
]


def test_an_object_is_made_once_and_keeps_its_first_content(store: WholeStore) -> None:
    """A commit that could be overwritten would let two runs both believe that the window is theirs."""
    outcomes = [store.put_new("commits/a/t/v1/1.json", content) for content in (b"first", b"second", b"first")]

    assert outcomes == [True, False, False]
    assert store.get("commits/a/t/v1/1.json") == b"first"


def test_of_eight_writers_at_once_exactly_one_wins(place: Place) -> None:
    """Two CronJobs that overlap are two processes with nothing in common but the store."""
    for round_ in range(ROUNDS):
        key = f"commits/a/t/v1/{round_}.json"
        start = Barrier(WRITERS)

        def write(number: int, key: str = key, start: Barrier = start) -> bool:
            store = place.open()
            start.wait()
            return store.put_new(key, f"writer {number}".encode() * 1000)

        with ThreadPoolExecutor(WRITERS) as pool:
            outcomes = list(pool.map(write, range(WRITERS)))

        assert outcomes.count(True) == 1
        assert place.open().get(key) == f"writer {outcomes.index(True)}".encode() * 1000


def test_put_replaces_what_was_there(store: WholeStore) -> None:
    store.put("catalog.json", b"a long first content")
    store.put("catalog.json", b"new")

    assert store.get("catalog.json") == b"new"
    assert not store.put_new("catalog.json", b"other")


@pytest.mark.parametrize("content", [b"", b"\x00\xff\r\n\x1a" * 3, bytes(range(256)) * 5000], ids=len)
def test_bytes_come_back_exactly(store: WholeStore, tmp_path: Path, content: bytes) -> None:
    store.put_new("a/b.bin", content)
    store.fetch("a/b.bin", tmp_path / "b.bin")

    assert store.get("a/b.bin") == content
    assert (tmp_path / "b.bin").read_bytes() == content


def test_a_local_file_is_as_good_as_bytes(store: WholeStore, tmp_path: Path) -> None:
    """Staged files are given by their path: they may not fit in memory."""
    source = tmp_path / "run-0.parquet"
    source.write_bytes(b"0123456789" * 100_000)

    assert store.put_new("data/new.parquet", source)
    assert not store.put_new("data/new.parquet", source)
    store.put("data/put.parquet", source)

    assert store.get("data/new.parquet") == store.get("data/put.parquet") == source.read_bytes()
    assert source.exists()


def test_a_local_file_that_is_gone_is_an_error_of_the_store_and_makes_nothing(
    place: Place, store: WholeStore, tmp_path: Path
) -> None:
    for write in (store.put_new, store.put):
        with pytest.raises(StoreError, match=r"cannot write 'data/x' .*: No such file or directory"):
            write("data/x", tmp_path / "gone")

    assert not place.raw_names()


@pytest.mark.parametrize("key", ["nothing.json", "no/such/folder/x.json", "commits/a", "commits"])
def test_what_is_not_there_is_none(store: WholeStore, key: str) -> None:
    """The beginning of another key is no object, though on a folder there is something of that name."""
    store.put("commits/a/t/v1/1.json", b"{}")

    assert store.get(key) is None


def test_fetch_replaces_the_whole_file_or_leaves_it(store: WholeStore, tmp_path: Path) -> None:
    """A reader of the local file never sees a half one, and a failed fetch leaves nothing behind."""
    target = tmp_path / "local" / "x.parquet"
    target.parent.mkdir()
    target.write_bytes(b"older, and longer than the new one")
    store.put("x.parquet", b"new")

    with pytest.raises(StoreError, match=r"cannot read 'y.parquet' in"):
        store.fetch("y.parquet", target)
    assert target.read_bytes() == b"older, and longer than the new one"
    store.fetch("x.parquet", target)

    assert target.read_bytes() == b"new"
    assert list(target.parent.iterdir()) == [target]


def test_fetch_into_a_folder_that_is_not_there_is_an_error_of_the_store(store: WholeStore, tmp_path: Path) -> None:
    store.put("x.parquet", b"new")

    with pytest.raises(StoreError, match=r"cannot read 'x.parquet' in"):
        store.fetch("x.parquet", tmp_path / "gone" / "x.parquet")


def test_an_object_is_fetched_by_many_at_once(place: Place, tmp_path: Path) -> None:
    """Each fetch writes a temporary file of its own."""
    content = bytes(range(256)) * 8000
    place.open().put("x.parquet", content)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: place.open().fetch("x.parquet", tmp_path / "x"), range(8)))

    assert (tmp_path / "x").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["x"]


def test_keys_are_kept_as_they_are(place: Place, store: WholeStore) -> None:
    """Metric names stand percent-encoded in paths; decoding them once too often would name other files."""
    for key in ODD_KEYS:
        assert store.put_new(key, key.encode())

    assert {key: store.get(key) for key in ODD_KEYS} == {key: key.encode() for key in ODD_KEYS}
    assert list(store.list("")) == sorted(ODD_KEYS)
    assert place.raw_names() == sorted(ODD_KEYS)


LISTED = [
    "commits/a/node/v1/20260101T000000Z.json",
    "commits/a/node/v1/20260101T010000Z.json",
    "commits/a/node/v10/20260101T000000Z.json",
    "commits/a/node_nh/v1/20260101T000000Z.json",
    "commits/a-b/node/v1/20260101T000000Z.json",
    "commits/a.json",
    "Commits/a/x.json",
    "store.json",
]


BY_PREFIX = {
    "": sorted(LISTED),
    "commits/a/node/v1/": LISTED[:2],
    "commits/a/node/v1": LISTED[:3],
    "commits/a/node": LISTED[:4],
    "commits/a/node/v1/20260101T01": LISTED[1:2],
    "commits/a/": LISTED[:4],
    "commits/a": sorted(LISTED[:6]),
    "c": sorted(LISTED[:6]),
    "store.json": ["store.json"],
    "store.json/": [],
    "commits/b/": [],
    "commits/b/c/d": [],
    ".": [],
}


def test_a_listing_is_sorted_and_a_prefix_is_one_of_names(store: WholeStore) -> None:
    """What is committed is known from names alone: ``v1/`` must not find ``v10``, ``v1`` must."""
    for key in reversed(LISTED):
        store.put(key, b"{}")

    assert {prefix: list(store.list(prefix)) for prefix in BY_PREFIX} == BY_PREFIX


def test_a_listing_is_longer_than_one_page(store: WholeStore) -> None:
    """S3 answers a thousand keys at a time; a year of hours is more."""
    keys = [f"commits/a/{number:05}.json" for number in range(1003)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.put(key, b"x"), keys))

    assert list(store.list("commits/")) == keys


def test_an_empty_store_lists_nothing(store: WholeStore) -> None:
    assert not list(store.list(""))
    assert not list(store.list("commits/a/"))


def test_deleting_twice_is_no_error(store: WholeStore) -> None:
    store.put("a/b/c.json", b"x")
    store.put("a/b.json", b"y")

    for key in ("a/b/c.json", "a/b/c.json", "never/was", "a"):
        store.delete(key)

    assert list(store.list("")) == ["a/b.json"]
    assert store.put_new("a/b/c.json", b"again")


def test_the_beginning_of_other_keys_cannot_be_deleted(store: WholeStore) -> None:
    store.put("a/b/c.json", b"x")

    store.delete("a/b")

    assert store.get("a/b/c.json") == b"x"


REFUSED = ["", "/", "/etc/x", "../x", "a/../../x", "a/..", "a//b", "a/", "./a", "a/./b", ".incoming/x", "a\0b"]


def test_a_key_that_leads_out_of_the_store_is_refused(place: Place, store: WholeStore, tmp_path: Path) -> None:
    """Keys come from commit records, too: a store must not be made to read or write elsewhere."""
    calls: list[Callable[[str], object]] = [
        lambda key: store.put_new(key, b"x"),
        lambda key: store.put(key, b"x"),
        store.get,
        store.delete,
        lambda key: store.fetch(key, tmp_path / "x"),
    ]

    for key in REFUSED:
        for call in calls:
            with pytest.raises(StoreError, match="wanted a relative path inside the store"):
                call(key)

    assert not place.raw_names()


def test_a_prefix_that_leads_out_of_the_store_is_refused(store: WholeStore) -> None:
    for prefix in ("/", "/etc/", "../", "a/../b", "a//b", "./"):
        with pytest.raises(StoreError, match="wanted one inside the store"):
            list(store.list(prefix))


def test_a_store_names_itself_as_it_was_named(place: Place, store: WholeStore) -> None:
    assert store.url == place.url
    assert PREFIX in store.url or place.url.startswith("file:")


def test_a_range_ends_where_the_object_does(store: WholeStore) -> None:
    store.put("x.bin", b"0123456789")
    store.put("empty.bin", b"")

    spans = [(0, 4), (4, 4), (8, 4), (10, 4), (500, 4), (0, 100)]

    assert [store.get_range("x.bin", *span) for span in spans] == [b"0123", b"4567", b"89", b"", b"", b"0123456789"]
    assert store.get_range("empty.bin", 0, 4) == b""
    assert store.get_range("nothing.bin", 0, 4) is None


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 64])
def test_an_object_is_hashed_block_by_block(store: WholeStore, size: int) -> None:
    """A file of a release may be larger than memory."""
    content = bytes(range(size))
    store.put("x.bin", content)

    assert hash_object(store, "x.bin", block_bytes=16) == hashlib.sha256(content).hexdigest()
    assert hash_object(store, "nothing.bin") is None


def test_only_the_bytes_that_were_meant_are_written(place: Place, store: WholeStore, tmp_path: Path) -> None:
    """What was audited is what becomes public, whoever touched the file in between."""
    source = tmp_path / "x"
    source.write_bytes(b"audited")
    audited = hashlib.sha256(b"audited").hexdigest()

    assert store.put_new("a/x", source, sha256=audited)
    source.write_bytes(b"changed")
    with pytest.raises(ContentChanged, match=r"cannot write 'a/y' .*: the local file has other bytes by now"):
        store.put_new("a/y", source, sha256=audited)

    assert store.get("a/x") == b"audited"
    assert place.raw_names() == ["a/x"]


def test_a_store_where_the_second_writer_loses_may_hold_commits(place: Place, store: WholeStore) -> None:
    refuse_unguarded(store)

    assert not place.raw_names()
