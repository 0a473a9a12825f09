"""The command: exit codes, results on stdout, the rest on stderr, JSON for machines."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from opscommons._cli import build_parser, main
from opscommons._download import NOTE
from tests.client.builders import Planted, flip_byte, write_store
from tests.client.server import Server


def run_json(capsys: pytest.CaptureFixture[str], *argv: str) -> Any:  # noqa: ANN401 - whatever JSON holds
    assert main([*argv, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_store(tmp_path, "2026.10.0", "2026.11.0", retracted=["2026.10.0"])

    assert main(["--url", str(tmp_path), "list"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["VERSION", "STATUS", "PROVENANCE", "CREATED", "ROWS", "SIZE"]
    assert lines[0].startswith("2026.10.0  retracted: it named a person")
    assert lines[1].startswith("2026.11.0  published")
    listed = run_json(capsys, "--url", str(tmp_path), "list")
    assert [entry["status"] for entry in listed] == ["retracted", "published"]


def test_info(store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSCOMMONS_URL", str(store))
    monkeypatch.setenv("COLUMNS", "48")

    assert main(["info"]) == 0
    said = capsys.readouterr().out
    assert "provenance       simulated" in said
    assert "node: node_cpu_seconds_total, node_load1" in said
    assert max(map(len, said.partition("TABLE")[2].splitlines())) <= 48  # a release has hundreds of names
    facts = run_json(capsys, "info", "2026.11.0")
    assert facts["start"] == "2026-11-22T00:00:00+00:00"
    assert [table["table"] for table in facts["tables"]] == ["node", "container", "gpu", "model_server"]


def test_download_says_the_size_first_and_repairs(
    planted: Planted, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = tmp_path / "copy"

    assert main(["download", "--url", url, "--to", str(to)]) == 0
    first = capsys.readouterr()
    assert first.err.startswith(f"2026.11.0 (simulated): {len(planted.files)} files, ")
    assert first.out == f"{to}: {len(planted.files)} files, 0 kept, {len(planted.files)} fetched\n"

    flip_byte(to / planted.paths()[0])
    done = run_json(capsys, "download", "--url", url, "--to", str(to))
    assert (done["fetched"], done["repaired"]) == (1, [planted.paths()[0]])


def test_download_of_a_part(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["--metric", "node_load1", "--metric", "vllm:num_requests_running", "--end", "2026-11-23"]
    done = run_json(capsys, "--url", url, "download", "2026.11.0", *argv, "--to", str(tmp_path / "copy"))

    assert sorted(path.parent.parent.name for path in (tmp_path / "copy/data").rglob("*.parquet")) == [
        "metric=node_load1",
        "metric=vllm%3Anum_requests_running",
    ]
    assert done["files"] == len(json.loads((tmp_path / "copy" / NOTE).read_text("utf-8"))["paths"])


def test_verify_takes_a_version_or_a_folder(planted: Planted, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(planted.folder), "--manifest-sha256", planted.manifest_sha256]) == 0
    assert "2026.11.0: consistent with its manifest, and matches the cited manifest" in capsys.readouterr().out

    flip_byte(planted.folder / planted.paths()[0])
    for argv in (["verify", str(planted.folder)], ["--url", url, "verify"], ["--url", url, "verify", "2026.11.0"]):
        assert main(argv) == 5
        said = capsys.readouterr()
        assert f"corrupt  {planted.paths()[0]} has the SHA-256" in said.out
        assert "not consistent with its manifest" in said.out
        assert "this does not show who made it" in said.err
    assert main(["verify", str(planted.folder), "--json"]) == 5
    assert json.loads(capsys.readouterr().out)["ok"] is False


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (["list"], 2, "no store is named; give --url URL or set OPSCOMMONS_URL"),
        (["--url", "{store}", "info", "2027.1.0"], 2, "no release '2027.1.0'"),
        (["--url", "{store}", "download", "--metric", "node_load", "--to", "{tmp}/x"], 2, "nearest: node_load1"),
        (["--url", "{store}", "download", "--start", "soon", "--to", "{tmp}/x"], 2, "is no instant"),
        (["--url", "{tmp}", "list"], 3, "has no catalog.json"),
        (["--url", "{tmp}", "info"], 3, "neither catalog.json"),
        (["--url", "{tmp}/absent", "info"], 3, "no folder"),
        (["--url", "http://127.0.0.1:9", "info"], 3, "gave up after 5 tries"),
        (["verify", "{store}/nowhere"], 3, "no folder"),
    ],
)
def test_exit_codes(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], argv: list[str], code: int, message: str
) -> None:
    assert main([word.format(store=store, tmp=tmp_path) for word in argv]) == code

    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("opscommons: ")
    assert message in said.err
    assert said.err.count("\n") == 1


def test_a_retracted_release_has_an_exit_code_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_store(tmp_path, "2026.10.0", "2026.11.0", retracted=["2026.11.0"])

    assert main(["--url", str(tmp_path), "download", "2026.11.0"]) == 4
    assert "was retracted: it named a person" in capsys.readouterr().err


def test_an_unknown_option_is_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["list", "--sideways"])
    assert caught.value.code == 2


def test_help_documents_the_exit_codes() -> None:
    said = build_parser().format_help()

    for line in (
        "3  the store is unreachable",
        "4  the release was retracted",
        "5  a file is damaged",
        "OPSCOMMONS_URL",
    ):
        assert line in said


def test_the_module_runs_as_a_command(server: Server, url: str, store: Path) -> None:
    import opscommons

    source = str(Path(opscommons.__file__).parents[1])
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}  # noqa: TID251
    done = subprocess.run(
        [sys.executable, "-m", "opscommons", "info", "--json"],
        env=environment | {"PYTHONPATH": source, "OPSCOMMONS_URL": url},
        capture_output=True,
        check=True,
        text=True,
    )

    assert json.loads(done.stdout)["version"] == "2026.11.0"
    assert done.stderr == ""
