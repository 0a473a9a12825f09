"""Retention takes files that a release has held for long enough; their windows never look whole, nor become due."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from benchmarks.staged import START, Staged, settings_in, stage
from jobs import retention
from jobs.config import Settings
from jobs.publish.retract import run_retract
from jobs.publish.run import run_publish
from jobs.release.run import run_release
from jobs.retention import RetentionResult, render_retention, run_retention
from jobs.snapshot.commits import committed_windows
from jobs.store import open_store
from schemas.errors import UsageError
from schemas.registry import find_table
from tests.store.conftest import bucket_place, gateway
from tests.store.places import BucketPlace

__all__ = ["bucket_place", "gateway"]

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PUBLISHED = START + 2 * DAY
LATER = PUBLISHED + 91 * DAY
METRIC = ("container_memory_working_set_bytes",)


def prepare(settings: Settings, folder: Path) -> Settings:
    """Stage four hours and publish a release of the first two."""
    stage(settings, Staged(3, 4, metrics=METRIC), folder / "files")
    release(settings, "2026.11.0", 0, 2)
    run_publish(settings, "2026.11.0", clock=lambda: PUBLISHED)
    return settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return prepare(settings_in(tmp_path), tmp_path)


def release(settings: Settings, version: str, first: int, last: int) -> None:
    run_release(settings, version, clock=lambda: PUBLISHED, start=START + first * HOUR, end=START + last * HOUR)


def expire(settings: Settings, **changed: Any) -> RetentionResult:  # noqa: ANN401 - any option
    options: dict[str, Any] = {"older_than": 90 * DAY, "unreleased": False, "apply": True, "now": LATER} | changed
    return run_retention(settings, **options)


def hours(settings: Settings, prefix: str) -> list[str]:
    """Return the hours of the windows of which the store has something below a prefix."""
    store = open_store(settings.staging, endpoint_url=settings.s3_endpoint_url)
    return sorted({key.removesuffix(".json").split("/")[4][9:11] for key in store.list(prefix)})


def check_expired(settings: Settings) -> None:
    """See that the first two hours have gone, and what that means."""
    table = find_table("container")
    store = open_store(settings.staging, endpoint_url=settings.s3_endpoint_url)
    assert (hours(settings, "data/"), hours(settings, "commits/")) == (["02", "03"], ["00", "01", "02", "03"])
    assert len(committed_windows(store, settings.source.name, table, 3_600_000)) == 4  # none is due again
    with pytest.raises(UsageError, match=r"2 snapshots in .* were removed by retention, the last in 2026-11-01T01"):
        release(settings, "2026.11.1", 0, 4)
    release(settings, "2026.11.1", 2, 4)


def test_what_a_release_holds_goes_and_its_commits_stay(settings: Settings) -> None:
    """A window whose files are gone is done, not due; and no release is made of it as if it had been empty."""
    listed = expire(settings, apply=False)
    assert hours(settings, "data/") == ["00", "01", "02", "03"]

    done = expire(settings)

    assert [(each.window.start.hour, each.release) for each in done.snapshots] == [(0, "2026.11.0"), (1, "2026.11.0")]
    assert [each.commit for each in listed.snapshots] == [each.commit for each in done.snapshots]
    assert (listed.unreleased, done.unreleased) == (2, 2)
    assert "--apply removes them" in list(render_retention(listed, apply=False))[-1]
    check_expired(settings)
    assert expire(settings).snapshots == []


def test_it_is_the_same_in_a_bucket(tmp_path: Path, bucket_place: BucketPlace) -> None:
    given = settings_in(tmp_path).model_copy(
        update={"staging": bucket_place.url, "s3_endpoint_url": bucket_place.endpoint_url}
    )
    settings = prepare(given, tmp_path)

    expire(settings)

    check_expired(settings)


def test_who_is_killed_in_between_leaves_no_window_that_looks_whole(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record comes before the first file goes; the next call takes what is left."""

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(retention, "_erase", die)
        with pytest.raises(KeyboardInterrupt):
            expire(settings)
    assert hours(settings, "data/") == ["00", "01", "02", "03"]
    with pytest.raises(UsageError, match=r"1 snapshots in .* were removed by retention"):
        release(settings, "2026.11.1", 0, 4)

    expire(settings)

    check_expired(settings)


def withdrawn(settings: Settings) -> None:
    run_retract(settings, "2026.11.0", reason="a test", clock=lambda: PUBLISHED)


@pytest.mark.parametrize(
    ("before", "options", "wanted"),
    [
        (None, {"now": PUBLISHED + 89 * DAY}, 0),  # young in public: an erratum may be wanted
        (withdrawn, {}, 0),
        (withdrawn, {"unreleased": True}, 4),
        (None, {"unreleased": True}, 4),
    ],
    ids=["just-published", "retracted", "retracted-and-unreleased", "unreleased"],
)
def test_what_may_still_be_wanted_stays(
    settings: Settings, before: Callable[[Settings], None] | None, options: dict[str, Any], wanted: int
) -> None:
    if before:
        before(settings)

    assert len(expire(settings, apply=False, **options).snapshots) == wanted


def test_too_short_a_time_is_refused(settings: Settings) -> None:
    with pytest.raises(UsageError, match=r"found --older-than 6d; wanted at least 7d"):
        expire(settings, older_than=6 * DAY)
    assert len(hours(settings, "data/")) == 4
