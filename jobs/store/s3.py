"""A store in an S3 bucket: the one door to boto3. Credentials come the ways boto3 knows, IRSA included.

Every object is written by a single PUT, which servers guard and check whole; multipart uploads that lie about are
other programs', and are only removed here.
"""

import base64
import hashlib
import re
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final, Literal

import boto3
from boto3.exceptions import Boto3Error
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, IncompleteReadError
from botocore.session import get_session

from jobs.store import AccessRefused, ContentChanged, Remains, check_key, check_prefix
from jobs.store.headers import object_headers
from schemas.errors import StoreError, UsageError

_KEYS_HINT: Final = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the role"
_HINTS: Final = {
    "InvalidAccessKeyId": _KEYS_HINT,
    "SignatureDoesNotMatch": _KEYS_HINT,
    "ExpiredToken": _KEYS_HINT,
    "AccessDenied": "the credentials may not do that here",
    "403": "the credentials may not do that here",
    "NoSuchBucket": "make the bucket, or name another",
    "404": "there is no such object, or no such bucket",
    "BadDigest": "the bytes changed on the way, or while they were read",
    "NoCredentialsError": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the job a role",
    "EndpointConnectionError": "is S3_ENDPOINT_URL right, and the server up?",
}
_CONFLICT: Final = 5  # tries when two conditional writes meet: S3 asks both to come again
_READS: Final = 5  # tries when an answer breaks off in its body: boto3 tries again before the first byte only
_CONNECT_SECONDS: Final = 10
_ANSWER_SECONDS: Final = 60  # between two pieces of an answer
_FIRST_PAUSE_SECONDS: Final = 0.1
_MOST_BYTES: Final = 5 << 30  # of one PUT
_BUCKET_IN_HOST: Final = "{bucket}."
_MD5: Final = re.compile(r'"?([0-9a-f]{32})"?')
_REFUSALS: Final = frozenset({"AccessDenied", "403"})
_UNSUPPORTED: Final = frozenset({"NotImplemented", "MethodNotAllowed", "501", "405"})


@cache
def _models() -> Any:  # noqa: ANN401 - botocore's loader
    """Return what reads botocore's descriptions of S3; each session would parse them anew, a tenth of a second long."""
    return get_session().get_component("data_loader")


