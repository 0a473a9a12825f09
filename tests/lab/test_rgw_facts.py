"""What the publisher relies on, asked of a real S3 server and not of an emulator that says yes."""

import json
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from mypy_boto3_s3 import S3Client

from tests.lab.rgw import Gateway

WRITERS = 8


def an_s3_client(gateway: Gateway, *, secret_key: str | None = None, anonymous: bool = False) -> S3Client:
    config = Config(retries={"total_max_attempts": 1}, max_pool_connections=WRITERS)
    return boto3.client(
        "s3",
        endpoint_url=gateway.endpoint_url,
        region_name=gateway.region,
        aws_access_key_id=gateway.access_key,
        aws_secret_access_key=secret_key or gateway.secret_key,
        config=config.merge(Config(signature_version=UNSIGNED)) if anonymous else config,
    )


def status_of(error: ClientError) -> int:
    return error.response["ResponseMetadata"]["HTTPStatusCode"]


@pytest.fixture
def owner(gateway: Gateway) -> Iterator[S3Client]:
    with closing(an_s3_client(gateway)) as client:
        yield client


@pytest.fixture
def anybody(gateway: Gateway) -> Iterator[S3Client]:
    with closing(an_s3_client(gateway, anonymous=True)) as client:
        yield client


@pytest.fixture
def bucket(owner: S3Client) -> str:
    name = f"facts-{uuid.uuid4().hex[:12]}"
    owner.create_bucket(Bucket=name)
    return name


def put_if_absent(client: S3Client, bucket: str, key: str, body: bytes) -> int:
    """Return the status of one conditional PUT."""
    try:
        client.put_object(Bucket=bucket, Key=key, Body=body, IfNoneMatch="*")
    except ClientError as error:
        return status_of(error)
    return 200


def test_a_wrong_secret_is_refused(gateway: Gateway, owner: S3Client, bucket: str) -> None:
    """An emulator takes any key; a deployment's mistake in its credentials must be seen as what it is."""
    stranger = an_s3_client(gateway, secret_key="not-the-secret")

    with closing(stranger), pytest.raises(ClientError, match="SignatureDoesNotMatch") as refusal:
        stranger.put_object(Bucket=bucket, Key="commits/w.json", Body=b"{}")

    assert status_of(refusal.value) == 403
    assert "Contents" not in owner.list_objects_v2(Bucket=bucket)


def test_the_second_conditional_put_is_refused(owner: S3Client, bucket: str) -> None:
    """A window is committed once; the loser must neither replace nor damage the first commit."""
    first = put_if_absent(owner, bucket, "commits/w.json", b"first")
    second = put_if_absent(owner, bucket, "commits/w.json", b"second")

    assert (first, second) == (200, 412)
    assert owner.get_object(Bucket=bucket, Key="commits/w.json")["Body"].read() == b"first"


def test_of_racing_conditional_puts_exactly_one_wins(owner: S3Client, bucket: str) -> None:
    """Two runs may start at once; some servers check for the key first and let several writers through."""
    start = Barrier(WRITERS)

    def put(writer: int) -> int:
        start.wait(timeout=30)
        return put_if_absent(owner, bucket, "commits/w.json", b"writer %d" % writer)

    with ThreadPoolExecutor(WRITERS) as pool:
        statuses = list(pool.map(put, range(WRITERS)))

    assert Counter(statuses) == {200: 1, 412: WRITERS - 1}
    kept = owner.get_object(Bucket=bucket, Key="commits/w.json")["Body"].read()
    assert kept == b"writer %d" % statuses.index(200)


def test_nothing_is_public_by_default(owner: S3Client, anybody: S3Client, bucket: str) -> None:
    """The staging bucket has no policy: what is not yet released must stay unreadable."""
    owner.put_object(Bucket=bucket, Key="data/part-0.parquet", Body=b"staged")

    with pytest.raises(ClientError) as refusal:
        anybody.get_object(Bucket=bucket, Key="data/part-0.parquet")

    assert status_of(refusal.value) == 403


def test_a_bucket_policy_opens_one_prefix_for_reading_only(owner: S3Client, anybody: S3Client, bucket: str) -> None:
    """Readers have no credentials and cannot list; they may read releases, and nobody may write."""
    for key in ("releases/manifest.json", "private/notes.json"):
        owner.put_object(Bucket=bucket, Key=key, Body=b"{}")
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": ["*"]},
        "Action": ["s3:GetObject"],
        "Resource": [f"arn:aws:s3:::{bucket}/releases/*"],
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}

    owner.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))

    assert anybody.get_object(Bucket=bucket, Key="releases/manifest.json")["Body"].read() == b"{}"
    refused: dict[str, Callable[[], object]] = {
        "another prefix": lambda: anybody.get_object(Bucket=bucket, Key="private/notes.json"),
        "listing": lambda: anybody.list_objects_v2(Bucket=bucket, Prefix="releases/"),
        "writing": lambda: anybody.put_object(Bucket=bucket, Key="releases/x", Body=b""),
    }
    statuses = {}
    for what, call in refused.items():
        with pytest.raises(ClientError) as refusal:
            call()
        statuses[what] = status_of(refusal.value)
    assert statuses == dict.fromkeys(refused, 403)
