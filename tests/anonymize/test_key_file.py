"""The file of the ring: nobody else can read or replace it, writers queue, and old secrets do not stay on the disk."""

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from anonymize import key_file
from anonymize.key_file import create_private, find_exposure, hold_private, read_private
from anonymize.keys import add_key, destroy_key, read_ring
from schemas.errors import PrivacyError

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 23, tzinfo=UTC)
OLD, NEW = "an old text with a secret", "a new text"


def a_status(mode: int, *, user: int = 1000, group: int = 1000) -> os.stat_result:
    return os.stat_result((mode, 1, 1, 1, user, group, 0, 0, 0, 0))


FILE, FOLDER = stat.S_IFREG, stat.S_IFDIR


@pytest.mark.parametrize(
    ("file", "folder", "told"),
    [
        (a_status(FILE | 0o600), 0o700, None),
        (a_status(FILE | 0o400), 0o755, None),
        (a_status(FILE | 0o440, user=0, group=65532), 0o3777, None),  # as the kubelet mounts a Secret with fsGroup
        (a_status(FILE | 0o640), 0o700, None),
        (a_status(FILE | 0o440, user=0, group=0), 0o755, "has mode 0440 and the group 0, which is not this user's"),
        (a_status(FILE | 0o444, user=0), 0o755, "has mode 0444; wanted 0600"),
        (a_status(FILE | 0o660), 0o700, "has mode 0660; wanted 0600"),
        (a_status(FILE | 0o601), 0o700, "has mode 0601; wanted 0600"),
        (a_status(FILE | 0o600, user=1001), 0o700, "belongs to user 1001; wanted 1000, who reads it, or root"),
        (a_status(FILE | 0o600), 0o777, "lies in a folder that everybody may write"),
        (a_status(FILE | 0o600), 0o1777, None),  # sticky: only the owner replaces what lies there
    ],
)
def test_who_may_touch_a_key(file: os.stat_result, folder: int, told: str | None) -> None:
    found = find_exposure(file, a_status(FOLDER | folder), user=1000, groups={1000, 65532})

    assert (found is None) if told is None else (found and found.startswith(told))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_key_of_another_user_is_refused(tmp_path: Path) -> None:
    """Its owner could put another in its place, and would know it."""
    path = tmp_path / "ring"
    add_key(path, now=NOW, valid_from=None)
    os.chown(path, 12345, -1)

    with pytest.raises(PrivacyError, match=r"^key file .* belongs to user 12345; wanted 0, who reads it, or root"):
        read_ring(path)


def test_a_key_in_a_folder_of_everybody_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "open" / "ring"
    add_key(path, now=NOW, valid_from=None)
    path.parent.chmod(0o777)

    with pytest.raises(PrivacyError, match="lies in a folder that everybody may write"):
        read_ring(path)


def test_a_secret_as_kubernetes_mounts_it_is_read(tmp_path: Path) -> None:
    """The file is a link to a link to a folder with a date; each renewal swaps the middle one."""
    dated = tmp_path / "..2026_11_23"
    add_key(dated / "opspub.key", now=NOW, valid_from=None)
    (dated / "opspub.key").chmod(0o440)
    (tmp_path / "..data").symlink_to(dated.name)
    (tmp_path / "opspub.key").symlink_to("..data/opspub.key")

    assert len(read_ring(tmp_path / "opspub.key").keys) == 1


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    """A pipe without a writer would hold a scheduled run up for ever."""
    path = tmp_path / "ring"
    if kind == "folder":
        path.mkdir(mode=0o700)
    else:
        os.mkfifo(path, 0o600)

    with pytest.raises(PrivacyError, match="is not a file"):
        read_private(path)


def test_a_writer_that_is_second_makes_no_ring(tmp_path: Path) -> None:
    path = tmp_path / "ring"
    create_private(path, OLD)

    with pytest.raises(PrivacyError, match=r"^another call made .*/ring meanwhile"):
        create_private(path, NEW)

    assert read_private(path) == OLD
    assert [file.name for file in tmp_path.iterdir()] == ["ring"]


def test_the_old_text_is_overwritten_where_it_lay(tmp_path: Path) -> None:
    """A removed file stays on the disk until something else happens to need the place."""
    path = tmp_path / "ring"
    create_private(path, OLD)
    with path.open("rb") as old:
        with hold_private(path) as held:
            held.replace(NEW)

        overwritten = old.read()

    assert len(overwritten) == len(OLD)
    assert b"secret" not in overwritten
    assert read_private(path) == NEW
    assert [file.name for file in tmp_path.iterdir()] == ["ring"]


def test_a_link_to_the_ring_stays_a_link(tmp_path: Path) -> None:
    """To replace the link would leave the old ring, with its secrets, where it was."""
    (tmp_path / "real").mkdir()
    create_private(tmp_path / "real" / "ring", OLD)
    path = tmp_path / "ring"
    path.symlink_to("real/ring")

    with hold_private(path) as held:
        held.replace(NEW)

    assert path.is_symlink()
    assert (tmp_path / "real" / "ring").read_text() == NEW


