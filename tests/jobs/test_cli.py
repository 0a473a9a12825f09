"""The command line as people and schedulers meet it."""

import json
import subprocess
import sys
import time
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest

from demo.servers import Server
from jobs.clock import read_clock
from tests.jobs.bench import KEY, OPSPUB, Bench

ROOT = Path(__file__).parents[2]
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
SECRET: str = KEY["keys"][0]["secret"]
HEAVY = ("boto3", "numba", "numpy", "pandas", "prometheus_api_client", "pyarrow", "matplotlib")


def test_help_answers_at_once_and_names_every_command() -> None:
    """A second of start-up would be paid by every call; heavy libraries are imported by the command that needs them."""
    program = f"import sys, jobs.cli; print([name for name in {HEAVY} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    shown = subprocess.run([OPSPUB, "--help"], capture_output=True, text=True, check=True)

    assert loaded.stdout == "[]\n"
    for command in ("doctor", "plan", "snapshot", "release", "audit", "publish", "verify", "key", "schema", "policy"):
        assert f"\n  {command} " in shown.stdout
    assert not shown.stderr


@pytest.mark.parametrize(
    "command", [("snapshot",), ("release",), ("key", "new"), ("schema", "show"), ("policy", "show")]
)
def test_every_command_has_help_and_needs_no_configuration_for_it(tmp_path: Path, command: tuple[str, ...]) -> None:
    shown = subprocess.run([OPSPUB, *command, "--help"], cwd=tmp_path, capture_output=True, text=True, check=True)

    assert "--json" in shown.stdout


