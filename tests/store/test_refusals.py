"""What a store that cannot be used says: one line, exit code 6, no secret."""

from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.store import Store, open_store
from schemas.errors import StoreError, UsageError
from tests.lab.rgw import Gateway
from tests.store.places import BucketPlace, use_credentials

SECRET = "made-up-secret-of-the-tests"
Call = Callable[[Store, Path], object]
WRITES: dict[str, Call] = {
    "put_new": lambda store, path: store.put_new("a/b.json", b"x"),
    "put": lambda store, path: store.put("a/b.json", b"x"),
}
CALLS: dict[str, Call] = WRITES | {
    "get": lambda store, path: store.get("a/b.json"),
    "fetch": lambda store, path: store.fetch("a/b.json", path / "b.json"),
    "list": lambda store, path: list(store.list("a/")),
}
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


def assert_one_clear_line(error: StoreError, *, hint: str) -> None:
    message = str(error)
    assert hint in message
    assert message.startswith("cannot ")
    assert len(message.splitlines()) == 1
    assert SECRET not in message
    assert error.exit_code == 6


@every_call
def test_a_wrong_secret(gateway: Gateway, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, call: Call) -> None:
    use_credentials(monkeypatch, gateway.access_key, SECRET)
    store = open_store("s3://some-bucket/staging", endpoint_url=gateway.endpoint_url)

    with pytest.raises(StoreError) as caught:
        call(store, tmp_path)

    assert_one_clear_line(caught.value, hint="the server answered SignatureDoesNotMatch; check AWS_ACCESS_KEY_ID")
    assert gateway.access_key not in str(caught.value)


def test_an_unknown_access_key(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    use_credentials(monkeypatch, "MADEUPACCESSKEY", SECRET)

    with pytest.raises(StoreError) as caught:
        open_store("s3://some-bucket", endpoint_url=gateway.endpoint_url).put_new("a.json", b"x")

    assert_one_clear_line(caught.value, hint="InvalidAccessKeyId; check AWS_ACCESS_KEY_ID")
    assert "MADEUPACCESSKEY" not in str(caught.value)


def test_no_credentials_at_all(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    use_credentials(monkeypatch, "", "")

    with pytest.raises(StoreError) as caught:
        open_store("s3://some-bucket", endpoint_url=gateway.endpoint_url).put_new("a.json", b"x")

    assert_one_clear_line(caught.value, hint="NoCredentialsError; set AWS_ACCESS_KEY_ID")


def test_half_a_pair_of_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    use_credentials(monkeypatch, "MADEUPACCESSKEY", "")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    with pytest.raises(StoreError) as caught:
        open_store("s3://some-bucket", endpoint_url="http://127.0.0.1:1").put_new("a.json", b"x")

    assert_one_clear_line(caught.value, hint="PartialCredentialsError")


@every_call
def test_a_missing_bucket(bucket_place: BucketPlace, tmp_path: Path, call: Call) -> None:
    """A bucket that is not there is not an empty store: the next run would collect everything again."""
    store = open_store("s3://no-such-bucket/staging", endpoint_url=bucket_place.endpoint_url)

    with pytest.raises(StoreError) as caught:
        call(store, tmp_path)

    assert_one_clear_line(caught.value, hint="the server answered NoSuchBucket; make the bucket")


@every_call
def test_a_folder_below_a_file(tmp_path: Path, call: Call) -> None:
    (tmp_path / "file").write_text("x")
    store = open_store(f"file:{tmp_path / 'file' / 'store'}")

    with pytest.raises(StoreError) as caught:
        call(store, tmp_path)

    assert_one_clear_line(caught.value, hint="Not a directory")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("call", WRITES.values(), ids=WRITES)
def test_a_folder_where_nothing_can_be_made(tmp_path: Path, call: Call) -> None:
    """Even root cannot make a folder in /proc."""
    with pytest.raises(StoreError) as caught:
        call(open_store("file:/proc/opscommons-test"), tmp_path)

    assert_one_clear_line(caught.value, hint="in file:/proc/opscommons-test: No such file or directory")


@pytest.mark.parametrize("url", ["", "file:", "s3:", "s3://", "s3:///", "ftp://x/y", "./staging"])
def test_what_names_no_store_is_a_usage_error(url: str) -> None:
    with pytest.raises(UsageError, match=r"wanted file:<folder> or s3://<bucket>/<prefix>") as caught:
        open_store(url)

    assert caught.value.exit_code == 2


@pytest.mark.parametrize("url", [f"s3://MADEUPACCESSKEY:{SECRET}@bucket/x", f"s3://{SECRET}@s3.example.org/x"])
def test_credentials_in_the_name_of_a_store_are_refused_unseen(url: str) -> None:
    with pytest.raises(UsageError, match=r"wanted s3://<bucket>/<prefix>") as caught:
        open_store(url)

    assert SECRET not in str(caught.value)


def test_an_endpoint_that_is_no_url(monkeypatch: pytest.MonkeyPatch) -> None:
    use_credentials(monkeypatch, "MADEUPACCESSKEY", SECRET)

    with pytest.raises(UsageError, match="s3_endpoint_url is not a URL; wanted one such as https://"):
        open_store("s3://bucket/x", endpoint_url="s3.example.org")
