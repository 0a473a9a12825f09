"""The key ring: independent random keys, each for an epoch. A weak or exposed key is refused, never repaired."""

import base64
import binascii
import json
import os
import secrets
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from schemas.errors import PrivacyError
from schemas.windows import Window

KEY_BYTES: Final = 32
RING_FORMAT: Final = "1.0"
_STAYS: Final = "a key stays in the process that read it"


@dataclass(frozen=True, slots=True)
class PseudonymKey:
    """One epoch's key. The secret never shows."""

    key_id: str
    secret: bytes = field(repr=False)

    def __reduce__(self) -> str:
        raise TypeError(_STAYS)


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    key_id: str
    created: AwareDatetime
    valid_from: AwareDatetime | None = None
    valid_to: AwareDatetime | None = None
    secret: str = Field(repr=False)

    def __reduce__(self) -> str:
        raise TypeError(_STAYS)

    @field_validator("secret")
    @classmethod
    def _strong(cls, secret: str) -> str:
        try:
            raw = base64.b64decode(secret, validate=True)
        except binascii.Error:
            raise ValueError("the secret is not base64") from None
        if len(raw) != KEY_BYTES:
            raise ValueError(f"the secret has {len(raw)} bytes; wanted {KEY_BYTES}")
        if len(set(raw)) <= KEY_BYTES // 2 or raw.isascii():
            raise ValueError("the secret is not random: it repeats, or is text")
        return secret


class KeyRing(BaseModel):
    """The keys of a publisher, in order of their epochs, which touch but never overlap."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    format_version: str = RING_FORMAT
    keys: tuple[_Entry, ...]

    def __reduce__(self) -> str:
        raise TypeError(_STAYS)

    @model_validator(mode="after")
    def _epochs_in_order(self) -> Self:
        if len({entry.key_id for entry in self.keys}) != len(self.keys):
            raise ValueError("two keys have one id")
        if len({entry.secret for entry in self.keys}) != len(self.keys):
            raise ValueError("two epochs have one secret")
        for entry in self.keys:
            if entry.valid_from and entry.valid_to and entry.valid_from >= entry.valid_to:
                raise ValueError(f"the epoch of {entry.key_id} ends before it begins")
        for older, newer in zip(self.keys, self.keys[1:], strict=False):
            if older.valid_to is None or newer.valid_from is None or newer.valid_from < older.valid_to:
                raise ValueError(f"the epochs of {older.key_id} and {newer.key_id} overlap")
        return self

    def key_for(self, window: Window) -> PseudonymKey:
        """Return the key whose epoch holds the whole window: the window's time decides, not today's."""
        for entry in self.keys:
            begins = entry.valid_from is None or entry.valid_from <= window.start
            if begins and (entry.valid_to is None or window.end <= entry.valid_to):
                return PseudonymKey(entry.key_id, base64.b64decode(entry.secret))
        raise PrivacyError(f"no key of the ring is valid for the whole window {window}; see 'opspub key show'")

    def public_view(self) -> list[dict[str, str | None]]:
        """Return what may be shown of each key: everything but its secret."""
        return [entry.model_dump(mode="json", exclude={"secret"}) for entry in self.keys]


def read_ring(path: Path) -> KeyRing:
    """Read a key ring; raise ``PrivacyError`` when it is missing, readable by everyone, or weak."""
    try:
        mode = path.stat().st_mode
        content = path.read_text("utf-8")
    except FileNotFoundError:
        raise PrivacyError(f"found no key file {path}; make one with 'opspub key new'") from None
    except OSError as error:
        raise PrivacyError(f"key file {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:  # it would quote the secret
        raise PrivacyError(f"key file {path} is not a key ring; make one with 'opspub key new'") from None
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise PrivacyError(
            f"key file {path} has mode {stat.S_IMODE(mode):04o}; wanted 0600, no access for others: "
            "anyone could have read it, so make a new key unless nothing was published with it"
        )
    try:
        return KeyRing.model_validate_json(content)
    except ValidationError as error:
        raise PrivacyError(f"key file {path}: {_first_problem(error)}; make one with 'opspub key new'") from None


def add_key(path: Path, *, now: datetime, valid_from: datetime | None) -> str:
    """Append a random key to the ring at ``path``, or begin the ring; return the key's id.

    The first key of a ring holds for all time; a later one begins at ``valid_from``, where the last one then ends.
    """
    older = list(read_ring(path).keys) if path.exists() else []
    if older and valid_from is None:
        raise PrivacyError(f"{path} holds a key already; say from which window on the new one holds (--valid-from)")
    if older:
        older[-1] = older[-1].model_copy(update={"valid_to": valid_from})
    key_id = f"k_{secrets.token_hex(8)}"
    secret = base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
    entry = _Entry(key_id=key_id, created=now, valid_from=valid_from if older else None, secret=secret)
    _write_private(path, [*older, entry])
    return key_id


def _write_private(path: Path, entries: Sequence[_Entry]) -> None:
    try:
        ring = KeyRing(keys=tuple(entries))
    except ValidationError as error:
        raise PrivacyError(f"{path}: {_first_problem(error)}") from None
    content = json.dumps(ring.model_dump(mode="json"), indent=1) + "\n"
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if len(entries) == 1:
            path.hardlink_to(temporary)  # fails where another call was first: its key may be in use already
            temporary.unlink()
        else:
            temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise PrivacyError(f"key file {path} cannot be written: {error.strerror}") from None


def _first_problem(error: ValidationError) -> str:
    message = error.errors(include_url=False, include_input=False, include_context=False)[0]["msg"]
    return message.removeprefix("Value error, ")