def test_it_says_which_version_it_is(bench: Bench) -> None:
    """The first question of every report of a bug."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

    ran = bench.run("--version")

    assert (ran.code, ran.out) == (0, f"opspub {project['version']}\n")


def test_an_unknown_command_is_a_usage_error(bench: Bench) -> None:
    ran = bench.run("snapshots")

    assert ran.code == 2
    assert "No such command 'snapshots'" in ran.err
    assert not ran.out


def test_a_given_span_is_committed_once(bench: Bench, prometheus: Server) -> None:
    """The second run finds nothing to do, and that is a success: a scheduler must not retry it."""
    bench.set("source", url=prometheus.url)
    bench.set("collection", tables=["node"], window="1s", step="1s", settle="0s")
    time.sleep(4)  # the server has scraped itself for longer than the span then
    end = read_clock().replace(microsecond=0)
    span = ("--start", f"{end - 2 * SECOND:%FT%TZ}", "--end", f"{end:%FT%TZ}")

    first, second = bench.run("snapshot", *span, "--json"), bench.run("snapshot", *span)

    assert (first.code, first.err) == (0, "")
    result = json.loads(first.out)
    assert (result["commits"], result["due"], result["windows"], result["failures"]) == (2, 2, 2, [])
    assert (second.code, second.out, second.err) == (0, "nothing is due\n", "")
    names = [f"staging/commits/lab/node/v1/{end - n * SECOND:%Y%m%dT%H%M%SZ}.json" for n in (2, 1)]
    assert [name for name in bench.made() if name.endswith(".json") and "commits" in name] == names


def test_a_span_in_which_the_source_was_unknown_is_refused(bench: Bench, prometheus: Server) -> None:
    """A wrong selector must not commit hours as empty for good."""
    bench.set("source", url=prometheus.url, match={"cluster": "misspelt"})
    end = read_clock().replace(second=0, microsecond=0) - MINUTE

    ran = bench.run("snapshot", "--start", f"{end - 2 * MINUTE:%FT%TZ}", "--end", f"{end:%FT%TZ}")

    assert ran.code == 3
    assert "is source.match right" in ran.line
    assert not [name for name in bench.made() if "commits" in name]


def test_a_plan_makes_nothing(bench: Bench, prometheus: Server) -> None:
    bench.set("source", url=prometheus.url)

    ran = bench.run("plan", "--json")

    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.out)["read_path"] == "remote-read"
    assert not bench.made()


def test_a_flag_says_more_than_the_environment_and_that_more_than_the_file(bench: Bench, prometheus: Server) -> None:
    bench.set("collection", tables=["container"])

    by_file = bench.run("plan", "--json", OPSPUB_SOURCE__URL=prometheus.url)
    by_environment = bench.run(
        "plan", "--json", OPSPUB_SOURCE__URL=prometheus.url, OPSPUB_COLLECTION__TABLES="[pod, gpu]"
    )
    by_flag = bench.run(
        "plan", "--table", "node", "--json", OPSPUB_SOURCE__URL=prometheus.url, OPSPUB_COLLECTION__TABLES="[pod]"
    )

    tables = [[table["table"] for table in json.loads(ran.out)["tables"]] for ran in (by_file, by_environment, by_flag)]
    assert tables == [["container"], ["pod", "gpu"], ["node"]]


def test_the_configuration_may_be_named_by_a_variable(bench: Bench) -> None:
    bench.run("key", "show")
    environment = {"PATH": "/usr/bin:/bin", "OPSPUB_CONFIG": str(bench.folder / "opspub.yaml")}

    shown = subprocess.run(
        [OPSPUB, "key", "show"], cwd="/", env=environment, capture_output=True, text=True, check=True
    )

    assert shown.stdout.startswith("k_0123456789abcdef  from the beginning  to no end")


def test_a_doctor_that_finds_all_well(bench: Bench, prometheus: Server) -> None:
    """It tries the stores by writing; nothing of that stays."""
    bench.set("source", url=prometheus.url)

    ran = bench.run("doctor", "--json")

    assert (ran.code, ran.err) == (0, ""), ran.out
    checks = {check["name"]: check["found"] for check in json.loads(ran.out)["checks"]}
    assert list(checks) == ["source", "targets", "clock", "staging", "public", "key", "policy"]
    assert checks["targets"] == "1 targets"
    assert checks["key"] == "1 keys in the ring, one for the present"
    assert not [name for name in bench.made() if (bench.folder / name).is_file()]


def test_a_doctor_names_everything_that_is_wrong_at_once(bench: Bench) -> None:
    """The exit code is that of the first; a person should not have to call five times."""
    bench.key_file.chmod(0o644)
    bench.set("privacy", policy="no-such-policy")
    bench.config |= {"staging": "ftp://x", "public": f"file:{bench.key_file}/public"}

    ran = bench.run("doctor")

    assert ran.code == 3
    lines = [line.split(maxsplit=2) for line in ran.out.splitlines()]
    assert [line[:2] for line in lines] == [["FAIL", name] for name in ("source", "staging", "public", "key", "policy")]
    found = {name: text for _, name, text in lines}
    assert "is source.url right, and the server up?" in found["source"]
    assert found["staging"] == "found the store 'ftp://x'; wanted file:<folder> or s3://<bucket>/<prefix>"
    assert found["public"].startswith("cannot write 'probe/")
    assert "has mode 0644; wanted 0600" in found["key"]
    assert "found no policy 'no-such-policy'" in found["policy"]


def test_a_ring_without_a_key_for_now_is_found_by_the_doctor(bench: Bench, prometheus: Server) -> None:
    """Else every later run would fail."""
    bench.set("source", url=prometheus.url)
    keys = [KEY["keys"][0] | {"valid_to": "2026-01-01T00:00:00Z"}]
    bench.write_key(KEY | {"keys": keys})

    ran = bench.run("doctor")

    assert "FAIL  key      no key of the ring is valid for the whole window 20" in ran.out


def test_keys_are_made_and_shown_and_their_secrets_never(bench: Bench) -> None:
    bench.key_file.unlink()
    bench.set("collection", window="1h", step="30s")

    made = bench.run("key", "new")
    refused = bench.run("key", "new")
    inside = bench.run("key", "new", "--valid-from", "2027-01-01T00:30Z")
    later = bench.run("key", "new", "--valid-from", "2027-01-01", "--json")
    shown = bench.run("key", "show", "--json")

    assert made.code == later.code == shown.code == 0
    assert made.out.startswith("made k_")
    assert bench.key_file.stat().st_mode & 0o777 == 0o600
    assert refused.code == 5
    assert refused.line.endswith("holds a key already; say from which window on the new one holds (--valid-from)")
    assert inside.code == 2
    assert inside.line.startswith("found --valid-from 2027-01-01T00:30:00Z inside a window")
    keys = json.loads(shown.out)["keys"]
    assert [(key["valid_from"], key["valid_to"]) for key in keys] == [
        (None, "2027-01-01T00:00:00Z"),
        ("2027-01-01T00:00:00Z", None),
    ]
    secrets = [key["secret"] for key in json.loads(bench.key_file.read_text())["keys"]]
    said = "".join(ran.out + ran.err for ran in (made, refused, inside, later, shown))
    assert len(set(secrets)) == 2
    assert not [secret for secret in secrets if secret in said]


def test_a_broken_key_is_not_quoted(bench: Bench) -> None:
    bench.write_key(KEY | {"keys": [{"key_id": "k_1", "secret": SECRET, "created": SECRET}]})

    ran = bench.run("key", "show")

    assert ran.code == 5
    assert SECRET not in ran.out + ran.err
    assert "make one with 'opspub key new'" in ran.line


@pytest.mark.parametrize(
    "command", [("schema", "list"), ("schema", "show", "node"), ("schema", "check"), ("policy", "show")]
)
def test_the_registry_speaks_json(bench: Bench, command: tuple[str, ...]) -> None:
    people, machines = bench.run(*command), bench.run(*command, "--json")

    assert (people.code, people.err, machines.code, machines.err) == (0, "", 0, "")
    assert people.out.strip()
    assert json.loads(machines.out)


def test_an_unknown_way_to_log_is_a_usage_error(bench: Bench) -> None:
    ran = bench.run("--log", "xml", "schema", "list")

    assert ran.code == 2
    assert ran.line == "found --log xml; wanted text or json"
