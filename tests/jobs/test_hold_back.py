"""Young windows are held back, by their real age whatever time a release tells."""

from pathlib import Path

import pytest

from schemas.errors import PrivacyError
from schemas.windows import Window
from tests.jobs.nights import NIGHT, build, publish, settings_of, stage_night
from tests.jobs.small_groups import DAY, HOUR


def test_young_windows_are_held_back(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "calendar", hold_back="2d")
    stage_night(settings, tmp_path)

    assert build(settings).span == Window(NIGHT, DAY + 24 * HOUR)


def test_an_end_that_is_too_young_is_refused(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "calendar", hold_back="2d")
    stage_night(settings, tmp_path)

    with pytest.raises(PrivacyError, match=r"release\.hold_back of 2d wants none after 2026-11-02T00:00:00Z"):
        build(settings, end=DAY + 25 * HOUR)


def test_a_store_of_young_windows_alone_gives_no_release(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "calendar", hold_back="30d")
    stage_night(settings, tmp_path)

    with pytest.raises(PrivacyError, match=r"no snapshot is older than release\.hold_back of 30d"):
        build(settings)


@pytest.mark.parametrize("mode", ["calendar", "shifted", "relative"])
def test_publishing_looks_at_the_real_age_again(mode: str, tmp_path: Path) -> None:
    """A release built before the rule was set, or told in 1970, is as young as its data really are."""
    stage_night(settings_of(tmp_path, mode), tmp_path)
    build(settings_of(tmp_path, mode))

    with pytest.raises(PrivacyError, match=r"release\.hold_back of 2d"):
        publish(settings_of(tmp_path, mode, hold_back="2d"))

    assert not list((tmp_path / "public").rglob("*.json"))
