"""Clean-up takes what nothing names, and never a byte that a commit, a release or a run that is going on needs."""

import json
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from jobs import gc as gc_module
from jobs.clock import read_clock
from jobs.config import Settings
from jobs.gc import orphan_facts, render_orphans, run_gc
from jobs.publish.verify import run_verify
from jobs.store import WholeStore, open_store
from jobs.store.folder import FolderStore
from schemas.errors import StoreError, UsageError
from tests.jobs.audited import VERSION, publisher_settings, write_audited
from tests.jobs.orphans import DAY, HOUR, clean, commit_files, grow_old, stage, told
from tests.jobs.withdrawn import publish_two, withdraw


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return publisher_settings(tmp_path)


@pytest.fixture
def staging(settings: Settings) -> WholeStore:
    return open_store(settings.staging)


def test_nothing_is_left_over_where_nothing_is(settings: Settings, tmp_path: Path) -> None:
    """A store that nobody made yet is not made by looking for what is left in it."""
    assert clean(settings) == []
    assert list(tmp_path.iterdir()) == []


def test_staged_files_without_a_commit_go_and_no_others(
    settings: Settings, staging: WholeStore, tmp_path: Path
) -> None:
    """A run that died, one that lost a race, and one of another source whose files are its own."""
    kept = [stage(staging, tmp_path, b"kept", 0), stage(staging, tmp_path, b"kept, too", 0)]
    lost = stage(staging, tmp_path, b"of the run that lost", 0)
    died = stage(staging, tmp_path, b"of the run that died", 1)
    other = stage(staging, tmp_path, b"of another source", 1, source="other")
    same = stage(staging, tmp_path, b"kept", 2)
    commit_files(staging, 0, *kept)
    commit_files(staging, 1, other, source="other")
    staging.put("data/notes.txt", b"nobody knows what this is")
    staging.put("elsewhere/x.parquet", b"nor this")
    grow_old(tmp_path / "staging")
    held = {key: staging.get(key) for key in staging.list("")}

    found = clean(settings, apply=False)
    assert {key: staging.get(key) for key in staging.list("")} == held
    removed = clean(settings)

    what = "a staged file that no commit names"
    assert told(found) == told(removed) == sorted((file.path, what) for file in (lost, died, same))
    assert not any(orphan.removed for orphan in found)
    assert all(orphan.removed for orphan in removed)
    assert set(held) - set(staging.list("")) == {lost.path, died.path, same.path}
    assert clean(settings) == []


def test_what_is_young_stays(settings: Settings, staging: WholeStore, tmp_path: Path) -> None:
    """A snapshot that is going on has written its files, and not yet its commit."""
    young = stage(staging, tmp_path, b"being written", 0)
    grow_old(tmp_path / "staging", "**/*.parquet", by=DAY - timedelta(minutes=1))
    assert clean(settings) == []
    grow_old(tmp_path / "staging", "**/*.parquet", by=DAY + timedelta(minutes=1))

    assert [orphan.key for orphan in clean(settings)] == [young.path]


def test_a_clock_that_jumped_back_costs_nothing(settings: Settings, staging: WholeStore, tmp_path: Path) -> None:
    """What was written before the jump comes from the future now: it is of no age at all."""
    stage(staging, tmp_path, b"x", 0)
    (settings.work_dir / "snapshot-x").mkdir(parents=True)

    assert clean(settings, now=read_clock() - 30 * DAY) == []
    assert clean(settings, now=read_clock() - 30 * DAY, grace=HOUR) == []


def test_a_grace_shorter_than_a_run_is_refused(settings: Settings, staging: WholeStore, tmp_path: Path) -> None:
    """Whoever is in a hurry would take away what a run is about to commit."""
    stage(staging, tmp_path, b"x", 0)

    with pytest.raises(UsageError, match=r"found --grace 30m; wanted at least limits.deadline 45m"):
        clean(settings, grace=HOUR / 2)
    assert len(clean(settings, grace=timedelta(), apply=False)) == 1


