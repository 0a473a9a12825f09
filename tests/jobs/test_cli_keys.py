"""The key ring on the command line: what stays private, what asks twice, and what no longer works without a key."""

import json
import os
import pty
import subprocess
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo.servers import Server
from jobs.clock import read_clock
from tests.jobs.bench import KEY, OPSPUB, Bench
from tests.store.places import FULL

SECRET: str = KEY["keys"][0]["secret"]
FIRST: str = KEY["keys"][0]["key_id"]
SECOND = timedelta(seconds=1)


def ask(bench: Bench, said: str, *arguments: str) -> tuple[int, str, str]:
    """Run a look-up that reads ``said`` on its stdin."""
    path = bench.folder / "opspub.yaml"
    path.write_text(yaml.safe_dump(bench.config))
    ran = subprocess.run(
        [OPSPUB, "--config", path, "--verbose", "key", "lookup", *arguments],
        input=said, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return ran.returncode, ran.stdout, ran.stderr


def spans(keys: list[dict[str, Any]]) -> list[tuple[str | None, str | None]]:
    return [(key["valid_from"], key["valid_to"]) for key in keys]


def test_a_look_up_takes_its_value_from_stdin_alone(bench: Bench) -> None:
    """An argument stands in the shell's history and in the list of processes."""
    code, out, err = ask(bench, "team-zebra\n", "--domain", "namespace")

    assert (code, err) == (0, "")
    assert out == f"ns_{out[3:19]}  {FIRST}  the value as it is\n"
    assert "zebra" not in out
    assert not bench.made()
    refused, said, _ = ask(bench, "", "--domain", "namespace", "team-zebra")
    assert refused == 2
    assert not said


def test_many_values_are_looked_up_at_once_under_every_living_key(bench: Bench) -> None:
    bench.set("collection", window="1h", step="30s")
    assert bench.run("key", "new", "--valid-from", "2027-01-01").code == 0

    code, out, _ = ask(bench, "team-a\tweb-0\nteam-b\tweb-0\n", "--domain", "pod", "--json")

    found = json.loads(out)["found"]
    assert code == 0
    assert [(each["line"], each["valid_to"]) for each in found] == [
        (1, "2027-01-01 00:00:00+00:00"),
        (1, None),
        (2, "2027-01-01 00:00:00+00:00"),
        (2, None),
    ]
    assert len({each["published"] for each in found}) == 4
    assert "web-0" not in out
    assert "team" not in out


@pytest.mark.parametrize(
    ("said", "domain", "told"),
    [
        ("zebra\n", "pod", "found 1 values in line 1 of stdin; wanted namespace and pod, separated by tabs"),
        ("a\tzebra\nzebra\n", "pod", "found 1 values in line 2 of stdin; wanted namespace and pod"),
        ("", "namespace", "found nothing on stdin; wanted a line with namespace"),
        ("zebra\n", "user", "the policy has no domain 'user'; it has namespace, "),
        ("a\t\n", "pod", "found an empty pod; wanted a value to look up"),
    ],
)
def test_a_wrong_look_up_quotes_nothing(bench: Bench, said: str, domain: str, told: str) -> None:
    code, out, err = ask(bench, said, "--domain", domain)

    assert code == 2
    assert err.startswith(f"opspub: {told}")
    assert "zebra" not in out + err


def test_what_is_no_text_is_not_quoted(bench: Bench) -> None:
    path = bench.folder / "opspub.yaml"
    path.write_text(yaml.safe_dump(bench.config))

    ran = subprocess.run(
        [OPSPUB, "--config", path, "key", "lookup", "--domain", "namespace"],
        input=b"zebra\xff\n", env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}, capture_output=True, check=False,
    )  # fmt: skip

    assert ran.returncode == 2
    assert b"zebra" not in ran.stdout + ran.stderr