class Died(BaseException):
    """What stands in for a process that is killed between two steps."""


STEPS = ("_write_beside", "_sync", "_shred")


@pytest.mark.parametrize("step", STEPS)
def test_whoever_dies_while_writing_loses_nothing_and_the_next_clears_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """At each step the ring is whole, old or new, and a later writer overwrites what was left beside it."""
    path = tmp_path / "ring"
    create_private(path, OLD)
    done = getattr(key_file, step)

    def die(*arguments: object) -> None:
        if step != "_shred":  # of the three, this one is what must be done again
            done(*arguments)
        raise Died

    def write() -> None:
        with hold_private(path) as held:
            monkeypatch.setattr(key_file, step, die)
            held.replace(NEW)

    with pytest.raises(Died):
        write()
    monkeypatch.undo()
    left = read_private(path)
    with hold_private(path):
        pass

    assert left == (OLD if step == "_write_beside" else NEW)
    assert read_private(path) == left
    assert [file.name for file in tmp_path.iterdir()] == ["ring"]


def test_a_second_name_of_the_ring_is_cleared_away_unharmed(tmp_path: Path) -> None:
    """A writer that died before the swap leaves a link to the ring that is in use: overwriting it would lose all."""
    path = tmp_path / "ring"
    create_private(path, OLD)
    (tmp_path / ".ring.0123456789abcdef").hardlink_to(path)
    (tmp_path / ".ring.backup").write_text("somebody's own")

    with hold_private(path):
        pass

    assert read_private(path) == OLD
    assert sorted(file.name for file in tmp_path.iterdir()) == [".ring.backup", "ring"]


def test_many_new_keys_at_once_lose_none(tmp_path: Path) -> None:
    """Two operators, or a retried job: each key may be in use the moment its command returns."""
    path = tmp_path / "ring"
    add_key(path, now=NOW, valid_from=None)
    program = (
        "import sys; from pathlib import Path; from datetime import datetime; from anonymize.keys import add_key\n"
        "from schemas.errors import PrivacyError\n"
        "now = datetime.fromisoformat('2026-11-23T00:00:00+00:00')\n"
        "for start in sys.argv[2:]:\n"
        "    try: print(add_key(Path(sys.argv[1]), now=now, valid_from=datetime.fromisoformat(start)))\n"
        "    except PrivacyError as error: print('refused', error, file=sys.stderr)\n"
    )
    starts = [(NOW + timedelta(days=day)).isoformat() for day in range(1, 13)]

    runs = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(path), *starts[worker::4]],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for worker in range(4)
    ]  # fmt: skip
    said = [run.communicate(timeout=60) for run in runs]

    made = {line for out, _ in said for line in out.split()}
    ring = read_ring(path)
    assert made | {ring.keys[0].key_id} == {entry.key_id for entry in ring.keys}
    assert len(made) >= 3  # an instant before one that was just given is refused, and says so
    assert len(made) + sum(err.count("refused") for _, err in said) == len(starts)
    assert [file.name for file in tmp_path.iterdir()] == ["ring"]


def test_a_writer_says_what_it_did_when_the_next_one_sweeps_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new file is in its place and not locked yet, so the next writer may tidy before the first has."""
    path = tmp_path / "ring"
    create_private(path, OLD)
    shred = key_file._shred

    def come_between(left: Path) -> None:
        monkeypatch.setattr(key_file, "_shred", shred)
        with hold_private(path) as next_writer:
            assert next_writer.text == NEW
        shred(left)

    monkeypatch.setattr(key_file, "_shred", come_between)
    with hold_private(path) as held:
        held.replace(NEW)

    assert read_private(path) == NEW
    assert [file.name for file in tmp_path.iterdir()] == ["ring"]


def test_of_many_first_keys_one_wins_and_the_others_say_so(tmp_path: Path) -> None:
    path = tmp_path / "ring"

    def begin(_: int) -> str | None:
        try:
            return add_key(path, now=NOW, valid_from=None)
        except PrivacyError:
            return None

    with ThreadPoolExecutor(8) as pool:
        made = [key_id for key_id in pool.map(begin, range(8)) if key_id]

    assert [entry.key_id for entry in read_ring(path).keys] == made
    assert [file.name for file in tmp_path.iterdir()] == ["ring"]


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[list[BaseException]]:
    """Read the ring again and again in another thread; what that raised is in the list."""
    path, stop = tmp_path / "ring", threading.Event()
    raised: list[BaseException] = []
    add_key(path, now=NOW, valid_from=None)

    def read() -> None:
        while not stop.is_set():
            try:
                read_ring(path)
            except BaseException as error:
                raised.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    yield raised
    stop.set()
    thread.join()


def test_a_reader_never_meets_a_ring_half_written(tmp_path: Path, reader: list[BaseException]) -> None:
    """A rotation during a run must not stop it: it sees the ring before or after."""
    path = tmp_path / "ring"
    for day in range(1, 20):
        add_key(path, now=NOW, valid_from=NOW + timedelta(days=day))
    for entry in read_ring(path).keys[:-1]:
        destroy_key(path, entry.key_id, now=NOW)

    assert reader == []
