"""Keys beside what was made under them: none begins over named windows, none goes while a window may need it."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anonymize.keys import add_key, read_ring
from jobs.config import Settings
from jobs.kept import read_destructions
from jobs.keys import Snapshot, destroy, find_lost, make_key, read_uses
from jobs.store import open_store
from schemas.destruction import KeyAttestation, LostSpan
from schemas.errors import PrivacyError, StoreError, UsageError
from schemas.windows import Window
from tests.jobs.builders import DAY, HOUR, a_manifest
from tests.jobs.two_keys import LINE, NOW, commit_hours, objects, publish, rotate, settings_in


@pytest.fixture
def rotated(tmp_path: Path) -> tuple[Settings, str]:
    return rotate(tmp_path)


def test_a_key_is_destroyed_once_its_windows_are_committed(rotated: tuple[Settings, str]) -> None:
    settings, first = rotated

    found = destroy(settings, first, now=NOW, record_gaps=False, confirmed=True)

    assert found.done
    assert (found.record.snapshots, found.record.gaps, found.record.destroyed) == (48, (), NOW)
    ring = read_ring(settings.privacy.key_file)
    with pytest.raises(PrivacyError, match="was destroyed at 2026-11-03T00:00:00Z"):
        ring.key_for(Window(DAY, DAY + HOUR))
    assert ring.key_for(Window(LINE, LINE + HOUR))
    assert list(read_destructions(open_store(settings.staging))) == [found.record]


def test_nothing_is_destroyed_without_a_yes(rotated: tuple[Settings, str]) -> None:
    settings, first = rotated
    before = settings.privacy.key_file.read_bytes(), objects(settings.staging), objects(settings.public)

    found = destroy(settings, first, now=NOW, record_gaps=True, confirmed=False)

    assert not found.done
    assert found.record.snapshots == 48
    assert (settings.privacy.key_file.read_bytes(), objects(settings.staging), objects(settings.public)) == before


def test_a_window_that_may_still_be_collected_keeps_its_key(tmp_path: Path) -> None:
    """Without the key it never could be, and nobody would have decided that."""
    settings = settings_in(tmp_path)
    first = add_key(settings.privacy.key_file, now=DAY, valid_from=None)
    add_key(settings.privacy.key_file, now=DAY, valid_from=LINE)
    commit_hours(settings, range(24), "node", key_id=first)
    commit_hours(settings, range(24), "pod", key_id=first, without=(3, 4, 22))
    before = settings.privacy.key_file.read_bytes()

    with pytest.raises(PrivacyError) as refused:
        destroy(settings, first, now=LINE + HOUR, record_gaps=False, confirmed=True)
    found = destroy(settings, first, now=LINE + HOUR, record_gaps=True, confirmed=False)

    assert str(refused.value) == (
        f"3 windows of {first} are not committed, the first of table pod in 2026-11-01T03:00:00Z/2026-11-01T05:00:00Z; "
        "run 'opspub snapshot', or give them up for ever with --record-gaps"
    )
    assert settings.privacy.key_file.read_bytes() == before
    assert [(gap.table, gap.start, gap.end) for gap in found.record.gaps] == [
        ("pod", DAY + 3 * HOUR, DAY + 5 * HOUR),
        ("pod", DAY + 22 * HOUR, DAY + 23 * HOUR),
    ]


def test_windows_that_are_given_up_are_recorded(tmp_path: Path) -> None:
    """A release of that time says why they are missing, years after the ring is gone."""
    settings = settings_in(tmp_path)
    first = add_key(settings.privacy.key_file, now=DAY, valid_from=None)
    add_key(settings.privacy.key_file, now=DAY, valid_from=LINE)
    commit_hours(settings, range(24), "node", "pod", key_id=first, without=(23,))

    destroy(settings, first, now=NOW, record_gaps=True, confirmed=True)

    (record,) = read_destructions(open_store(settings.staging))
    assert [(gap.source, gap.table, gap.start, gap.end) for gap in record.gaps] == [
        ("lab", "node", LINE - HOUR, LINE),
        ("lab", "pod", LINE - HOUR, LINE),
    ]


def test_another_source_of_the_store_keeps_the_key_too(rotated: tuple[Settings, str]) -> None:
    """One ring may name several clusters, and each configuration knows only its own."""
    settings, first = rotated
    commit_hours(settings, range(5, 20), "gpu", key_id=first, source="east", without=(9,))

    with pytest.raises(PrivacyError, match=r"^5 windows of .*, the first of table gpu in 2026-11-01T09"):
        destroy(settings, first, now=NOW, record_gaps=False, confirmed=True)


@pytest.mark.parametrize(
    ("at", "told"),
    [
        (LINE - HOUR, "the last window of KEY settles at 2026-11-02T00:10:00Z; it is 2026-11-01T23:00:00Z"),
        (LINE + timedelta(minutes=9), "the last window of KEY settles at 2026-11-02T00:10:00Z"),
    ],
)
def test_a_key_whose_last_window_has_not_settled_stays(rotated: tuple[Settings, str], at: datetime, told: str) -> None:
    settings, first = rotated

    with pytest.raises(PrivacyError) as refused:
        destroy(settings, first, now=at, record_gaps=True, confirmed=True)

    assert str(refused.value).startswith(told.replace("KEY", first))


def test_the_newest_key_stays(rotated: tuple[Settings, str]) -> None:
    settings, _ = rotated
    newest = read_ring(settings.privacy.key_file).keys[-1].key_id

    with pytest.raises(PrivacyError, match=rf"^the epoch of {newest} has no end, so windows to come need it"):
        destroy(settings, newest, now=NOW, record_gaps=True, confirmed=True)


def test_an_unknown_key_is_a_usage_error(rotated: tuple[Settings, str]) -> None:
    with pytest.raises(UsageError, match=r"^found no key k_x in the ring; it has k_"):
        destroy(rotated[0], "k_x", now=NOW, record_gaps=True, confirmed=True)


def test_releases_of_a_destroyed_key_say_so(rotated: tuple[Settings, str]) -> None:
    """Beside the release, which never changes; one that is published later gets its record from a second call."""
    settings, first = rotated
    publish(settings, a_manifest("2026.11.0", key_id=first, start=DAY, end=DAY + 12 * HOUR))
    publish(settings, a_manifest("2026.11.1", key_id="k_other", start=LINE, end=NOW))
    destroy(settings, first, now=NOW, record_gaps=False, confirmed=True)
    before = {key for key in objects(settings.public) if key.startswith("attestations/")}
    publish(settings, a_manifest("2026.11.2", key_id=first, start=DAY + 12 * HOUR, end=LINE))

    again = destroy(settings, first, now=NOW + 9 * HOUR, record_gaps=False, confirmed=False)

    said = {key: value for key, value in objects(settings.public).items() if key.startswith("attestations/")}
    assert before == {"attestations/2026.11.0/key-destroyed.json"}
    assert set(said) == before | {"attestations/2026.11.2/key-destroyed.json"}
    assert {KeyAttestation.model_validate_json(value).destroyed for value in said.values()} == {NOW}
    assert again.done
    assert again.record.destroyed == NOW
    assert b"lab" not in b"".join(said.values())  # the source's name is private


def test_a_run_that_dies_after_destroying_is_finished_by_the_next(
    rotated: tuple[Settings, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key first: a record of something that did not happen would be believed."""
    settings, first = rotated
    publish(settings, a_manifest("2026.11.0", key_id=first, start=DAY, end=LINE))

    def fail(*arguments: object) -> None:
        raise StoreError("cannot write 'attestations/...'")

    with monkeypatch.context() as broken:
        broken.setattr("jobs.keys.attest_destruction", fail)
        with pytest.raises(StoreError, match=rf"^{first} is destroyed, but not recorded everywhere; repeat this: "):
            destroy(settings, first, now=NOW, record_gaps=False, confirmed=True)
    assert "attestations/2026.11.0/key-destroyed.json" not in objects(settings.public)

    destroy(settings, first, now=NOW + HOUR, record_gaps=False, confirmed=True)

    assert json.loads(objects(settings.public)["attestations/2026.11.0/key-destroyed.json"])["destroyed"].startswith(
        "2026-11-03T00:00:00"
    )