def test_a_terminal_is_asked_for_the_scope_and_the_value(bench: Bench) -> None:
    path = bench.folder / "opspub.yaml"
    path.write_text(yaml.safe_dump(bench.config))
    ours, theirs = pty.openpty()
    os.write(ours, b"team-a\nweb-0\n")
    ran = subprocess.run(
        [OPSPUB, "--config", path, "key", "lookup", "--domain", "pod"],
        stdin=theirs, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    os.close(ours)
    os.close(theirs)

    _, piped, _ = ask(bench, "team-a\tweb-0\n", "--domain", "pod")
    assert ran.returncode == 0
    assert ran.stdout == piped
    assert "namespace (empty if it had none): " in ran.stderr
    assert "web-0" not in ran.stdout


def test_keys_are_shown_with_what_was_made_under_them(bench: Bench) -> None:
    bench.set("collection", window="1h", step="30s")
    assert bench.run("key", "new", "--valid-from", "2027-01-01").code == 0

    shown, machine = bench.run("key", "show"), bench.run("key", "show", "--json")

    lines = shown.out.splitlines()
    assert lines[0] == f"{FIRST}  from the beginning  to 2027-01-01T00:00:00Z"
    assert lines[1] == "  no snapshot is committed in its time"
    keys = json.loads(machine.out)["keys"]
    assert spans(keys) == [(None, "2027-01-01T00:00:00Z"), ("2027-01-01T00:00:00Z", None)]
    assert keys[0]["use"] == {"snapshots": 0, "first": None, "last": None, "releases": [], "others": []}
    assert SECRET not in shown.out + machine.out
    assert not bench.made()


def test_keys_are_shown_without_their_stores(bench: Bench) -> None:
    """Who looks after a leak must see the ring, bucket or not."""
    bench.config["staging"] = f"file:{bench.folder}/opspub.yaml/staging"

    shown = bench.run("key", "show")

    assert shown.code == 0
    assert shown.out.splitlines()[0] == f"{FIRST}  from the beginning  to no end"
    assert shown.out.splitlines()[1].startswith("what was made under them is not known: cannot list ")


def collect(bench: Bench, prometheus: Server, *, seconds: int) -> tuple[datetime, datetime]:
    """Commit a span of one-second windows that the server has scraped itself in; return it."""
    bench.set("source", url=prometheus.url)
    bench.set("collection", tables=["scrape"], window="1s", step="1s", settle="0s", max_catch_up="2s")
    time.sleep(seconds + 2)
    end = read_clock().replace(microsecond=0)
    start = end - seconds * SECOND
    ran = bench.run("snapshot", "--start", f"{start:%FT%TZ}", "--end", f"{end:%FT%TZ}", "--json")
    assert (ran.code, json.loads(ran.out)["failures"]) == (0, [])
    return start, end


def test_the_life_of_a_key(bench: Bench, prometheus: Server) -> None:
    """Collected, rotated, destroyed: nothing of its time can be collected any more, all that was can be released."""
    start, end = collect(bench, prometheus, seconds=4)
    line = f"{end:%FT%TZ}"
    early = bench.run("key", "new", "--valid-from", f"{end - 2 * SECOND:%FT%TZ}")
    assert bench.run("key", "new", "--valid-from", line).code == 0

    preview = bench.run("key", "destroy", FIRST)
    before = bench.key_file.read_text()
    destroyed = bench.run("key", "destroy", FIRST, "--yes", "--json")
    made = bench.made()
    again = bench.run("snapshot", "--start", f"{start - 4 * SECOND:%FT%TZ}", "--end", f"{start:%FT%TZ}")
    made_again = bench.made()
    released = bench.run("release", "2026.11.0", "--start", f"{start:%FT%TZ}", "--end", line, "--json")
    published = bench.run("publish", "2026.11.0")
    repeated = bench.run("key", "destroy", FIRST, "--yes")
    shown = bench.run("key", "show")
    code, looked, _ = ask(bench, "team-a\n", "--domain", "namespace")

    assert early.code == 5
    assert early.line.startswith(f"snapshots up to {line} are committed under older keys; wanted --valid-from {line}")
    assert (preview.code, SECRET in before) == (2, True)
    assert preview.out.startswith(f"would destroy {FIRST}\n4 snapshots of its time are committed; ")
    assert preview.line == f"{FIRST} was not destroyed, since nobody can undo it; repeat this with --yes"
    assert (destroyed.code, json.loads(destroyed.out)["done"]) == (0, True)
    assert SECRET not in bench.key_file.read_text()
    assert again.code == 5
    assert again.err.splitlines()[-1].startswith(f"opspub: key {FIRST} of the window ")
    assert again.err.endswith("; what was not collected by then stays a gap\n")
    assert made_again == made
    assert (released.code, published.code) == (0, 0), released.err + published.err
    assert json.loads(released.out)["rows"] > 0
    assert repeated.code == 0
    attested = json.loads((bench.folder / "public/attestations/2026.11.0/key-destroyed.json").read_text())
    assert attested["destroyed"] == json.loads(destroyed.out)["destroyed"]
    assert f"{FIRST}  from the beginning  to {line}  destroyed 20" in shown.out
    assert code == 0
    assert f"tokens of {FIRST} cannot be looked up: destroyed" in looked
    said = "".join(ran.out + ran.err for ran in (preview, destroyed, again, released, published, repeated, shown))
    assert SECRET not in said


@pytest.mark.skipif(not FULL, reason="many processes: make test-full")
def test_windows_that_are_missing_are_given_up_only_by_name(bench: Bench, prometheus: Server) -> None:
    _, end = collect(bench, prometheus, seconds=2)
    later = end + 2 * SECOND
    assert bench.run("key", "new", "--valid-from", f"{later:%FT%TZ}").code == 0
    time.sleep(max(0.0, (later - read_clock()).total_seconds()))

    refused = bench.run("key", "destroy", FIRST, "--yes")
    given_up = bench.run("key", "destroy", FIRST, "--yes", "--record-gaps")

    assert refused.code == 5
    assert refused.line.startswith(
        f"2 windows of {FIRST} are not committed, the first of table scrape in {end:%FT%TZ}/"
    )
    assert given_up.code == 0
    assert f"given up: table scrape from {end:%FT%TZ} to {later:%FT%TZ}" in given_up.out
    record = json.loads((bench.folder / f"staging/keys/{FIRST}.json").read_text())
    assert len(record["gaps"]) == 1


@pytest.mark.parametrize("command", ["new", "show", "destroy", "lookup"])
def test_every_key_command_has_help(tmp_path: Path, command: str) -> None:
    shown = subprocess.run([OPSPUB, "key", command, "--help"], cwd=tmp_path, capture_output=True, text=True, check=True)

    assert "--json" in shown.stdout
