"""The key ring: weak or exposed keys are refused, the window chooses the key, and no secret ever shows."""

import base64
import copy
import hashlib
import json
import pickle
import traceback
from datetime import UTC, datetime
from pathlib import Path

import pytest

from anonymize.key_strength import KEY_BYTES
from anonymize.keys import KeyRing, PseudonymKey, add_key, destroy_key, read_ring
from schemas.errors import PrivacyError, UsageError
from tests.anonymize.builders import OTHER_SECRET, SECRET, a_key, a_pseudonymizer, a_window, an_entry, write_ring

NOW = datetime(2026, 11, 23, tzinfo=UTC)
NEW_YEAR = "2027-01-01T00:00:00Z"


def shown(secret: bytes) -> tuple[str, ...]:
    """Return the forms in which a secret might be printed."""
    return base64.b64encode(secret).decode(), secret.hex(), repr(secret), repr(secret)[2:-1]


def refusal(path: Path) -> str:
    """Return why a ring is refused; the whole traceback must be free of what the file holds."""
    with pytest.raises(PrivacyError) as caught:
        read_ring(path)
    assert caught.value.exit_code == 5
    said = "".join(traceback.format_exception(caught.value))
    for entry in json.loads(path.read_text())["keys"]:
        assert entry["secret"] not in said or not entry["secret"]
    return str(caught.value)


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        (b"", "has 0 bytes; wanted 32"),
        (SECRET[:31], "has 31 bytes; wanted 32"),
        (SECRET + b"\x80", "has 33 bytes; wanted 32"),
        (bytes(32), "is not random"),
        (b"\xa5" * 32, "is not random"),
        (bytes(range(128, 144)) * 2, "is not random"),
        (b"correct-horse-battery-staple-xyz", "is not random"),
        (b"a made-up passphrase\nwith a line", "is not random"),
    ],
)
def test_a_weak_key_is_refused(tmp_path: Path, secret: bytes, reason: str) -> None:
    """Names are guessable: the key is all that stands between a token and a dictionary attack."""
    message = refusal(write_ring(tmp_path / "ring", an_entry(secret)))

    assert reason in message
    assert message.endswith("; make one with 'opspub key new'")


@pytest.mark.parametrize("text", ["!!!!", "made-up secret", "é" * 44, base64.b64encode(SECRET).decode()[:-1]])
def test_a_key_that_is_not_base64_is_refused_unseen(tmp_path: Path, text: str) -> None:
    assert "base64" in refusal(write_ring(tmp_path / "ring", an_entry() | {"secret": text}))


def test_a_random_key_is_taken(tmp_path: Path) -> None:
    window = a_window("2026-11-01T00:00", "2026-11-01T01:00")

    assert read_ring(write_ring(tmp_path / "ring", an_entry())).key_for(window) == a_key()


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o602, 0o601, 0o620, 0o660, 0o666])
def test_a_key_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = write_ring(tmp_path / "ring", an_entry(), mode=mode)

    assert f"has mode {mode:04o}; wanted 0600" in refusal(path)


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o440, 0o640])
def test_the_owner_and_a_reading_group_are_fine(tmp_path: Path, mode: int) -> None:
    """Kubernetes mounts Secrets group-readable for the pod's fsGroup."""
    assert len(read_ring(write_ring(tmp_path / "ring", an_entry(), mode=mode)).keys) == 1


def test_a_missing_key_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(PrivacyError, match=r"^found no key file .*/ring; make one with 'opspub key new'$"):
        read_ring(tmp_path / "ring")


def test_raw_bytes_are_no_ring_and_are_not_quoted(tmp_path: Path) -> None:
    """``head -c 32 /dev/urandom > key`` is an obvious mistake; Python's decoding error would print the bytes."""
    path = tmp_path / "ring"
    path.touch(mode=0o600)
    path.write_bytes(SECRET)

    with pytest.raises(PrivacyError, match="is not a key ring") as caught:
        read_ring(path)

    said = "".join(traceback.format_exception(caught.value))
    assert not [form for form in shown(SECRET) if form in said]


