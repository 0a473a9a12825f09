"""Which span a release covers, and what may not stand in one release."""

from datetime import datetime, timedelta

import pytest

from jobs.release.build import check_version, whole_days
from jobs.release.heads import HeadMaker
from schemas.commit import CommitRecord
from schemas.errors import UsageError
from schemas.windows import Window
from tests.jobs.builders import DAY, HOUR, a_commit_record


def a_commit(start: datetime, *, table: str = "node") -> CommitRecord:
    return a_commit_record(start, source="made-up", table=table)


def test_the_first_release_takes_everything() -> None:
    commits = [HeadMaker().make("a/commit.json", a_commit(DAY + n * HOUR)) for n in range(5)]

    assert whole_days(commits, None) == Window(DAY, DAY + 5 * HOUR)


def test_later_releases_take_whole_days_since_the_last() -> None:
    """A day is released once, whole: half a day would be released again tomorrow."""
    commits = [HeadMaker().make("a/commit.json", a_commit(DAY + n * HOUR)) for n in range(60)]

    assert whole_days(commits, DAY + timedelta(days=1)) == Window(DAY + timedelta(days=1), DAY + timedelta(days=2))


def test_half_a_day_is_not_released_by_itself() -> None:
    commits = [HeadMaker().make("a/commit.json", a_commit(DAY + n * HOUR)) for n in range(30)]

    with pytest.raises(UsageError, match="no whole day was committed since the last release"):
        whole_days(commits, DAY + timedelta(days=1))


@pytest.mark.parametrize("version", ["2026.11", "2026.13.0", "v2026.11.0", "2026.11.01", "2026.11.0/.."])
def test_versions_are_calendar_based(version: str) -> None:
    with pytest.raises(UsageError, match=r"wanted year\.month\.number"):
        check_version(version)
