"""Where a store of a test lies, so that more than one store object can open it."""

import os
import uuid
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import boto3
import pytest

from jobs.store import Store, open_store
from tests.lab.rgw import Gateway

PREFIX = "some/staging"
FULL = "OPSCOMMONS_TEST_FULL" in os.environ  # noqa: TID251 - the long form of the suite


class FolderPlace:
    """A folder that does not exist yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"file:{folder}"

    def open(self) -> Store:
        """Return a store object of its own."""
        return open_store(self.url)

    def raw_names(self) -> Sequence[str]:
        """Return every file that really is there, temporary ones included."""
        return sorted(path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file())


class BucketPlace:
    """A prefix of a new bucket on a real S3 server."""

    def __init__(self, gateway: Gateway) -> None:
        self.endpoint_url = gateway.endpoint_url
        self.bucket = f"contract-{uuid.uuid4().hex[:12]}"
        self.url = f"s3://{self.bucket}/{PREFIX}"
        with closing(boto3.client("s3", endpoint_url=self.endpoint_url)) as client:
            client.create_bucket(Bucket=self.bucket)

    def open(self) -> Store:
        """Return a store object of its own."""
        return open_store(self.url, endpoint_url=self.endpoint_url)

    def raw_names(self) -> Sequence[str]:
        """Return every object that really is there."""
        with closing(boto3.client("s3", endpoint_url=self.endpoint_url)) as client:
            found = client.list_objects_v2(Bucket=self.bucket).get("Contents", [])
            return sorted(each["Key"].removeprefix(f"{PREFIX}/") for each in found)


Place = FolderPlace | BucketPlace


def use_credentials(patch: pytest.MonkeyPatch, access_key: str, secret_key: str) -> None:
    """Let boto3 find these credentials, and none that the machine may have."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        patch.delenv(name, raising=False)
    patch.setenv("AWS_ACCESS_KEY_ID", access_key)
    patch.setenv("AWS_SECRET_ACCESS_KEY", secret_key)
    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    patch.setenv("AWS_CONFIG_FILE", os.devnull)
    patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
