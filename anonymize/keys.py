"""The key ring: independent random keys, each for an epoch. A weak or exposed key is refused, never repaired.

A key that was destroyed leaves its id and its epoch behind, so that nothing is ever named anew in that time.
"""

import base64
import binascii
import json
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from anonymize.key_file import create_private, hold_private, read_private
from anonymize.key_strength import KEY_BYTES, find_weakness
from schemas.errors import PrivacyError, UsageError
from schemas.windows import Window

RING_FORMAT: Final = "1.1"
"""1.1 added ``destroyed``, in the place of a secret."""
_STAYS: Final = "a key stays in the process that read it"
_HINT: Final = "make one with 'opspub key new'"


@dataclass(frozen=True, slots=True)
class PseudonymKey:
    """One epoch's key. The secret never shows."""

    key_id: str
    secret: bytes = field(repr=False)

    def __reduce__(self) -> str:
        raise TypeError(_STAYS)


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    key_id: Annotated[str, StringConstraints(pattern=r"^k_[0-9a-z]{1,32}$")]
    created: AwareDatetime
    valid_from: AwareDatetime | None = None
    valid_to: AwareDatetime | None = None
    destroyed: AwareDatetime | None = None
    secret: str | None = Field(default=None, repr=False)

    def __reduce__(self) -> str:
        raise TypeError(_STAYS)

    @field_validator("secret")
    @classmethod
    def _is_base64(cls, secret: str | None) -> str | None:
        try:
            base64.b64decode(secret or "", validate=True)
        except (binascii.Error, ValueError):  # ValueError: not even ASCII
            raise ValueError("the secret is not base64") from None
        return secret

    @model_validator(mode="after")
    def _lives_or_is_destroyed(self) -> Self:
        if (self.secret is None) == (self.destroyed is None):
            raise ValueError(f"key {self.key_id} has neither or both of a secret and the time of its destruction")
        if self.destroyed and not self.valid_to:
            raise ValueError(f"key {self.key_id} is destroyed and its epoch has no end")
        if self.valid_from and self.valid_to and self.valid_from >= self.valid_to:
            raise ValueError(f"the epoch of {self.key_id} ends before it begins")
        return self

    @property
    def key(self) -> PseudonymKey | None:
        return None if self.secret is None else PseudonymKey(self.key_id, base64.b64decode(self.secret))

    def holds(self, window: Window) -> bool:
        """Return whether the epoch holds the whole window."""
        begins = self.valid_from is None or self.valid_from <= window.start
        return begins and (self.valid_to is None or window.end <= self.valid_to)


