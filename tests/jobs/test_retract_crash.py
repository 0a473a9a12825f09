"""Whatever dies, fails or races while a release is withdrawn: the next run finishes, and nothing brings it back."""

import json
from pathlib import Path

import pytest

from jobs.config import Settings
from jobs.publish import retract as retract_module
from jobs.publish import run as publish_module
from jobs.publish.catalog import CATALOG
from jobs.publish.retract import refuse_unfinished
from jobs.publish.run import run_publish
from jobs.publish.verify import run_verify
from jobs.store import Remains, open_store
from jobs.store.folder import FolderStore
from jobs.store.s3 import S3Store
from schemas.errors import StoreError, UsageError
from tests.jobs.audited import VERSION, a_clock, publisher_settings, write_audited
from tests.jobs.withdrawn import (
    BEFORE,
    EARLIER,
    FILES,
    PREFIX,
    a_public_bucket,
    assert_withdrawn,
    in_bucket,
    keys_of,
    public_of,
    publish_two,
    withdraw,
)
from tests.lab.rgw import Gateway
from tests.store.conftest import bucket_place, gateway
from tests.store.killing import KillingStore, Moment, run_in_child
from tests.store.places import FULL, BucketPlace

__all__ = ["bucket_place", "gateway"]

CALLS = 200  # more than a retraction has


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_at_any_store_call_the_next_run_finishes(
    tmp_path: Path, moment: Moment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the way readers see the release or the notice, and no publishing brings it back behind the tombstone."""
    for at in range(1 if moment == "before" else 2, CALLS, 1 if FULL else 3):
        settings = publish_two(publisher_settings(tmp_path / f"{at}"))
        if not killed_at(settings, at, moment, monkeypatch):
            break
        assert_consistent(settings)
        withdraw(settings)
        assert_withdrawn(settings)

    assert at > 15
    assert_withdrawn(settings)


@pytest.mark.parametrize("moment", ["before", "after"] if FULL else ["after"])
def test_killed_at_any_store_call_on_a_bucket_the_next_run_finishes(
    gateway: Gateway, bucket_place: BucketPlace, tmp_path: Path, moment: Moment, monkeypatch: pytest.MonkeyPatch
) -> None:
    public_bucket = a_public_bucket(gateway)
    for at in range(1 if moment == "before" else 11, CALLS, 1 if FULL else 20):
        settings = publish_two(in_bucket(tmp_path / f"{at}", public_bucket, f"run-{at}"))
        public_bucket.begin_upload(f"run-{at}/{PREFIX}half")
        if not killed_at(settings, at, moment, monkeypatch):
            break
        assert_consistent(settings)
        result = withdraw(settings)
        assert_withdrawn(settings)
        assert (result.problems, result.unchecked, result.asked) == ([], [], FILES)

    assert at > 15


def test_nothing_comes_back_to_sight_while_versions_are_removed(
    gateway: Gateway, bucket_place: BucketPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deleted object is hidden by a marker; taken away first, it would uncover what lies below."""
    settings = publish_two(in_bucket(tmp_path, a_public_bucket(gateway)))
    seen: list[list[str]] = []
    erase = S3Store.erase

    def erase_and_look(self: S3Store, remains: Remains) -> None:
        erase(self, remains)
        seen.append(list(self.list(PREFIX)))

    monkeypatch.setattr(S3Store, "erase", erase_and_look)
    withdraw(settings)

    assert len(seen) == 2 * FILES
    assert not any(seen)


def killed_at(settings: Settings, at: int, moment: Moment, monkeypatch: pytest.MonkeyPatch) -> bool:
    def open_killing(url: str, *, endpoint_url: str | None = None) -> KillingStore:
        return KillingStore(open_store(url, endpoint_url=endpoint_url), at=at, moment=moment)

    with monkeypatch.context() as patch:
        patch.setattr(retract_module, "open_store", open_killing)
        return run_in_child(lambda: withdraw(settings))


def assert_consistent(settings: Settings) -> None:
    """Whoever reads now is told the truth: a release that is listed as published is whole."""
    store = public_of(settings)
    left = list(store.list(PREFIX))
    assert not left or f"{PREFIX}manifest.json" in left  # it tells the next run, on any machine, what to ask for
    catalog = json.loads(store.get(CATALOG) or b"")
    status = {entry["version"]: entry["status"] for entry in catalog["releases"]}
    if status[VERSION] == "published":
        assert run_verify(settings, VERSION).problems == ()
        assert catalog["latest"] == VERSION
    elif store.get(f"retractions/{VERSION}.json"):
        with pytest.raises(UsageError, match="was retracted on"):
            run_publish(settings, VERSION, clock=a_clock())


def test_a_release_withdrawn_while_it_is_published_does_not_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Publishing takes minutes; whoever sees the mistake meanwhile does not wait for its end."""
    for moment in ("SHA256SUMS", "manifest.json", CATALOG):
        settings = publisher_settings(tmp_path / moment)
        write_audited(settings, BEFORE, **EARLIER)
        run_publish(settings, BEFORE, clock=a_clock())
        write_audited(settings)

        class Racing(FolderStore):
            def put_new(self, key: str, content: bytes | Path, *, sha256: str | None = None) -> bool:
                made = super().put_new(key, content, sha256=sha256)
                self._race(key)
                return made

            def put(self, key: str, content: bytes | Path) -> None:
                super().put(key, content)
                self._race(key)

            def _race(self, key: str, moment: str = moment, settings: Settings = settings) -> None:
                if key.endswith(moment):
                    withdraw(settings)

        with monkeypatch.context() as patch:
            patch.setattr(publish_module, "open_store", lambda url, **_: Racing(Path(url.removeprefix("file:"))))
            with pytest.raises(UsageError, match="retracted while it was published; it was removed again"):
                run_publish(settings, VERSION, clock=a_clock())

        assert_withdrawn(settings)


def test_what_cannot_be_removed_is_named_and_hides_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A locked object must not keep the others up."""
    published = publish_two(publisher_settings(tmp_path))
    locked = f"{PREFIX}README.md"

    def refuse(self: FolderStore, key: str) -> None:
        if key == locked:
            raise StoreError(f"cannot delete {key!r} in {self.url}: Operation not permitted")
        delete(self, key)

    def refuse_too(self: FolderStore, remains: object) -> None:
        refuse(self, getattr(remains, "key", ""))

    delete = FolderStore.delete
    with monkeypatch.context() as patch:
        patch.setattr(FolderStore, "delete", refuse)
        patch.setattr(FolderStore, "erase", refuse_too)
        result = withdraw(published)

    assert [key for key in keys_of(published) if key.startswith(PREFIX)] == [locked]
    assert len(result.problems) == 2
    assert (
        "1 objects could not be removed, the first: cannot delete 'releases/2026.11.0/README.md'" in result.problems[0]
    )
    with pytest.raises(StoreError, match="is retracted, but not gone"):
        refuse_unfinished(result)
    withdraw(published)
    assert_withdrawn(published)
