"""The starter itself: it says why it cannot, and leaves nothing behind."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.lab import LabUnavailable
from tests.lab.rgw import Gateway, install_ceph, is_installed, main, start_rgw


def a_machine_with(folder: Path, programs: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a machine that has only ``programs`` (name -> shell script)."""
    for name, script in programs.items():
        program = folder / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    return {"PATH": str(folder)}


def test_without_apt_the_reason_names_what_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(LabUnavailable, match="no apt-get here; install ceph-mon ceph-osd ceph-mgr radosgw by hand"):
        install_ceph(environ=a_machine_with(tmp_path, {}))


def test_a_failed_install_is_tried_again_with_fresh_lists_and_then_explained(tmp_path: Path) -> None:
    """The last line of apt is the one with the reason."""
    programs = {
        "apt-get": f'echo "$*" >> {tmp_path}/calls; echo "E: Unable to locate package x" >&2; exit 100',
        "sudo": '[ "$2" = true ] || { shift 2; exec "$@"; }',
    }
    environ = a_machine_with(tmp_path, programs)

    with pytest.raises(LabUnavailable, match=r"apt-get install failed: E: Unable to locate package x$"):
        install_ceph(environ=environ)

    calls = (tmp_path / "calls").read_text().splitlines()
    assert ["update" in call for call in calls] == [False, True, False]


def test_a_machine_that_cannot_install_still_passes_and_says_what_it_skips(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``make test`` must work everywhere, and must not hide what it did not test."""
    code = main(["install"], environ=a_machine_with(tmp_path, {}))

    assert code == 0
    assert capsys.readouterr().out.startswith("Tests against a real S3 server (Ceph RADOS Gateway) will be skipped: ")


def test_the_secret_is_not_in_the_representation() -> None:
    """Pytest prints fixtures of failed tests; logs of test runs are public."""
    shown = repr(Gateway("http://127.0.0.1:1", "ACCESS", "very-secret"))

    assert "ACCESS" in shown
    assert "very-secret" not in shown


@pytest.mark.skipif(not is_installed(), reason="Ceph RADOS Gateway not available: it is not installed")
def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    """Starting over existing files could destroy somebody's data."""
    (tmp_path / "precious").touch()

    with pytest.raises(FileExistsError, match="is not empty"):
        start_rgw(tmp_path, access_key="A", secret_key="S")

    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


@pytest.mark.skipif(not is_installed(), reason="Ceph RADOS Gateway not available: it is not installed")
def test_a_gateway_that_cannot_start_says_why_and_leaves_no_process(tmp_path: Path) -> None:
    """The user cannot be stored, its key being too long for a name: three daemons run by then."""
    with pytest.raises(LabUnavailable, match=r"^radosgw-admin ended with \d+: .*unable to store user info"):
        start_rgw(tmp_path / "rgw", access_key="A" * 3000, secret_key="S")

    assert not [command for command in running_commands() if str(tmp_path) in command]


def running_commands() -> list[str]:
    commands = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            commands.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:  # it ended meanwhile
            continue
    return commands
