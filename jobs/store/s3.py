"""A store in an S3 bucket: the one door to boto3. Credentials come the ways boto3 knows, IRSA included."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from schemas.errors import StoreError

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".md": "text/markdown; charset=utf-8",
    ".parquet": "application/vnd.apache.parquet",
    ".cff": "application/yaml",
    ".png": "image/png",
}
_CONFLICT: Final = 5  # tries when two conditional writes meet: S3 asks both to come again


class S3Store:
    """Objects under ``s3://<bucket>/<prefix>``. A conditional PUT makes an object appear at most once."""

    def __init__(self, bucket: str, prefix: str, *, endpoint_url: str | None = None) -> None:
        self.url = f"s3://{bucket}/{prefix}".rstrip("/")
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._client = boto3.client(
            "s3",
            endpoint_url=endpoint_url,
            config=Config(
                retries={"mode": "standard", "max_attempts": 5},
                connect_timeout=10,
                read_timeout=60,
                s3={"addressing_style": "path" if endpoint_url else "auto"},
            ),
        )

    def put_new(self, key: str, content: bytes | Path) -> bool:
        """See ``Store``. Always one PUT: servers don't guard the completion of a multipart upload."""
        with self._translated("write", key):
            for last in (*(False,) * (_CONFLICT - 1), True):
                try:
                    self._put(key, content, IfNoneMatch="*")
                except ClientError as error:
                    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
                    if status == 412:
                        return False
                    if status != 409 or last:
                        raise
                else:
                    return True
        raise AssertionError("the last try returns or raises")

    def put(self, key: str, content: bytes | Path) -> None:
        """See ``Store``."""
        with self._translated("write", key):
            self._put(key, content)

    def get(self, key: str) -> bytes | None:
        """See ``Store``."""
        with self._translated("read", key):
            try:
                return self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)["Body"].read()
            except self._client.exceptions.NoSuchKey:
                return None

    def fetch(self, key: str, path: Path) -> None:
        """See ``Store``."""
        temporary = path.with_name(f".{path.name}.part")
        with self._translated("read", key):
            self._client.download_file(self._bucket, self._prefix + key, str(temporary))
            temporary.replace(path)

    def list(self, prefix: str) -> Iterator[str]:
        """See ``Store``."""
        with self._translated("list", prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + prefix
            )
            keys = [found["Key"].removeprefix(self._prefix) for page in pages for found in page.get("Contents", [])]
        yield from sorted(keys)

    def delete(self, key: str) -> None:
        """See ``Store``."""
        with self._translated("delete", key):
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + key)

    def _put(self, key: str, content: bytes | Path, **condition: Any) -> None:  # noqa: ANN401 - boto3's own
        body = content if isinstance(content, bytes) else content.open("rb")
        try:
            self._client.put_object(
                Bucket=self._bucket,
                Key=self._prefix + key,
                Body=body,
                ContentType=_TYPES.get(Path(key).suffix, "application/octet-stream"),
                # readers must see a new catalog, and a withdrawn file must vanish from caches soon
                CacheControl="no-cache" if "/" not in key else "public, max-age=300",
                **condition,
            )
        finally:
            if not isinstance(body, bytes):
                body.close()

    @contextmanager
    def _translated(self, what: str, key: str) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "unknown")
            raise StoreError(f"cannot {what} {key!r} in {self.url}: the server answered {code}") from error
        except BotoCoreError as error:
            raise StoreError(f"cannot {what} {key!r} in {self.url}: {type(error).__name__}") from error