def test_a_commit_that_cannot_be_read_stops_everything(settings: Settings, staging: WholeStore, tmp_path: Path) -> None:
    """A newer program may have written it: what it names is not known."""
    file = stage(staging, tmp_path, b"named by what we cannot read", 0)
    orphan = stage(staging, tmp_path, b"an orphan", 1)
    commit_files(staging, 0, file)
    key = next(iter(staging.list("commits/")))
    record = json.loads(staging.get(key) or b"")
    staging.put(key, json.dumps(record | {"format_version": "2.0", "parts": []}).encode())
    grow_old(tmp_path / "staging")

    with pytest.raises(StoreError, match=r"cannot be read \(1 problems\), so what it names is not known and nothing"):
        clean(settings)

    assert staging.get(orphan.path)
    assert staging.get(file.path)


def test_a_run_that_comes_back_to_an_old_file_keeps_it(
    settings: Settings, staging: WholeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same window gives the same bytes and so the same name: the next run counts on what the dead one wrote."""
    first = stage(staging, tmp_path, b"written again", 0)
    second = stage(staging, tmp_path, b"committed meanwhile", 1)
    third = stage(staging, tmp_path, b"an orphan", 2)
    grow_old(tmp_path / "staging")
    find = gc_module._staging_orphans

    def find_and_let_others_write(sweep: Any) -> Any:  # noqa: ANN401 - inside of the module
        yield from find(sweep)
        staging.put(first.path, b"written again")
        commit_files(staging, 1, second)

    monkeypatch.setattr(gc_module, "_staging_orphans", find_and_let_others_write)
    result = run_gc(settings, grace=DAY, apply=True, now=read_clock())

    assert {orphan.key: orphan.removed for orphan in result.orphans} == {
        first.path: False,
        second.path: False,
        third.path: True,
    }
    assert sorted(staging.list("data/")) == sorted([first.path, second.path])
    assert "kept, since it is in use again" in "\n".join(render_orphans(result, apply=True))


def test_what_killed_writers_left_in_a_folder_goes(settings: Settings, staging: WholeStore, tmp_path: Path) -> None:
    for name in ("staging", "public"):
        store = FolderStore(tmp_path / name)
        store.put("probe/0123456789abcdef", b"1")
        store.put("probe/notes", b"1")
        (tmp_path / name / ".incoming/0123").write_bytes(b"half")
        grow_old(tmp_path / name)
        (tmp_path / name / ".incoming/4567").write_bytes(b"being written")

    removed = clean(settings)

    assert told(removed) == sorted(
        [(".incoming/0123", "an unfinished upload"), ("probe/0123456789abcdef", "a probe of the doctor")] * 2
    )
    assert list(staging.list("")) == ["probe/notes"]
    assert (tmp_path / "staging/.incoming/4567").exists()


def test_the_work_folder_is_swept_too(settings: Settings, tmp_path: Path) -> None:
    """Killed runs leave windows and releases in work there; what is built and audited is the operator's."""
    work = settings.work_dir
    for name in ("snapshot-old", "snapshot-touched", "snapshot-young", "releases/.2026.11.0.ab12cd34.staged"):
        (work / name / "inside").mkdir(parents=True)
        (work / name / "inside/run-0.parquet").write_bytes(b"12345")
    write_audited(settings)
    (tmp_path / "precious").write_text("x")
    (work / "snapshot-link").symlink_to(tmp_path)
    grow_old(work)
    for name in ("snapshot-touched/inside/run-1.parquet", "snapshot-young/run-0.parquet"):
        (work / name).write_bytes(b"1")

    removed = clean(settings)

    left = "left by a run that died"
    assert told(removed) == [
        ("releases/.2026.11.0.ab12cd34.staged", left),
        ("snapshot-link", left),
        ("snapshot-old", left),
    ]
    assert sorted(path.name for path in work.iterdir()) == ["releases", "snapshot-touched", "snapshot-young"]
    assert (work / "releases" / VERSION / "manifest.json").exists()
    assert (work / f"releases/{VERSION}.audit.json").exists()
    assert (tmp_path / "precious").exists()


def test_a_published_release_is_never_touched(settings: Settings, tmp_path: Path) -> None:
    """Not even what lies between its files and is in no manifest: that is for ``verify`` to find."""
    publish_two(settings)
    public = FolderStore(tmp_path / "public")
    public.put(f"releases/{VERSION}/data/stranger.parquet", b"x")
    grow_old(tmp_path / "public", by=900 * DAY)

    assert clean(settings) == []
    assert run_verify(settings, VERSION).problems == ("data/stranger.parquet: is not in the manifest",)


def test_half_a_release_goes_when_nobody_takes_it_up_again(settings: Settings, tmp_path: Path) -> None:
    publish_two(settings)
    public = FolderStore(tmp_path / "public")
    for version in ("2026.12.0", "2026.12.1"):
        public.put(f"releases/{version}/data/a.parquet", b"1")
        public.put(f"releases/{version}/README.md", b"2")
        public.put(f"attestations/{version}/audit.json", b"{}")
    public.put("releases/notes/x", b"no version")
    grow_old(tmp_path / "public")
    public.put("releases/2026.12.1/LICENSE", b"its publishing is going on")

    removed = clean(settings)

    what = "of a release that was never finished"
    assert told(removed) == [
        ("attestations/2026.12.0/audit.json", "speaks for a release that was never finished"),
        ("releases/2026.12.0/README.md", what),
        ("releases/2026.12.0/data/a.parquet", what),
    ]
    assert public.get("attestations/2026.12.1/audit.json")
    assert len(list(public.list("releases/2026.12.1/"))) == 3
    assert public.get("releases/notes/x")


def test_what_comes_after_a_retraction_goes(settings: Settings, tmp_path: Path) -> None:
    """A publishing that hung through it may still write."""
    publish_two(settings)
    withdraw(settings)
    public = FolderStore(tmp_path / "public")
    public.put(f"releases/{VERSION}/manifest.json", b"{}")
    public.put(f"releases/{VERSION}/data/x", b"1")
    grow_old(tmp_path / "public")
    public.put(f"releases/{VERSION}/data/y", b"2")

    removed = clean(settings)

    what = "left of a retracted release"
    assert told(removed) == [(f"releases/{VERSION}/data/x", what), (f"releases/{VERSION}/manifest.json", what)]
    assert public.get(f"retractions/{VERSION}.json")


def test_a_list_for_people_and_one_for_machines(settings: Settings, staging: WholeStore, tmp_path: Path) -> None:
    file = stage(staging, tmp_path, b"12345", 0)
    grow_old(tmp_path / "staging", by=2 * DAY + HOUR)
    result = run_gc(settings, grace=DAY, apply=False, now=read_clock())

    line, total = render_orphans(result, apply=False)
    facts: Any = orphan_facts(result, apply=False)

    assert line == f"staging  {file.path}: a staged file that no commit names, 5 bytes, 2d1h old"
    assert total == "1 are left over, 5 bytes; --apply removes them"
    (orphan,) = facts["orphans"]
    assert 49 * 3600 <= orphan.pop("age_seconds") < 50 * 3600
    assert orphan == {
        "where": "staging",
        "key": file.path,
        "what": "a staged file that no commit names",
        "bytes": 5,
        "removed": False,
    }
    assert list(render_orphans(run_gc(settings, grace=9 * DAY, apply=True, now=read_clock()), apply=True)) == [
        "nothing is left over"
    ]


RACES = 12


def test_a_snapshot_beside_a_clean_up_loses_nothing(settings: Settings, staging: WholeStore, tmp_path: Path) -> None:
    """Both run for a while at once; every file that a commit names is there afterwards."""
    ended = Event()
    failures: list[BaseException] = []

    def sweep_on_and_on() -> None:
        try:
            while not ended.is_set():
                clean(settings)
        except BaseException as error:
            failures.append(error)

    sweeper = Thread(target=sweep_on_and_on)
    sweeper.start()
    named = []
    for hour in range(RACES):
        stage(staging, tmp_path, b"of a run that died %d" % hour, hour)
        grow_old(tmp_path / "staging", "data/**/*.parquet")
        files = [stage(staging, tmp_path, b"%d of %d" % (part, hour), hour) for part in range(3)]
        named += files
        commit_files(staging, hour, *files)
    ended.set()
    sweeper.join()
    clean(settings)

    assert not failures
    assert sorted(staging.list("data/")) == sorted(file.path for file in named)