def a_later_entry(**fields: object) -> dict[str, object]:
    return an_entry(OTHER_SECRET, key_id="k_2") | fields


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ([an_entry(), a_later_entry(valid_from=NEW_YEAR)], "the epochs of k_0123456789abcdef and k_2 overlap"),
        ([an_entry(valid_to=NEW_YEAR), a_later_entry()], "overlap"),
        ([an_entry(valid_to=NEW_YEAR), a_later_entry(valid_from="2026-12-31T23:59:59Z")], "overlap"),
        ([a_later_entry(valid_from=NEW_YEAR), an_entry(valid_to=NEW_YEAR)], "overlap"),
        ([an_entry(valid_from=NEW_YEAR, valid_to="2026-12-01T00:00:00Z")], "ends before it begins"),
        ([an_entry(valid_from=NEW_YEAR, valid_to=NEW_YEAR)], "ends before it begins"),
        ([an_entry(valid_to=NEW_YEAR), an_entry(OTHER_SECRET, valid_from=NEW_YEAR)], "two keys have one id"),
        ([an_entry(valid_to=NEW_YEAR), an_entry(key_id="k_2", valid_from=NEW_YEAR)], "two epochs have one secret"),
        ([an_entry(valid_to="2027-01-01T00:00:00")], "should have timezone info"),
    ],
)
def test_epochs_that_cannot_be_are_refused(tmp_path: Path, entries: list[dict[str, object]], reason: str) -> None:
    """A window with two keys would have two tokens for one name; so would one secret in two epochs join them."""
    assert reason in refusal(write_ring(tmp_path / "ring", *entries))


def test_the_window_chooses_the_key(tmp_path: Path) -> None:
    """A backfill of last year uses last year's key, whenever it runs."""
    path = write_ring(
        tmp_path / "ring",
        an_entry(valid_to=NEW_YEAR),
        an_entry(OTHER_SECRET, key_id="k_2", valid_from=NEW_YEAR, valid_to="2028-01-01T01:00:00+01:00"),
    )
    ring = read_ring(path)

    chosen = [
        ring.key_for(a_window(start, end)).key_id
        for start, end in [
            ("1999-01-01T00:00", "1999-01-01T01:00"),
            ("2026-12-31T23:00", "2027-01-01T00:00"),
            ("2027-01-01T00:00", "2027-01-01T01:00"),
            ("2027-12-31T23:00", "2028-01-01T00:00"),
        ]
    ]

    assert chosen == ["k_0123456789abcdef"] * 2 + ["k_2"] * 2
    for start, end in [("2026-12-31T23:30", "2027-01-01T00:30"), ("2028-01-01T00:00", "2028-01-01T01:00")]:
        with pytest.raises(PrivacyError, match=r"no key of the ring is valid for the whole window .*opspub key show"):
            ring.key_for(a_window(start, end))


def test_no_secret_shows(tmp_path: Path) -> None:
    """Keys stand in locals when something fails; tracebacks and debuggers print those."""
    ring = read_ring(write_ring(tmp_path / "ring", an_entry()))
    key = ring.key_for(a_window("2026-11-01T00:00", "2026-11-01T01:00"))
    pseudonymizer = a_pseudonymizer()

    said = " ".join(f"{each!r} {each!s} {each}" for each in (key, ring, ring.keys[0], ring.keys, pseudonymizer))
    said += json.dumps(ring.public_view())

    assert "k_0123456789abcdef" in said
    assert not [form for form in shown(SECRET) if form in said]


def test_no_key_leaves_its_process(tmp_path: Path) -> None:
    """A pool or a cluster would pickle it over a wire, and into whatever they spill to disk."""
    ring = read_ring(write_ring(tmp_path / "ring", an_entry()))

    for secretive in (a_key(), ring, ring.keys[0], a_pseudonymizer()):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises(TypeError, match="a key stays in the process that read it"):
                pickle.dumps(secretive, protocol)


def test_the_first_key_of_a_ring_holds_for_all_time(tmp_path: Path) -> None:
    path = tmp_path / "etc" / "ring"

    key_id = add_key(path, now=NOW, valid_from=None)

    assert path.stat().st_mode & 0o7777 == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["ring"]
    ring = read_ring(path)
    assert ring.public_view() == [
        {
            "key_id": key_id,
            "created": "2026-11-23T00:00:00Z",
            "valid_from": None,
            "valid_to": None,
            "destroyed": None,
        }
    ]
    assert key_id.startswith("k_")
    key = ring.key_for(a_window("1999-01-01T00:00", "1999-01-01T01:00"))
    assert len(key.secret) == KEY_BYTES
    assert key_id[2:] not in key.secret.hex()


