"""Without a sound key and a sound policy nothing happens: exit 5, nothing public, nothing written, nothing quoted."""

import base64
import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo.servers import Server
from schemas.registry import POLICIES
from tests.jobs.bench import KEY, Bench
from tests.jobs.test_cli_keys import FIRST, SECOND, collect
from tests.store.places import FULL

Break = Callable[[Bench], str]
"""Breaks one thing, and returns how the refusal begins or what it must hold."""


def with_policy(bench: Bench, change: Callable[[dict[str, Any]], object]) -> None:
    file: dict[str, Any] = yaml.safe_load((POLICIES / "default.yaml").read_text("utf-8"))
    change(file)
    (bench.folder / "opspub.key.policy.yaml").write_text(yaml.safe_dump(file, sort_keys=False))
    bench.set("privacy", policy="opspub.key.policy.yaml")


def with_secret(bench: Bench, secret: bytes) -> None:
    bench.write_key(KEY | {"keys": [KEY["keys"][0] | {"secret": base64.b64encode(secret).decode()}]})


def no_key(bench: Bench) -> str:
    bench.key_file.unlink()
    return "found no key file "


def a_short_key(bench: Bench) -> str:
    with_secret(bench, bytes(range(16)))
    return "the secret has 16 bytes; wanted 32"


def a_typed_key(bench: Bench) -> str:
    with_secret(bench, b"correct horse battery staple 123")
    return "the secret is not random"


def a_derived_key(bench: Bench) -> str:
    with_secret(bench, hashlib.sha256(b"opspub").digest())
    return "the secret is not random: it is a digest of something that can be guessed"


def an_open_key(bench: Bench) -> str:
    bench.key_file.chmod(0o644)
    return "has mode 0644; wanted 0600"


def a_key_that_is_a_folder(bench: Bench) -> str:
    bench.key_file.unlink()
    bench.key_file.mkdir()
    return "is not a file"


def a_key_for_later(bench: Bench) -> str:
    bench.write_key(KEY | {"keys": [KEY["keys"][0] | {"valid_from": "2031-01-01T00:00:00Z"}]})
    return "no key of the ring is valid for the whole window "


def a_destroyed_key(bench: Bench) -> str:
    gone = {"valid_to": "2031-01-01T00:00:00Z", "destroyed": "2026-11-23T00:00:00Z"}
    bench.write_key(KEY | {"keys": [{n: v for n, v in KEY["keys"][0].items() if n != "secret"} | gone]})
    return f"key {FIRST} of the window "


def no_policy(bench: Bench) -> str:
    bench.set("privacy", policy="gone.yaml")
    return "found no policy "


def a_policy_that_is_no_yaml(bench: Bench) -> str:
    (bench.folder / "opspub.key.policy.yaml").write_text("domains: [")
    bench.set("privacy", policy="opspub.key.policy.yaml")
    return "opspub.key.policy.yaml is not YAML: "


def a_policy_that_keeps(bench: Bench) -> str:
    with_policy(bench, lambda file: file["domains"]["pod"].update(keep=True))
    return "found keep; there is no keep"


def a_policy_with_a_pattern(bench: Bench) -> str:
    with_policy(bench, lambda file: file["tables"]["scrape"]["metrics"].append("scrape_.*"))
    return "found the pattern 'scrape_.*'"


def a_policy_without_a_vocabulary(bench: Bench) -> str:
    with_policy(bench, lambda file: file["vocabularies"].pop("public_scrape_jobs"))
    return "names the vocabulary public_scrape_jobs, which does not exist"


def a_policy_without_a_vocabulary_of_a_column(bench: Bench) -> str:
    bench.set("collection", tables=["node"])
    with_policy(bench, lambda file: file["vocabularies"].pop("cpu_modes"))
    return "column mode of table node: vocabulary cpu_modes does not exist in the policy"


def a_policy_without_a_domain(bench: Bench) -> str:
    bench.set("collection", tables=["node"])
    with_policy(bench, lambda file: [file["domains"].pop("device"), file["tables"].pop("gpu")])
    return "identity domain device does not exist in the policy"


def a_policy_without_a_metric(bench: Bench) -> str:
    with_policy(bench, lambda file: file["tables"]["scrape"]["metrics"].remove("up"))
    return "the policy does not name metric up of table scrape (1 problems in all); see 'opspub policy lint'"


KEYS = [no_key, a_short_key, a_typed_key, a_derived_key, an_open_key, a_key_that_is_a_folder]
TIMES = [a_key_for_later, a_destroyed_key]
FILES = [no_policy, a_policy_that_is_no_yaml, a_policy_that_keeps, a_policy_with_a_pattern]
RULES = [
    a_policy_without_a_vocabulary,
    a_policy_without_a_vocabulary_of_a_column,
    a_policy_without_a_domain,
    a_policy_without_a_metric,
]


def by_name(broken: Break) -> str:
    return broken.__name__


def written(bench: Bench) -> list[str]:
    return [name for name in bench.made() if (bench.folder / name).is_file() and not name.startswith("opspub.key.")]


@pytest.mark.parametrize("broken", [*KEYS, *FILES, *RULES], ids=by_name)
def test_a_snapshot_without_key_or_policy_writes_nothing(bench: Bench, prometheus: Server, broken: Break) -> None:
    """Not even the description of the store: what was begun under a broken policy cannot be told from what was not."""
    bench.set("source", url=prometheus.url)
    bench.set("collection", tables=["scrape"])
    told = broken(bench)

    ran = bench.run("snapshot")

    assert ran.code == 5, ran.err
    assert told in ran.line
    assert not written(bench)


