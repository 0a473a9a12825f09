"""The quick start into a real S3 server: what is public can be read by everybody, and nothing else can be done."""

import os
import shutil
from pathlib import Path

import pytest

from demo.run import ROOT
from demo.s3 import main
from demo.source import main as bring_source
from tests.lab.rgw import is_installed
from tests.store.places import FULL

pytestmark = [
    pytest.mark.skipif(not FULL, reason="a demo of its own: make test-full"),
    pytest.mark.skipif(not is_installed(), reason="Ceph RADOS Gateway not available: it is not installed"),
]


def test_the_demo_fills_a_public_and_a_private_bucket(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The demo itself asks without credentials, and fails when anything but reading what is public works."""
    if (ROOT / ".demo/packages").exists():
        shutil.copytree(ROOT / ".demo/packages", tmp_path / ".demo/packages", symlinks=True)
    environment = dict(os.environ)  # noqa: TID251

    try:
        code = main(environment, root=tmp_path, hours=3)
    finally:
        bring_source(["down", "--folder", str(tmp_path / ".demo")], environment=environment, now=0.0)

    said = capfd.readouterr()
    assert code == 0, said.err
    assert "without credentials, reading a manifest: 200" in said.out
    assert "without credentials, listing the staging bucket: 403" in said.out
    assert "2026.1.0" in said.out
