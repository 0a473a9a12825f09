"""A store in an S3 bucket: the one door to boto3. Credentials come the ways boto3 knows, IRSA included."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from jobs.store import check_key, check_prefix
from schemas.errors import StoreError, UsageError

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".md": "text/markdown; charset=utf-8",
    ".parquet": "application/vnd.apache.parquet",
    ".cff": "application/yaml",
    ".png": "image/png",
}
_KEYS_HINT: Final = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the role"
_HINTS: Final = {
    "InvalidAccessKeyId": _KEYS_HINT,
    "SignatureDoesNotMatch": _KEYS_HINT,
    "ExpiredToken": _KEYS_HINT,
    "AccessDenied": "the credentials may not do that here",
    "403": "the credentials may not do that here",
    "NoSuchBucket": "make the bucket, or name another",
    "404": "there is no such object, or no such bucket",
    "NoCredentialsError": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the job a role",
    "EndpointConnectionError": "is S3_ENDPOINT_URL right, and the server up?",
}
_CONFLICT: Final = 5  # tries when two conditional writes meet: S3 asks both to come again


class S3Store:
    """Objects under ``s3://<bucket>/<prefix>``. A conditional PUT makes an object appear at most once."""

    def __init__(self, bucket: str, prefix: str, *, endpoint_url: str | None = None) -> None:
        self.url = f"s3://{bucket}/{prefix}".rstrip("/")
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        config = Config(
            retries={"mode": "standard", "max_attempts": 5},
            connect_timeout=10,
            read_timeout=60,
            s3={"addressing_style": "path" if endpoint_url else "auto"},
        )
        try:
            session = boto3.Session()  # the default one may not be used by two threads at once
            self._client = session.client("s3", endpoint_url=endpoint_url, config=config)
        except BotoCoreError as error:  # half a key pair, a profile that is not there
            raise StoreError(f"cannot open {self.url}: {_explain(type(error).__name__)}") from error
        except ValueError as error:
            raise UsageError("s3_endpoint_url is not a URL; wanted one such as https://s3.example.org") from error

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
                return self._client.get_object(Bucket=self._bucket, Key=self._key(key))["Body"].read()
            except self._client.exceptions.NoSuchKey:
                return None

    def fetch(self, key: str, path: Path) -> None:
        """See ``Store``."""
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        with self._translated("read", key):
            try:
                self._client.download_file(self._bucket, self._key(key), str(temporary))
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)

    def list(self, prefix: str) -> Iterator[str]:
        """See ``Store``."""
        with self._translated("list", prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + check_prefix(prefix)
            )
            keys = [found["Key"].removeprefix(self._prefix) for page in pages for found in page.get("Contents", [])]
        yield from sorted(key for key in keys if not key.endswith("/"))  # web consoles make "folders" of such objects

    def delete(self, key: str) -> None:
        """See ``Store``."""
        with self._translated("delete", key):
            self._client.delete_object(Bucket=self._bucket, Key=self._key(key))

    def _key(self, key: str) -> str:
        return self._prefix + check_key(key)

    def _put(self, key: str, content: bytes | Path, **condition: Any) -> None:  # noqa: ANN401 - boto3's own
        body = content if isinstance(content, bytes) else content.open("rb")
        try:
            self._client.put_object(
                Bucket=self._bucket,
                Key=self._key(key),
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
            raise StoreError(f"cannot {what} {key!r} in {self.url}: the server answered {_explain(code)}") from error
        except (BotoCoreError, Boto3Error) as error:
            raise StoreError(f"cannot {what} {key!r} in {self.url}: {_explain(type(error).__name__)}") from error
        except OSError as error:  # of the local file
            raise StoreError(f"cannot {what} {key!r} in {self.url}: {error.strerror}") from error


def _explain(code: str) -> str:
    """Return what went wrong with what to do; never the library's own text, which may quote a request."""
    return f"{code}; {_HINTS[code]}" if code in _HINTS else code