def test_a_new_key_begins_where_the_last_one_ends(tmp_path: Path) -> None:
    path = tmp_path / "ring"
    first = add_key(path, now=NOW, valid_from=None)
    second = add_key(path, now=NOW, valid_from=datetime(2027, 1, 1, tzinfo=UTC))

    ring = read_ring(path)

    assert [(key["key_id"], key["valid_from"], key["valid_to"]) for key in ring.public_view()] == [
        (first, None, NEW_YEAR),
        (second, NEW_YEAR, None),
    ]
    assert ring.keys[0].key != ring.keys[1].key
    assert path.stat().st_mode & 0o7777 == 0o600


def test_a_key_in_use_is_not_replaced_by_mistake(tmp_path: Path) -> None:
    path = tmp_path / "ring"
    add_key(path, now=NOW, valid_from=None)
    before = path.read_bytes()

    with pytest.raises(PrivacyError, match=r"holds a key already; say from which window on"):
        add_key(path, now=NOW, valid_from=None)

    assert path.read_bytes() == before


def test_a_new_key_cannot_begin_before_the_last_one_did(tmp_path: Path) -> None:
    """It would take over windows that older keys have named already."""
    path = tmp_path / "ring"
    add_key(path, now=NOW, valid_from=None)
    add_key(path, now=NOW, valid_from=datetime(2027, 1, 1, tzinfo=UTC))
    before = path.read_bytes()

    with pytest.raises(PrivacyError, match="ends before it begins"):
        add_key(path, now=NOW, valid_from=datetime(2026, 12, 1, tzinfo=UTC))

    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["ring"]


def test_an_exposed_ring_gets_no_further_key(tmp_path: Path) -> None:
    path = write_ring(tmp_path / "ring", an_entry(), mode=0o644)

    with pytest.raises(PrivacyError, match="has mode 0644"):
        add_key(path, now=NOW, valid_from=datetime(2027, 1, 1, tzinfo=UTC))


def test_a_ring_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(PrivacyError, match=r"^key file .*/file/ring cannot be written: "):
        add_key(tmp_path / "file" / "ring", now=NOW, valid_from=None)


def test_an_unknown_field_is_refused(tmp_path: Path) -> None:
    """A misspelt ``valid_to`` would make a key hold for ever."""
    assert "Extra inputs are not permitted" in refusal(write_ring(tmp_path / "ring", an_entry(valid_until=NEW_YEAR)))


def test_a_ring_is_copied_within_its_process() -> None:
    ring = KeyRing.model_validate({"keys": [an_entry()]})

    assert copy.deepcopy(ring) == ring.model_copy() == ring
    assert a_key() == PseudonymKey("k_0123456789abcdef", SECRET)


def two_keys(path: Path) -> tuple[str, str]:
    """Make a ring whose second key begins with the year."""
    first = add_key(path, now=NOW, valid_from=None)
    return first, add_key(path, now=NOW, valid_from=datetime(2027, 1, 1, tzinfo=UTC))


OLD_WINDOW = a_window("2026-11-01T00:00", "2026-11-01T01:00")
NEW_WINDOW = a_window("2027-01-01T00:00", "2027-01-01T01:00")
LATER = datetime(2027, 2, 1, tzinfo=UTC)


def test_a_destroyed_key_leaves_its_epoch_and_nothing_to_guess_with(tmp_path: Path) -> None:
    """Without the epoch, a window of that time would be named anew under another key."""
    path = tmp_path / "ring"
    first, second = two_keys(path)
    secret = read_ring(path).key_for(OLD_WINDOW).secret

    assert destroy_key(path, first, now=LATER) == LATER

    assert not [form for form in shown(secret) if form in path.read_text()]
    ring = read_ring(path)
    assert ring.find(first).destroyed == LATER
    assert ring.key_for(NEW_WINDOW).key_id == second
    assert [entry.key_id for entry, _ in ring.living()] == [second]
    with pytest.raises(PrivacyError, match=rf"^key {first} of the window .* was destroyed at 2027-02-01T00:00:00Z; "):
        ring.key_for(OLD_WINDOW)


