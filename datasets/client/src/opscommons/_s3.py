"""The one door to S3, through pyarrow: anonymous unless asked otherwise."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from opscommons import _settings
from opscommons._errors import Unreachable
from opscommons._places import CHUNK_BYTES, Interrupted, NotThere, Stream

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

DEFAULT_REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class S3Place:
    """A bucket, or a prefix in one. ``S3_ENDPOINT_URL`` names a server other than Amazon's."""

    url: str
    anonymous: bool = True

    @property
    def name(self) -> str:
        """How messages call it."""
        return self.url.rstrip("/")

    @property
    def folder(self) -> Path | None:
        """No folder: files are fetched."""
        return None

    def at(self, path: str) -> "S3Place":
        """Return the prefix below this one."""
        return S3Place(f"{self.name}/{path}", self.anonymous)

    @contextmanager
    def open(self, path: str, *, offset: int = 0) -> Iterator[Stream]:
        """Open one object at an offset."""
        bucket, _, key = f"{self.name.removeprefix('s3://')}/{path}".partition("/")
        system = _file_system(bucket, self.anonymous, _settings.s3_endpoint(), _settings.s3_region())
        try:
            file = system.open_input_file(f"{bucket}/{key}")
        except FileNotFoundError as error:
            raise NotThere(f"no object {path}") from error
        except OSError as error:  # pyarrow has tried again by itself
            if "ACCESS_DENIED" in str(error) or "403" in str(error):  # no object, to those who may not list
                raise NotThere(f"no public object {path}") from error
            raise Unreachable(f"{self.name}/{path}: {_first_line(error)}") from error
        with file:
            file.seek(min(offset, file.size()))

            def chunks() -> Iterator[bytes]:
                while True:
                    try:
                        chunk = bytes(file.read(CHUNK_BYTES * 16))
                    except OSError as error:
                        raise Interrupted(_first_line(error)) from error
                    if not chunk:
                        return
                    yield chunk

            yield Stream(offset, chunks())


@lru_cache(maxsize=8)
def _file_system(bucket: str, anonymous: bool, endpoint: str | None, region: str | None) -> "FileSystem":
    from pyarrow import fs

    if endpoint is not None:
        parts = urlsplit(endpoint if "://" in endpoint else f"https://{endpoint}")
        return fs.S3FileSystem(
            anonymous=anonymous,
            endpoint_override=parts.netloc,
            scheme="http" if parts.scheme == "http" else "https",
            region=region or DEFAULT_REGION,
        )
    try:
        return fs.S3FileSystem(anonymous=anonymous, region=region or fs.resolve_s3_region(bucket))
    except OSError as error:
        raise Unreachable(f"s3://{bucket}: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
