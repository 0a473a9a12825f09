"""What is kept for good of keys, policies and destructions: known again by what it says, written once."""

from pathlib import Path

import pytest

from anonymize.keys import add_key, read_ring
from jobs.config import Settings
from jobs.kept import find_policy, keep_policy, read_destructions, windows_given_up
from jobs.keys import destroy, make_key, read_uses
from jobs.publish.attest import attest_destroyed_key, attest_destruction
from jobs.store import open_store
from schemas.destruction import KeyAttestation, KeyDestruction
from schemas.digest import digest
from schemas.errors import StoreError
from schemas.registry import read_policy
from schemas.windows import Window
from tests.jobs.builders import DAY, HOUR
from tests.jobs.two_keys import LINE, NOW, commit_hours, objects, rotate, settings_in


@pytest.fixture
def rotated(tmp_path: Path) -> tuple[Settings, str]:
    return rotate(tmp_path)


def test_a_store_with_strange_records_is_refused(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    make_key(settings, now=DAY, valid_from=None)
    open_store(settings.staging).put_new("commits/lab/node/v1/yesterday.json", b"{}")

    with pytest.raises(StoreError, match=r"commits/lab/node/v1/yesterday\.json in .* is not the name of a commit"):
        read_uses(settings, read_ring(settings.privacy.key_file))


def test_a_record_of_something_else_is_refused(tmp_path: Path) -> None:
    store = open_store(settings_in(tmp_path).staging)
    store.put_new("keys/k_1.json", b"{}")

    with pytest.raises(StoreError, match=r"^keys/k_1\.json in .* is not the record of a destroyed key$"):
        list(read_destructions(store))


def test_windows_that_are_given_up_are_known_by_table(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, collection={"window": "1h", "max_catch_up": "4h", "tables": ["node", "pod"]})
    first = add_key(settings.privacy.key_file, now=DAY, valid_from=None)
    add_key(settings.privacy.key_file, now=DAY, valid_from=LINE)
    commit_hours(settings, range(20, 24), "node", "pod", key_id=first, without=(21, 22))
    commit_hours(settings, range(20, 24), "node", key_id=first, source="east", without=(21,))
    destroy(settings, first, now=LINE + HOUR, record_gaps=True, confirmed=True)

    found = windows_given_up(open_store(settings.staging), "lab", HOUR)

    lost = {Window(DAY + hour * HOUR, DAY + (hour + 1) * HOUR) for hour in (21, 22)}
    assert found == {"node": lost, "pod": lost}


def test_a_policy_is_kept_under_its_digest(tmp_path: Path) -> None:
    """Releases name it so; the file itself may have changed since."""
    store, policy = open_store(settings_in(tmp_path).staging), read_policy("default")

    keep_policy(store, policy)
    keep_policy(store, policy)

    assert find_policy(store, digest(policy)) == policy
    assert find_policy(store, "sha256:0") is None
    store.put_new("policies/1.json", b"{}")
    with pytest.raises(StoreError, match=r"^policies/1\.json in .* is not a policy$"):
        find_policy(store, "sha256:1")


def test_an_attestation_is_written_once(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    record = KeyDestruction(key_id="k_1", valid_from=None, valid_to=LINE, destroyed=NOW, snapshots=0, gaps=())

    public = open_store(settings.public)
    attest_destruction(public, record, ["2026.11.0"])
    attest_destruction(public, record.model_copy(update={"destroyed": NOW + HOUR}), ["2026.11.0"])

    (said,) = objects(settings.public).values()
    assert KeyAttestation.model_validate_json(said).destroyed == NOW


def test_a_release_that_is_published_after_its_key_is_gone_says_so(rotated: tuple[Settings, str]) -> None:
    settings, first = rotated
    destroy(settings, first, now=NOW, record_gaps=False, confirmed=True)

    staging, public = open_store(settings.staging), open_store(settings.public)
    attest_destroyed_key(staging, public, "2026.11.0", first)
    attest_destroyed_key(staging, public, "2026.11.1", "k_that_lives")

    assert list(objects(settings.public)) == ["attestations/2026.11.0/key-destroyed.json"]