def test_uses_of_keys_are_told_by_their_windows_and_releases(rotated: tuple[Settings, str]) -> None:
    settings, first = rotated
    publish(settings, a_manifest("2026.11.0", key_id=first, start=DAY, end=LINE))
    ring = read_ring(settings.privacy.key_file)

    uses = read_uses(settings, ring)

    old, new = (uses[entry.key_id] for entry in ring.keys)
    assert (old.snapshots, old.first, old.last, old.releases, old.others) == (48, DAY, LINE, ("2026.11.0",), ())
    assert (new.snapshots, new.first, new.last, new.releases) == (46, LINE, NOW - HOUR, ())


def test_a_ring_of_another_time_is_noticed(tmp_path: Path) -> None:
    """A lost ring that was begun anew does not name what was made under the old one."""
    settings = settings_in(tmp_path)
    add_key(settings.privacy.key_file, now=DAY, valid_from=None)
    commit_hours(settings, range(3), "node", key_id="k_lost")

    (use,) = read_uses(settings, read_ring(settings.privacy.key_file)).values()

    assert use.others == ("k_lost",)


def test_a_new_key_begins_behind_all_that_is_named(rotated: tuple[Settings, str]) -> None:
    """Windows that are committed have their tokens; another key from the middle of them would split a release."""
    settings, _ = rotated
    before = settings.privacy.key_file.read_bytes()

    with pytest.raises(PrivacyError) as refused:
        make_key(settings, now=NOW, valid_from=NOW - 5 * HOUR)

    assert str(refused.value) == (
        "snapshots up to 2026-11-02T23:00:00Z are committed under older keys; wanted --valid-from "
        "2026-11-02T23:00:00Z or later"
    )
    assert settings.privacy.key_file.read_bytes() == before
    key_id = make_key(settings, now=NOW, valid_from=NOW - HOUR)
    assert read_ring(settings.privacy.key_file).keys[-1].key_id == key_id


