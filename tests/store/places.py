"""Where a store of a test lies, so that more than one store object can open it."""

import json
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import boto3
import pytest
from mypy_boto3_s3 import S3Client

from jobs.store import WholeStore, open_store
from tests.lab.rgw import Gateway

PREFIX = "some/staging"
FULL = "OPSCOMMONS_TEST_FULL" in os.environ  # noqa: TID251 - the long form of the suite


class FolderPlace:
    """A folder that does not exist yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"file:{folder}"

    def open(self) -> WholeStore:
        """Return a store object of its own."""
        return open_store(self.url)

    def raw_names(self) -> Sequence[str]:
        """Return every file that really is there, temporary ones included."""
        return sorted(path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file())


class BucketPlace:
    """A prefix of a new bucket on a real S3 server."""

    def __init__(self, gateway: Gateway, *, prefix: str = PREFIX) -> None:
        self.endpoint_url = gateway.endpoint_url
        self.bucket = f"contract-{uuid.uuid4().hex[:12]}"
        self.prefix = f"{prefix}/" if prefix else ""
        self.url = f"s3://{self.bucket}/{prefix}".rstrip("/")
        with self.client() as client:
            client.create_bucket(Bucket=self.bucket)

    def open(self) -> WholeStore:
        """Return a store object of its own."""
        return open_store(self.url, endpoint_url=self.endpoint_url)

    @contextmanager
    def client(self) -> Iterator[S3Client]:
        """Yield boto3's own client: what a test plants or looks at goes past the store."""
        with closing(boto3.client("s3", endpoint_url=self.endpoint_url)) as client:
            yield client

    def raw_names(self) -> Sequence[str]:
        """Return every object that really is there."""
        with self.client() as client:
            found = client.list_objects_v2(Bucket=self.bucket).get("Contents", [])
            return sorted(each["Key"].removeprefix(self.prefix) for each in found)

    def keep_versions(self, status: str = "Enabled") -> None:
        """Let the bucket keep what is replaced or deleted."""
        with self.client() as client:
            client.put_bucket_versioning(
                Bucket=self.bucket,
                VersioningConfiguration={"Status": status},  # type: ignore[typeddict-item] # a word of two
            )

    def begin_upload(self, key: str) -> None:
        """Begin a multipart upload, send a part of it, and leave it at that."""
        with self.client() as client:
            name = self.prefix + key
            upload = client.create_multipart_upload(Bucket=self.bucket, Key=name)["UploadId"]
            client.upload_part(Bucket=self.bucket, Key=name, UploadId=upload, PartNumber=1, Body=b"half")

    def hidden_names(self) -> Sequence[str]:
        """Return what is there and no listing of objects shows: versions, markers and uploads, by kind."""
        with self.client() as client:
            versions = client.list_object_versions(Bucket=self.bucket)
            uploads = client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])
        found = [("version", each["Key"]) for each in versions.get("Versions", [])]
        found += [("marker", each["Key"]) for each in versions.get("DeleteMarkers", [])]
        found += [("upload", each["Key"]) for each in uploads]
        return sorted(f"{kind} {key.removeprefix(self.prefix)}" for kind, key in found)

    def let_everybody_read(self) -> None:
        """Open the prefix for reading without credentials, and for nothing else."""
        statement = {
            "Effect": "Allow",
            "Principal": {"AWS": ["*"]},
            "Action": ["s3:GetObject"],
            "Resource": [f"arn:aws:s3:::{self.bucket}/{self.prefix}*"],
        }
        with self.client() as client:
            client.put_bucket_policy(
                Bucket=self.bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            )


Place = FolderPlace | BucketPlace


def use_credentials(patch: pytest.MonkeyPatch, access_key: str, secret_key: str) -> None:
    """Let boto3 find these credentials, and none that the machine may have."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        patch.delenv(name, raising=False)
    for name, value in _environment(access_key, secret_key).items():
        patch.setenv(name, value)


def credentials_of(gateway: Gateway) -> Mapping[str, str]:
    """Return the environment in which a command may use the gateway."""
    return _environment(gateway.access_key, gateway.secret_key)


def _environment(access_key: str, secret_key: str) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": secret_key,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
