"""In which time a release is told: moved as a whole, by whole days, and nothing of it tells by how many."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import opscommons
from jobs.gc import run_gc
from jobs.kept import record_destruction
from jobs.keys import make_key
from jobs.publish.retract import run_retract
from jobs.release.audited import run_audit
from jobs.release.timeline import FIRST, LAST, LEAST_WEEKS, MOST_WEEKS, choose_timeline, draw_weeks
from jobs.store import open_store
from schemas.destruction import KeyDestruction, LostSpan
from schemas.errors import PrivacyError, UsageError
from schemas.windows import Window
from tests.jobs.nights import (
    GPUS,
    NIGHT,
    NOW,
    WEEK,
    all_instants,
    build,
    moved_files,
    publish,
    settings_of,
    stage_night,
)
from tests.jobs.small_groups import DAY, GPU_METRIC, HOUR


@pytest.mark.parametrize("mode", ["shifted", "relative"])
def test_the_whole_release_moves_by_whole_days_and_nothing_stays_behind(mode: str, tmp_path: Path) -> None:
    """One instant of calendar time that is left in one file undoes the shift of all others."""
    plain, other = settings_of(tmp_path / "a", "calendar"), settings_of(tmp_path / "b", mode)
    stage_night(plain, tmp_path / "a")
    stage_night(other, tmp_path / "b")

    told, moved = build(plain), build(other)

    by = moved.manifest.start - told.manifest.start
    assert moved.manifest.time == mode
    assert by.total_seconds() % (7 * 86_400 if mode == "shifted" else 86_400) == 0
    assert moved_files(told.folder, by) == moved_files(moved.folder, timedelta())
    assert moved.manifest.created == told.manifest.created + by
    assert {instant + by for instant in all_instants(told.folder)} == all_instants(moved.folder)
    assert moved.report.findings == ()
    for path in moved.folder.rglob("*"):
        assert "2026-1" not in path.relative_to(moved.folder).as_posix()
        assert path.is_dir() or b"2026-1" not in path.read_bytes(), path.name
    assert moved.span == told.span == Window(NIGHT, NIGHT + 2 * HOUR)


def test_a_relative_release_begins_on_the_first_day_of_1970(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "relative")
    stage_night(settings, tmp_path)

    result = build(settings)

    assert result.manifest.start == datetime(1970, 1, 1, 23, tzinfo=UTC)
    assert {f"{file.date}" for file in result.manifest.files if file.date} == {"1970-01-01", "1970-01-02"}
    assert "the first day is 1970-01-01" in (result.folder / "README.md").read_text()


def test_a_shifted_release_keeps_weekdays_and_is_far_away(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "shifted")
    stage_night(settings, tmp_path)

    manifest = build(settings).manifest

    assert manifest.start.weekday() == NIGHT.weekday() == 6
    assert abs(manifest.start - NIGHT) >= LEAST_WEEKS * WEEK


def test_releases_of_a_key_are_one_timeline_and_the_same_bytes(tmp_path: Path) -> None:
    """A shift drawn for each release would tear a series apart; one drawn for each build would change its bytes."""
    settings = settings_of(tmp_path, "shifted")
    stage_night(settings, tmp_path)
    later = {"start": DAY + 24 * HOUR, "end": DAY + 25 * HOUR}

    first = build(settings, start=NIGHT, end=DAY + 24 * HOUR)
    again = {path: path.read_bytes() for path in first.folder.rglob("*") if path.is_file()}
    publish(settings)
    second = build(settings, "2026.11.1", **later)

    assert second.manifest.start == first.manifest.end
    (tmp_path / "public").rename(tmp_path / "public-before")
    assert build(settings, start=NIGHT, end=DAY + 24 * HOUR).folder == first.folder
    assert {path: path.read_bytes() for path in first.folder.rglob("*") if path.is_file()} == again


def test_every_key_draws_its_own_shift(tmp_path: Path) -> None:
    store = open_store(f"file:{tmp_path}")
    span = Window(NIGHT, NIGHT + HOUR)

    shifts = {choose_timeline("shifted", span, key_id=f"k_{n}", store=store).by for n in range(20)}

    assert len(shifts) > 10
    assert {choose_timeline("shifted", span, key_id=f"k_{n}", store=store).by for n in range(20)} == shifts


@pytest.mark.parametrize("year", [1970, 1975, 2026, 2199])
def test_a_drawn_shift_stays_within_what_readers_know(year: int) -> None:
    """Before 1970 and after 2262 pandas, SQL engines and file systems begin to differ."""
    span = Window(datetime(year, 3, 1, tzinfo=UTC), datetime(year, 6, 1, tzinfo=UTC))

    for _ in range(50):
        weeks = draw_weeks(span)
        assert LEAST_WEEKS <= abs(weeks) <= MOST_WEEKS
        assert span.start + weeks * WEEK >= FIRST
        assert span.end + weeks * WEEK <= LAST


def test_a_span_that_no_shift_fits_is_refused() -> None:
    with pytest.raises(UsageError, match=r"set privacy\.time to relative"):
        draw_weeks(Window(FIRST, LAST))


def test_the_next_release_begins_where_the_last_one_really_ends(tmp_path: Path) -> None:
    """A public manifest of another time must not be taken for calendar time: days would be left out, or told twice."""
    settings = settings_of(tmp_path, "shifted")
    stage_night(settings, tmp_path)
    build(settings, end=DAY + 24 * HOUR)
    publish(settings)

    assert build(settings, "2026.11.1", end=NOW).span == Window(DAY + 24 * HOUR, DAY + 25 * HOUR)


@pytest.mark.parametrize("mode", ["shifted", "relative"])
def test_an_overlap_under_another_key_is_seen_in_real_time(mode: str, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, mode)
    stage_night(settings, tmp_path)
    build(settings)
    publish(settings)
    other = settings_of(tmp_path, mode).model_copy(update={"staging": f"file:{tmp_path}/other"})
    stage_night(other, tmp_path / "other-run", key="k_1")
    for path in (tmp_path / "staging/releases").rglob("*.json"):  # as the message asks to
        to = tmp_path / "other" / path.relative_to(tmp_path / "staging")
        to.parent.mkdir(parents=True)
        to.write_bytes(path.read_bytes())

    with pytest.raises(PrivacyError, match=r"2026\.11\.0 covers part of this span under another key"):
        build(other, "2026.11.1", start=NIGHT)


def test_a_span_that_nobody_knows_ends_the_run(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "shifted")
    stage_night(settings, tmp_path)
    build(settings)
    publish(settings)
    for path in (tmp_path / "staging/releases").rglob("*.json"):
        path.unlink()

    with pytest.raises(PrivacyError, match="does not know when its data really are"):
        build(settings, "2026.11.1")


@pytest.mark.parametrize("content", [None, b"{}", b"of other bytes"])
def test_nothing_is_published_without_its_real_span(content: bytes | None, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "shifted")
    stage_night(settings, tmp_path)
    folder = build(settings).folder
    record = folder.with_name(f"{folder.name}.span.json")
    if content == b"of other bytes":
        record.write_text(json.dumps(json.loads(record.read_text()) | {"manifest_sha256": "0" * 64}))
    elif content is None:
        record.unlink()
    else:
        record.write_bytes(content)

    with pytest.raises(PrivacyError, match=r"build 2026\.11\.0 again"):
        publish(settings)

    assert not list((tmp_path / "public").rglob("*.json"))


def test_one_key_has_one_way_to_tell_time(tmp_path: Path) -> None:
    """Equal tokens in calendar and in shifted time tell the shift at once."""
    settings = settings_of(tmp_path, "shifted")
    stage_night(settings, tmp_path)
    build(settings, end=DAY + 24 * HOUR)
    publish(settings)

    with pytest.raises(PrivacyError, match="has the same key and tells shifted time, this one calendar"):
        build(settings_of(tmp_path, "calendar"), "2026.11.1", start=DAY + 24 * HOUR)


def test_a_shift_is_not_drawn_for_a_key_that_tells_calendar_time(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "calendar")
    stage_night(settings, tmp_path)
    build(settings, end=DAY + 24 * HOUR)
    publish(settings)

    with pytest.raises(PrivacyError, match="tells calendar time, this one shifted"):
        build(settings_of(tmp_path, "shifted"), "2026.11.1", start=DAY + 24 * HOUR)

    assert not (tmp_path / "staging/time").exists()
    assert not (tmp_path / "work/releases/2026.11.1").exists()


def test_the_card_says_what_the_time_means_and_that_it_hides_little(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "shifted")
    stage_night(settings, tmp_path)

    folder = build(settings).folder

    card = (folder / "README.md").read_text()
    assert "moved by one random number of whole weeks" in card
    assert "Moved time is noise, not protection" in card
    assert "Time is calendar time" not in card
    assert "unnamed (2026)" in card  # the version's year: nobody can cite a year that was drawn
    assert "date-released" not in (folder / "CITATION.cff").read_text()
    assert json.loads((folder / "privacy.json").read_text())["time"] == "shifted"


@pytest.mark.parametrize("mode", ["shifted", "relative"])
def test_the_client_loads_moved_time_as_any_other(mode: str, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, mode)
    stage_night(settings, tmp_path)
    result = build(settings)

    release = opscommons.open(str(result.folder))
    day = release.load(GPU_METRIC, end=result.manifest.start + HOUR)

    assert release.manifest.time == mode
    assert len(release.load(GPU_METRIC)) == 2 * 4 * len(GPUS)
    assert len(day) == 4 * len(GPUS)
    assert day["timestamp"].min() == result.manifest.start


@pytest.mark.parametrize("mode", ["calendar", "shifted"])
def test_a_real_day_that_is_left_in_a_moved_release_stops_it(mode: str, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, mode)
    stage_night(settings, tmp_path, hours=1)
    card = build(settings).folder / "README.md"
    card.write_text(card.read_text() + f"\nCollected on {NIGHT:%F}.\n")

    report = run_audit(settings, card.parent, now=NOW)

    found = {finding.code for finding in report.findings}
    assert ("day-outside-release" in found) == (mode == "shifted")


def test_the_catalog_says_in_which_time_a_release_was_created(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "relative")
    stage_night(settings, tmp_path, hours=1)
    build(settings)
    publish(settings)

    (entry,) = json.loads((tmp_path / "public/catalog.json").read_text())["releases"]
    assert (entry["created"][:10], entry["time"]) == ("1970-01-02", "relative")
    assert "1970-01-02</time> (relative time)" in (tmp_path / "public/index.html").read_text()
    retracted = run_retract(settings, "2026.11.0", reason="A column was wrong.", clock=lambda: NOW)
    (entry,) = json.loads((tmp_path / "public/catalog.json").read_text())["releases"]
    assert retracted.problems == []
    assert (entry["status"], entry["time"]) == ("retracted", "relative")


def test_no_key_begins_inside_the_real_span_of_a_moved_release(tmp_path: Path) -> None:
    """The manifest says 1970 or another year; the windows are where they are."""
    settings = settings_of(tmp_path, "shifted")
    first = make_key(settings, now=NOW, valid_from=None)
    stage_night(settings, tmp_path, key=first)
    build(settings)
    publish(settings)
    for commit in (tmp_path / "staging/commits").rglob("*.json"):  # as if they had been cleared away
        commit.unlink()

    with pytest.raises(PrivacyError, match=r"2026\.11\.0 spans 2026-11-02T00:00:00Z"):
        make_key(settings, now=NOW, valid_from=DAY + 24 * HOUR)


def test_a_key_whose_id_is_spelt_like_a_token_is_no_stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One id of a hundred is: card and manifest name it, and no input has it."""
    monkeypatch.setattr("anonymize.keys.secrets.token_hex", lambda _: "abcdef2345672345")
    settings = settings_of(tmp_path, "calendar")
    stage_night(settings, tmp_path, key=make_key(settings, now=NOW, valid_from=None), hours=1)

    folder = build(settings).folder

    assert "k_abcdef2345672345" in (folder / "README.md").read_text()