def test_a_new_key_does_not_begin_within_a_release(tmp_path: Path) -> None:
    """Keys change where releases end; staging may be gone long before what was published from it."""
    settings = settings_in(tmp_path)
    first = make_key(settings, now=DAY, valid_from=None)
    publish(settings, a_manifest("2026.11.0", key_id=first, start=DAY, end=LINE))

    with pytest.raises(
        PrivacyError, match=r"^release 2026\.11\.0 spans 2026-11-01T12.*; wanted --valid-from 2026-11-02T"
    ):
        make_key(settings, now=NOW, valid_from=DAY + 12 * HOUR)

    assert make_key(settings, now=NOW, valid_from=LINE)


def test_a_new_key_begins_with_a_window(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    make_key(settings, now=DAY, valid_from=None)

    with pytest.raises(UsageError, match=r"^found --valid-from 2026-11-02T00:30:00Z inside a window"):
        make_key(settings, now=NOW, valid_from=LINE + timedelta(minutes=30))


@given(
    done=st.sets(st.tuples(st.sampled_from(["node", "pod"]), st.integers(0, 47))),
    begins=st.none() | st.integers(0, 20),
    ends=st.integers(21, 46),
)
def test_lost_are_exactly_the_windows_that_were_expected_and_are_not_there(
    done: set[tuple[str, int]], begins: int | None, ends: int
) -> None:
    """One too few gives a window up unseen; one too many keeps a key alive for ever."""
    snapshots = [Snapshot("lab", table, Window(DAY + hour * HOUR, DAY + (hour + 1) * HOUR), "") for table, hour in done]
    reach = 48 - 10

    lost = find_lost(
        snapshots,
        (None if begins is None else DAY + begins * HOUR, DAY + ends * HOUR),
        configured={"lab": ["node", "pod"]},
        now=NOW,
        width=HOUR,
        max_catch_up=10 * HOUR,
    )

    found = {
        (span.table, hour) for span in lost for hour in range(48) if span.start <= DAY + hour * HOUR < span.end
    }  # fmt: skip
    wanted = set()
    for table in ("node", "pod"):
        own = [hour for name, hour in done if name == table]
        since = min([*own, reach])
        wanted |= {(table, hour) for hour in range(max(since, begins or 0), ends) if (table, hour) not in done}
    assert found == wanted
    assert all(isinstance(span, LostSpan) and span.start < span.end for span in lost)