class S3Store:
    """Objects under ``s3://<bucket>/<prefix>``. A conditional PUT makes an object appear at most once."""

    def __init__(self, bucket: str, prefix: str, *, endpoint_url: str | None = None, anonymous: bool = False) -> None:
        self.url = f"s3://{bucket}/{prefix}".rstrip("/")
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._endpoint_url, style = _split_endpoint(endpoint_url)
        self._config = Config(
            retries={"mode": "standard", "max_attempts": 5},
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_ANSWER_SECONDS,
            s3={"addressing_style": style},
            # Content-MD5 instead: servers that know nothing newer check it, and ignore what they don't know
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        self._client = self._open(anonymous=anonymous)

    def put_new(self, key: str, content: bytes | Path, *, sha256: str | None = None) -> bool:
        """See ``Store``. Always one PUT: servers don't guard the completion of a multipart upload."""
        with self._translated("write", key):
            md5 = self._digest(key, content, sha256)
            for last in (*(False,) * (_CONFLICT - 1), True):
                try:
                    self._put(key, content, md5, IfNoneMatch="*")
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
            self._put(key, content, self._digest(key, content, None))

    def get(self, key: str) -> bytes | None:
        """See ``Store``. What differs from the checksum that the server states is read again."""
        with self._translated("read", key):
            for number in range(_READS):
                answer = self._read(key)
                if answer is None:
                    return None
                body, stated = answer
                if stated in (None, hashlib.md5(body, usedforsecurity=False).hexdigest()):
                    return body
                time.sleep(_FIRST_PAUSE_SECONDS * 2**number)
        raise StoreError(f"cannot read {key!r} in {self.url}: the bytes differ from the server's own checksum")

    def get_range(self, key: str, start: int, length: int) -> bytes | None:
        """See ``WholeStore``."""
        with self._translated("read", key):
            try:
                answer = self._read(key, Range=f"bytes={start}-{start + length - 1}")
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") == "InvalidRange":  # begins past the end
                    return b""
                raise
            return answer[0] if answer else None

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
        whole = self._prefix + check_prefix(prefix)
        with self._translated("list", prefix):
            found = [each["Key"] for page in self._pages("list_objects_v2", whole) for each in page.get("Contents", [])]
        self._refuse_strangers(found, whole)
        keys = [key.removeprefix(self._prefix) for key in found]
        yield from sorted(key for key in keys if not key.endswith("/"))  # web consoles make "folders" of such objects

    def delete(self, key: str) -> None:
        """See ``Store``."""
        with self._translated("delete", key):
            self._client.delete_object(Bucket=self._bucket, Key=self._key(key))

    def survey(self, prefix: str, *, now: datetime) -> Iterator[Remains]:
        """See ``WholeStore``. Of a bucket without versions no more is asked than to list it."""
        whole = self._prefix + check_prefix(prefix)
        with self._translated("list", prefix):
            found = [*self._survey_objects(whole, now), *self._survey_uploads(whole, now)]
        self._refuse_strangers([self._prefix + each.key for each in found], whole)
        yield from sorted(found, key=lambda each: (each.key, each.age))

    def erase(self, remains: Remains) -> None:
        """See ``WholeStore``."""
        where: dict[str, Any] = {"Bucket": self._bucket, "Key": self._prefix + remains.key}
        with self._translated("delete", remains.key):
            if remains.kind == "unfinished upload":
                try:
                    self._client.abort_multipart_upload(**where, UploadId=remains.handle)
                except self._client.exceptions.NoSuchUpload:
                    return
            elif remains.handle:
                self._client.delete_object(**where, VersionId=remains.handle)
            else:
                self._client.delete_object(**where)

    def address(self, key: str) -> str | None:
        """See ``WholeStore``."""
        where = {"Bucket": self._bucket, "Key": self._key(key)}
        with self._translated("find", key):
            return str(self._anybody.generate_presigned_url("get_object", Params=where))  # without a signature

    @cached_property
    def _anybody(self) -> Any:  # noqa: ANN401 - boto3's client has no class of its own
        return self._open(anonymous=True)

    def _open(self, *, anonymous: bool) -> Any:  # noqa: ANN401 - boto3's client has no class of its own
        config = self._config.merge(Config(signature_version=UNSIGNED)) if anonymous else self._config
        try:
            core = get_session()  # one for all may not be used by two threads at once
            core.register_component("data_loader", _models())
            session = boto3.Session(botocore_session=core)
            _models().search_paths[:] = dict.fromkeys(_models().search_paths)  # each session adds boto3's own again
            return session.client("s3", endpoint_url=self._endpoint_url, config=config)
        except BotoCoreError as error:  # half a key pair, a profile that is not there
            raise StoreError(f"cannot open {self.url}: {_explain(type(error).__name__)}") from error
        except ValueError as error:
            raise UsageError("s3_endpoint_url is not a URL; wanted one such as https://s3.example.org") from error

    def _key(self, key: str) -> str:
        return self._prefix + check_key(key)

    def _digest(self, key: str, content: bytes | Path, sha256: str | None) -> str:
        """Return the MD5 that the server shall find, once the content is known to be what it should be."""
        md5, sha = hashlib.md5(usedforsecurity=False), hashlib.sha256()
        size = 0
        for block in _blocks(content):
            size += len(block)
            md5.update(block)
            if sha256:
                sha.update(block)
        if sha256 and sha.hexdigest() != sha256:
            raise ContentChanged(f"cannot write {key!r} in {self.url}: the local file has other bytes by now")
        if size > _MOST_BYTES:
            raise StoreError(f"cannot write {key!r} in {self.url}: it has {size} bytes, wanted at most {_MOST_BYTES}")
        return base64.b64encode(md5.digest()).decode()

    def _put(self, key: str, content: bytes | Path, md5: str, **condition: Any) -> None:  # noqa: ANN401 - boto3's own
        body = content if isinstance(content, bytes) else content.open("rb")
        try:
            self._client.put_object(
                Bucket=self._bucket,
                Key=self._key(key),
                Body=body,
                ContentMD5=md5,
                **object_headers(key),
                **condition,
            )
        finally:
            if not isinstance(body, bytes):
                body.close()

    def _read(self, key: str, **span: str) -> tuple[bytes, str | None] | None:
        """Return an object's bytes and the MD5 that the server states of them, if it does."""
        for last in (*(False,) * (_READS - 1), True):
            try:
                answer = self._client.get_object(Bucket=self._bucket, Key=self._key(key), **span)
                return answer["Body"].read(), _stated_md5(answer)
            except self._client.exceptions.NoSuchKey:
                return None
            except ClientError as error:
                if last or error.response.get("Error", {}).get("Code") != "404":  # its body was cut, and may say more
                    raise
            except (HTTPClientError, IncompleteReadError):
                if last:
                    raise
        raise AssertionError("the last try returns or raises")

    def _refuse_strangers(self, keys: Sequence[str], whole: str) -> None:
        """Raise ``StoreError`` for names that nobody asked for: what is listed may be removed, and a listing has no
        checksum by which a bit that toppled in a name would show.
        """
        if not all(key.startswith(whole) for key in keys):
            raise StoreError(f"the listing of {whole!r} in {self.url} holds other names; was it changed on the way?")

    def _pages(self, operation: str, prefix: str) -> Iterator[Mapping[str, Any]]:
        pages: Iterator[Mapping[str, Any]] = self._client.get_paginator(operation).paginate(
            Bucket=self._bucket, Prefix=prefix
        )
        yield from pages

    def _survey_objects(self, prefix: str, now: datetime) -> Iterator[Remains]:
        if not self._may_have_versions:
            for page in self._pages("list_objects_v2", prefix):
                for each in page.get("Contents", []):
                    yield self._remains(each, "object", each["LastModified"], page, now)
            return
        for page in self._pages("list_object_versions", prefix):
            for each in page.get("Versions", []):
                kind = "object" if each["IsLatest"] else "old version"
                yield self._remains(each, kind, each["LastModified"], page, now, handle=each["VersionId"])
            for each in page.get("DeleteMarkers", []):
                yield self._remains(each, "delete marker", each["LastModified"], page, now, handle=each["VersionId"])

    def _survey_uploads(self, prefix: str, now: datetime) -> Iterator[Remains]:
        try:
            for page in self._pages("list_multipart_uploads", prefix):
                for each in page.get("Uploads", []):
                    yield self._remains(
                        each, "unfinished upload", each["Initiated"], page, now, handle=each["UploadId"]
                    )
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in _UNSUPPORTED:
                raise

    @cached_property
    def _may_have_versions(self) -> bool:
        try:
            return "Status" in self._client.get_bucket_versioning(Bucket=self._bucket)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code")
            if code in _UNSUPPORTED:
                return False
            if code in _REFUSALS:  # listing them tells: it is refused, or there are none
                return True
            raise

    def _remains(
        self,
        found: Mapping[str, Any],
        kind: Any,  # noqa: ANN401 - one of the words of Remains
        written: datetime,
        page: Mapping[str, Any],
        now: datetime,
        *,
        handle: str = "",
    ) -> Remains:
        said = page["ResponseMetadata"]["HTTPHeaders"].get("date")
        age = min(now, parsedate_to_datetime(said) if said else now) - written
        return Remains(found["Key"].removeprefix(self._prefix), kind, age, found.get("Size", 0), handle)

    @contextmanager
    def _translated(self, what: str, key: str) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "unknown")
            kind = AccessRefused if code in _REFUSALS else StoreError
            raise kind(f"cannot {what} {key!r} in {self.url}: the server answered {_explain(code)}") from error
        except (BotoCoreError, Boto3Error) as error:
            raise StoreError(f"cannot {what} {key!r} in {self.url}: {_explain(type(error).__name__)}") from error
        except OSError as error:  # of the local file
            raise StoreError(f"cannot {what} {key!r} in {self.url}: {error.strerror}") from error


def _split_endpoint(url: str | None) -> tuple[str | None, Literal["auto", "path", "virtual"]]:
    """Return an endpoint with the style of its addresses: the bucket in the path, or in the host's name.

    >>> _split_endpoint("https://{bucket}.s3.example.org"), _split_endpoint("https://s3.example.org")
    (('https://s3.example.org', 'virtual'), ('https://s3.example.org', 'path'))
    """
    if url is None:
        return None, "auto"
    if _BUCKET_IN_HOST in url:
        return url.replace(_BUCKET_IN_HOST, "", 1), "virtual"
    return url, "path"


def _stated_md5(answer: Mapping[str, Any]) -> str | None:
    """Return the MD5 in an answer's ETag; ``None`` where an ETag is known to be something else."""
    if answer.get("ServerSideEncryption", "AES256") != "AES256" or "SSECustomerAlgorithm" in answer:
        return None
    found = _MD5.fullmatch(answer.get("ETag", ""))
    return found[1] if found else None


def _blocks(content: bytes | Path) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb") as file:
        while block := file.read(1 << 20):
            yield block


def _explain(code: str) -> str:
    """Return what went wrong with what to do; never the library's own text, which may quote a request."""
    return f"{code}; {_HINTS[code]}" if code in _HINTS else code