def test_the_records_of_moved_time_are_no_orphans(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "shifted")
    stage_night(settings, tmp_path, hours=1)
    build(settings)
    publish(settings)

    found = run_gc(settings, grace=timedelta(hours=1), apply=True, now=datetime(2100, 1, 1, tzinfo=UTC))

    assert [orphan.key for orphan in found.orphans if orphan.where == "staging"] == []
    assert len(list((tmp_path / "staging/time").iterdir())) == 1
    assert build(settings, "2026.11.1", start=NIGHT).span == Window(NIGHT, NIGHT + HOUR)


def test_windows_given_up_with_a_key_are_told_in_moved_time(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "relative")
    stage_night(settings, tmp_path, hours=1)
    stage_night(settings, tmp_path, start=NIGHT + 2 * HOUR, hours=1)
    gone = LostSpan(source="lab", table="gpu", start=NIGHT + HOUR, end=NIGHT + 2 * HOUR)
    record = KeyDestruction(key_id="k_0", valid_from=None, valid_to=NOW, destroyed=NOW, snapshots=2, gaps=(gone,))
    record_destruction(open_store(settings.staging), record)

    folder = build(settings, start=NIGHT, end=NIGHT + 3 * HOUR).folder

    gaps = json.loads((folder / "quality.json").read_text())["gaps"]
    assert [(gap["start"], gap["end"], gap["reason"]) for gap in gaps if gap["metric"] == "all metrics"] == [
        ("1970-01-02T00:00:00+00:00", "1970-01-02T01:00:00+00:00", "key destroyed")
    ]