class KeyRing(BaseModel):
    """The keys of a publisher, in order of their epochs, which touch but never overlap."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    format_version: Annotated[str, StringConstraints(pattern=r"^1\.\d+$")] = RING_FORMAT
    keys: tuple[_Entry, ...]

    def __reduce__(self) -> str:
        raise TypeError(_STAYS)

    @model_validator(mode="after")
    def _strong_and_in_order(self) -> Self:
        if len({entry.key_id for entry in self.keys}) != len(self.keys):
            raise ValueError("two keys have one id")
        living = [entry.key for entry in self.keys if entry.key]
        if len({key.secret for key in living}) != len(living):
            raise ValueError("two epochs have one secret")
        for key in living:
            others = [other.secret for other in living if other is not key]
            if weakness := find_weakness(key.secret, key_id=key.key_id, others=others):
                raise ValueError(weakness)
        for older, newer in zip(self.keys, self.keys[1:], strict=False):
            if older.valid_to is None or newer.valid_from is None or newer.valid_from < older.valid_to:
                raise ValueError(f"the epochs of {older.key_id} and {newer.key_id} overlap")
        return self

    def key_for(self, window: Window) -> PseudonymKey:
        """Return the key whose epoch holds the whole window: the window's time decides, not today's."""
        for entry in self.keys:
            if entry.holds(window):
                if entry.key:
                    return entry.key
                raise PrivacyError(
                    f"key {entry.key_id} of the window {window} was destroyed at {entry.destroyed:%FT%TZ}; "
                    "what was not collected by then stays a gap"
                )
        raise PrivacyError(f"no key of the ring is valid for the whole window {window}; see 'opspub key show'")

    def living(self) -> Iterator[tuple[_Entry, PseudonymKey]]:
        """Yield every key that is not destroyed, with its epoch, oldest first."""
        for entry in self.keys:
            if entry.key:
                yield entry, entry.key

    def find(self, key_id: str) -> _Entry:
        """Return what the ring says of a key; raise ``UsageError`` for one that it never had."""
        for entry in self.keys:
            if entry.key_id == key_id:
                return entry
        known = ", ".join(entry.key_id for entry in self.keys) or "none"
        raise UsageError(f"found no key {key_id} in the ring; it has {known}")

    def public_view(self) -> list[dict[str, str | None]]:
        """Return what may be shown of each key: everything but its secret."""
        return [entry.model_dump(mode="json", exclude={"secret"}) for entry in self.keys]


def read_ring(path: Path) -> KeyRing:
    """Read a key ring; raise ``PrivacyError`` when it is missing, open to others, or weak."""
    return _parse(path, read_private(path))


def add_key(path: Path, *, now: datetime, valid_from: datetime | None) -> str:
    """Append a random key to the ring at ``path``, or begin the ring; return the key's id.

    The first key of a ring holds for all time; a later one begins at ``valid_from``, where the last one then ends.
    Several calls at once lose no key: each appends to what the one before it left.
    """
    if not path.exists():
        entry = _draw(now, None, ())
        create_private(path, _render(path, [entry]))
        return entry.key_id
    with hold_private(path) as held:
        older = list(_parse(path, held.text).keys)
        if older and valid_from is None:
            raise PrivacyError(f"{path} holds a key already; say from which window on the new one holds (--valid-from)")
        if older and valid_from:
            older[-1] = _end(older[-1], valid_from)
        entry = _draw(now, valid_from if older else None, older)
        held.replace(_render(path, [*older, entry]))
    return entry.key_id


def destroy_key(path: Path, key_id: str, *, now: datetime) -> datetime:
    """Overwrite and remove a key's secret for ever; return when that was, which may be earlier than ``now``.

    Its id and epoch stay. Raise ``PrivacyError`` for the newest key while its epoch has no end.
    """
    with hold_private(path) as held:
        ring = _parse(path, held.text)
        entry = ring.find(key_id)
        if entry.destroyed:
            return entry.destroyed
        if entry.valid_to is None:
            raise PrivacyError(
                f"the epoch of {key_id} has no end, so windows to come need it; begin the next one first, with "
                "'opspub key new --valid-from'"
            )
        gone = _Entry(**{**entry.model_dump(exclude={"secret"}), "destroyed": now})
        held.replace(_render(path, [gone if each is entry else each for each in ring.keys]))
    return now


def _end(last: _Entry, instant: datetime) -> _Entry:
    if last.valid_to and (last.destroyed or last.valid_to <= instant):
        return last
    return last.model_copy(update={"valid_to": instant})


def _draw(now: datetime, valid_from: datetime | None, older: Sequence[_Entry]) -> _Entry:
    key_id = f"k_{secrets.token_hex(8)}"
    others = [entry.key.secret for entry in older if entry.key]
    while find_weakness(secret := secrets.token_bytes(KEY_BYTES), key_id=key_id, others=others):
        pass  # once in ten million times
    return _Entry(key_id=key_id, created=now, valid_from=valid_from, secret=base64.b64encode(secret).decode())


def _parse(path: Path, text: str) -> KeyRing:
    try:
        return KeyRing.model_validate_json(text)
    except ValidationError as error:
        raise PrivacyError(f"key file {path}: {_first_problem(error)}; {_HINT}") from None


def _render(path: Path, entries: Sequence[_Entry]) -> str:
    """Return the text of a ring; checked as if it were read, since a ring that nobody can read has lost its keys."""
    dumped = [entry.model_dump(mode="json") for entry in entries]
    keys = [{name: value for name, value in entry.items() if value or name.startswith("valid")} for entry in dumped]
    text = json.dumps({"format_version": RING_FORMAT, "keys": keys}, indent=1) + "\n"
    try:
        KeyRing.model_validate_json(text)
    except ValidationError as error:
        raise PrivacyError(f"{path}: {_first_problem(error)}") from None
    return text


def _first_problem(error: ValidationError) -> str:
    message = error.errors(include_url=False, include_input=False, include_context=False)[0]["msg"]
    return message.removeprefix("Value error, ")
