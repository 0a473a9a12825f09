"""A process that is killed at any instruction leaves a whole object or none."""

import hashlib
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.store.places import FULL, FolderPlace

ROOT = Path(__file__).parents[2]
KILLS = 200 if FULL else 20
WRITER = """
import hashlib, sys
from pathlib import Path
from jobs.store.folder import FolderStore

store, number = FolderStore(Path(sys.argv[1])), int(sys.argv[2])
while True:
    body = number.to_bytes(8, "big") * 200_000
    content = hashlib.sha256(body).digest() + body
    assert store.put_new(f"data/{number % 7}/{number:08}.parquet", content)
    store.put("catalog.json", content)
    print("written", flush=True)
    number += 1
"""


def is_whole(content: bytes | None) -> bool:
    return content is not None and hashlib.sha256(content[32:]).digest() == content[:32]


def test_killed_writers_leave_whole_objects_or_none(tmp_path: Path) -> None:
    """Each child is killed at a random moment of its writing; the next one begins where the listing says."""
    place = FolderPlace(tmp_path / "store")
    store = place.open()
    moments = random.Random(20261123)
    leftovers = 0

    for _ in range(KILLS):
        before = list(store.list("data/"))
        command = [sys.executable, "-c", WRITER, str(place.folder), str(len(before))]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as child:
            assert child.stdout
            assert child.stdout.readline() == b"written\n"  # however slow the machine is, it has begun
            time.sleep(moments.uniform(0, 0.06))
            child.send_signal(signal.SIGKILL)

        after = list(store.list("data/"))
        assert sorted(int(key[-16:-8]) for key in after) == list(range(len(after)))
        assert all(is_whole(store.get(key)) for key in set(after) - set(before))
        assert "catalog.json" not in store.list("") or is_whole(store.get("catalog.json"))
        assert not [key for key in store.list("") if not key.startswith(("data/", "catalog.json"))]
        leftovers = sum(name.startswith(".incoming/") for name in place.raw_names())

    assert len(after) >= KILLS
    assert leftovers, "no kill met a write: the test has shown nothing"