@pytest.mark.parametrize("broken", TIMES, ids=by_name)
def test_a_window_without_its_key_is_not_collected(bench: Bench, prometheus: Server, broken: Break) -> None:
    bench.set("source", url=prometheus.url)
    bench.set("collection", tables=["scrape"], window="1s", step="1s")
    told = broken(bench)

    ran = bench.run("snapshot")

    assert ran.code == 5, ran.err
    assert told in ran.err
    assert not [name for name in written(bench) if name.startswith(("staging/commits", "staging/data", "public"))]


def test_windows_without_a_key_starve_no_others(bench: Bench, prometheus: Server) -> None:
    """A table that was added later is still due for the time of a destroyed key; the present must not wait for that."""
    start, end = collect(bench, prometheus, seconds=2)
    gone = {"valid_to": f"{end:%FT%TZ}", "destroyed": f"{end:%FT%TZ}"}
    old = {name: value for name, value in KEY["keys"][0].items() if name != "secret"} | gone
    new = KEY["keys"][0] | {"key_id": "k_2", "valid_from": f"{end:%FT%TZ}"}
    bench.write_key(KEY | {"keys": [old, new]})
    bench.set("collection", tables=["scrape", "node"], max_catch_up="5m")
    time.sleep(2)  # a window of the next key's time is over then

    ran = bench.run("snapshot")

    assert ran.code == 5
    assert f"key {FIRST} of the window " in ran.err
    commits = [json.loads((bench.folder / name).read_text()) for name in written(bench) if "/commits/lab/node/" in name]
    assert commits
    assert {record["key_id"] for record in commits} == {"k_2"}
    assert start < end


@pytest.mark.skipif(not FULL, reason="many processes: make test-full")
def test_windows_that_were_given_up_are_due_no_more(bench: Bench, prometheus: Server) -> None:
    """Else every later run would fail for what somebody has decided."""
    _, end = collect(bench, prometheus, seconds=2)
    line = end + 2 * SECOND
    assert bench.run("key", "new", "--valid-from", f"{line:%FT%TZ}").code == 0
    bench.set("collection", tables=["scrape"], max_catch_up="1h")
    while (again := bench.run("key", "destroy", FIRST, "--yes", "--record-gaps")).code:
        assert "settles at" in again.err
    time.sleep(2)  # a release ends with the last snapshot: one of the next key's time must be there

    ran = bench.run("snapshot")
    by_hand = bench.run("snapshot", "--start", f"{end:%FT%TZ}", "--end", f"{line:%FT%TZ}")

    assert ran.code == 0, ran.err
    assert FIRST not in ran.err
    assert by_hand.code == 5
    assert f"key {FIRST} of the window " in by_hand.err
    released = bench.run("release", "2026.11.0", "--start", f"{end - 2 * SECOND:%FT%TZ}", "--end", f"{line:%FT%TZ}")
    assert released.code == 0, released.err
    quality = json.loads((bench.folder / "work/releases/2026.11.0/quality.json").read_text())
    reasons = {gap["reason"] for gap in quality["gaps"] if gap["table"] == "scrape"}  # a late scrape may add one
    assert "key destroyed" in reasons
    assert "not collected" not in reasons


@pytest.mark.skipif(not FULL, reason="many processes: make test-full")
def test_no_release_is_made_without_its_policy(bench: Bench, prometheus: Server) -> None:
    start, end = collect(bench, prometheus, seconds=2)
    span = ("--start", f"{start:%FT%TZ}", "--end", f"{end:%FT%TZ}")
    assert bench.run("release", "2026.11.0", *span).code == 0

    for broken in (no_policy, a_policy_that_keeps, a_policy_without_a_vocabulary):
        told = broken(bench)
        built = bench.run("release", "2026.11.1", *span)
        audited = bench.run("audit", "work/releases/2026.11.0")

        assert (built.code, audited.code) == (5, 5)
        assert told in built.err
        assert told in audited.err
    assert not (bench.folder / "work/releases/2026.11.1").exists()
    assert not [name for name in written(bench) if name.startswith("public")]


@pytest.mark.skipif(not FULL, reason="many processes: make test-full")
def test_a_policy_that_is_not_that_of_the_snapshots_makes_no_release(bench: Bench, prometheus: Server) -> None:
    """A release says under which policy it was made; one word more and it would be another."""
    start, end = collect(bench, prometheus, seconds=2)
    with_policy(bench, lambda file: file["vocabularies"]["severities"]["members"].append("page"))

    ran = bench.run("release", "2026.11.0", "--start", f"{start:%FT%TZ}", "--end", f"{end:%FT%TZ}")

    assert ran.code == 5
    assert "were made under another policy than the configured one" in ran.line
    assert not (bench.folder / "work/releases/2026.11.0").exists()


@pytest.mark.parametrize("broken", [*KEYS, *FILES], ids=by_name)
def test_a_look_up_without_key_or_policy_says_nothing(bench: Bench, broken: Break, tmp_path: Path) -> None:
    told = broken(bench)

    ran = bench.run("key", "lookup", "--domain", "namespace")

    assert ran.code == 5
    assert told in ran.line
    assert not ran.out