def test_a_key_is_destroyed_once(tmp_path: Path) -> None:
    """A second call must not move the time that records and cards name."""
    path = tmp_path / "ring"
    first, _ = two_keys(path)
    destroy_key(path, first, now=LATER)
    before = path.read_bytes()

    assert destroy_key(path, first, now=datetime(2028, 1, 1, tzinfo=UTC)) == LATER

    assert path.read_bytes() == before


def test_the_key_of_windows_to_come_is_not_destroyed(tmp_path: Path) -> None:
    path = tmp_path / "ring"
    _, second = two_keys(path)
    before = path.read_bytes()

    with pytest.raises(PrivacyError, match=rf"^the epoch of {second} has no end, .*opspub key new --valid-from"):
        destroy_key(path, second, now=LATER)

    assert path.read_bytes() == before


def test_an_unknown_key_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    path = tmp_path / "ring"
    first, second = two_keys(path)

    with pytest.raises(UsageError, match=rf"^found no key k_nine in the ring; it has {first}, {second}$"):
        destroy_key(path, "k_nine", now=LATER)


def test_no_new_key_reaches_into_the_time_of_a_destroyed_one(tmp_path: Path) -> None:
    """Its windows are named already; under another key they would be published twice."""
    path = tmp_path / "ring"
    first, second = two_keys(path)
    add_key(path, now=NOW, valid_from=datetime(2028, 1, 1, tzinfo=UTC))
    destroy_key(path, first, now=LATER)
    destroy_key(path, second, now=LATER)
    before = path.read_bytes()

    with pytest.raises(PrivacyError, match=r"overlap|ends before it begins"):
        add_key(path, now=NOW, valid_from=datetime(2027, 6, 1, tzinfo=UTC))

    assert path.read_bytes() == before


def test_the_epoch_of_a_destroyed_key_is_not_cut_short(tmp_path: Path) -> None:
    gone = {name: value for name, value in an_entry().items() if name != "secret"}
    path = write_ring(tmp_path / "ring", gone | {"valid_to": NEW_YEAR, "destroyed": NEW_YEAR})

    with pytest.raises(PrivacyError, match=r"the epochs of k_0123456789abcdef and k_.* overlap"):
        add_key(path, now=NOW, valid_from=datetime(2026, 12, 1, tzinfo=UTC))

    add_key(path, now=NOW, valid_from=datetime(2027, 6, 1, tzinfo=UTC))
    assert [entry.valid_to for entry in read_ring(path).keys] == [datetime(2027, 1, 1, tzinfo=UTC), None]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (an_entry(destroyed=NEW_YEAR, valid_to=NEW_YEAR), "neither or both of a secret and the time"),
        ({name: value for name, value in an_entry().items() if name != "secret"}, "neither or both of a secret"),
        (an_entry(destroyed=NEW_YEAR) | {"secret": None}, "is destroyed and its epoch has no end"),
        (an_entry(key_id="../../etc/passwd"), "String should match pattern"),
    ],
)
def test_a_key_lives_or_is_destroyed(tmp_path: Path, entry: dict[str, object], reason: str) -> None:
    with pytest.raises(PrivacyError, match=reason):
        read_ring(write_ring(tmp_path / "ring", entry))


def test_a_ring_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    """It may hold something that changes which key is meant."""
    path = write_ring(tmp_path / "ring", an_entry())
    path.write_text(path.read_text().replace('"1.0"', '"2.0"'))

    with pytest.raises(PrivacyError, match="String should match pattern"):
        read_ring(path)


def test_a_key_made_from_another_one_is_refused(tmp_path: Path) -> None:
    """To destroy one of them would destroy neither."""
    derived = hashlib.sha256(SECRET).digest()
    path = write_ring(
        tmp_path / "ring", an_entry(valid_to=NEW_YEAR), an_entry(derived, key_id="k_2", valid_from=NEW_YEAR)
    )

    assert "made from another key of the ring" in refusal(path)
