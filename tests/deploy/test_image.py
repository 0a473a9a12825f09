"""The image: everything in it is locked, it runs as nobody, and its kernels are compiled."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT
from tests.store.places import FULL

DEPLOY = ROOT / "deploy"
TEXT = (DEPLOY / "Containerfile").read_text("utf-8").replace("\\\n", " ")
STEPS = [line.split(maxsplit=1) for line in TEXT.splitlines() if line.strip() and not line.startswith(("#", " "))]
PROBE = """
import numpy as np

from collector.coverage import decode_up
from collector.grid import Grid
from collector.native import NativeGatherer
from collector.remote_pb2 import Chunk
from collector.remote_read import Gatherer

chunk = Chunk(type=Chunk.XOR, data=bytes([0, 1, 0]) + bytes(8))
for raw in (False, True):
    gatherer = Gatherer(Grid(0, 60_000, 30_000, 300_000, lookback_includes_edge=True, raw=raw), "probe")
    gatherer.add((("pod", "a"),), [chunk])
    assert gatherer.take().decode_all().lengths.tolist() == [1 if raw else 2]
    natives = NativeGatherer(Grid(0, 60_000, 30_000, 300_000, lookback_includes_edge=True, raw=raw), "probe")
    natives.add((("pod", "a"),), [(2, bytes.fromhex("00010074462223ff0000000000000880"))])
    assert [len(block) for block in natives.take().decode(np.arange(1))] == [1 if raw else 2]
    natives.add((("pod", "a"),), [(1, chunk.data)])
    assert natives.take().floats().decode_all().lengths.tolist() == [1 if raw else 2]
assert decode_up("probe", [((), [chunk])]).times.tolist() == [0]
"""


def arguments(instruction: str) -> list[str]:
    return [rest for name, rest in STEPS if name == instruction]


def test_every_package_is_installed_by_hash_or_not_fetched_at_all() -> None:
    installs = [part for step in arguments("RUN") for part in step.split("&&") if "pip install" in part]

    assert any("-r requirements/runtime.lock" in part for part in installs)
    for part in installs:
        assert "--require-hashes" in part or "--no-index" in part
    assert "--no-build-isolation" in TEXT
    assert re.search(r"^setuptools==", (ROOT / "requirements/dev.lock").read_text("utf-8"), re.MULTILINE)


def test_it_does_not_run_as_root() -> None:
    """By number, or Kubernetes cannot tell that the user is not root."""
    (user,) = arguments("USER")

    assert int(user.split(":")[0]) > 0


def test_the_base_is_named_without_a_registry() -> None:
    for base in arguments("FROM"):
        assert re.fullmatch(r"python:3\.\d+-slim( AS \w+)?", base)


def test_everything_copied_exists() -> None:
    for step in arguments("COPY"):
        *sources, _ = [word for word in step.split() if not word.startswith("--")]
        if "--from=" not in step:
            assert all((ROOT / source).exists() for source in sources)


def test_the_entry_point_hands_everything_to_opspub(tmp_path: Path) -> None:
    program = tmp_path / "opspub"
    program.write_text('#!/bin/sh\necho "$#:$2"\n')
    program.chmod(0o755)

    ran = subprocess.run(
        [DEPLOY / "entrypoint.sh", "--config", "a b"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "NUMBA_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert ran.stdout == "2:a b\n"
    assert arguments("ENTRYPOINT") == ['["opspub-entrypoint"]']


SIGNATURES = """
import importlib
import pkgutil

import collector.kernels
from collector.warm import compile_kernels

def list_compiled():
    names = [each.name for each in pkgutil.iter_modules(collector.kernels.__path__, "collector.kernels.")]
    found = [each for name in names for each in vars(importlib.import_module(name)).values()]
    return {str(each): list(map(str, each.signatures)) for each in found if hasattr(each, "signatures")}

compile_kernels()
warmed_up = list_compiled()
assert sum(map(len, warmed_up.values())) > 5
"""


def test_a_read_has_no_types_that_the_warm_up_has_not() -> None:
    """The warm-up must compile for the very types that a read has, or every pod compiles again."""
    program = f"{SIGNATURES}\n{PROBE}\nassert list_compiled() == warmed_up"

    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


@pytest.mark.skipif(not FULL, reason="compiles everything: make test-full")
def test_a_read_finds_all_its_kernels_compiled(tmp_path: Path) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}  # noqa: TID251 - a child's

    subprocess.run([sys.executable, "-m", "collector.warm"], env=environment, check=True)
    compiled = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nbc")}
    subprocess.run([sys.executable, "-c", PROBE], env=environment, check=True)

    assert compiled
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nbc")} == compiled


ONE_KERNEL = """
from collector.coverage import decode_up
from collector.remote_pb2 import Chunk

assert decode_up("probe", [((), [Chunk(type=Chunk.XOR, data=bytes([0, 1, 0]) + bytes(8))])]).times.tolist() == [0]
"""


@pytest.mark.parametrize("probe", [ONE_KERNEL, *([PROBE] if FULL else [])], ids=["one", "all"][: 1 + FULL])
def test_kernels_work_where_nothing_can_be_written(tmp_path: Path, probe: str) -> None:
    """A root file system may be read-only, and no folder for compiled kernels given: then each process compiles."""
    nowhere = tmp_path / "file"
    nowhere.touch()
    environment = {  # numba's own choice would be a folder beside the source, which this user may write
        **os.environ,  # noqa: TID251 - a child's
        "NUMBA_CACHE_DIR": str(nowhere / "cache"),
        "NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator",
        "PYTHONPATH": str(ROOT),
    }

    subprocess.run([sys.executable, "-c", probe], env=environment, check=True)

    assert not list(tmp_path.rglob("*.nbc"))
